// Command shop measures the shop over GraphQL, in one run, and prints one table with the limits:
//
//	go run ./test/bench/shop [-db postgres://…]
//
// A page of 20 products stands beside a bare chi handler that answers the same JSON; both servers are bound to the first
// core, and the load to the second. Orders are placed by as many clients as -clients says, each for a product of its own,
// over HTTP, with a token; there the server has both cores, the load's too. With -db the same is measured on Postgres,
// in a database that is empty. Rounds alternate, figures are medians, and what counts are the ratios.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"m3o/test/bench/load"
)

func main() {
	rounds := flag.Int("rounds", 5, "rounds; figures are medians over them")
	length := flag.Duration("length", 3*time.Second, "length of a measurement")
	clients := flag.Int("clients", 16, "connections that ask for as much as they get")
	db := flag.String("db", "", "postgres:// URL of an empty database, to measure that engine too")
	flag.Parse()
	load.Main(func() error { return run(plan{rounds: *rounds, length: *length, clients: *clients, db: *db}) })
}

// plan is what is measured, how long and how often.
type plan struct {
	rounds  int
	length  time.Duration
	clients int
	db      string
}

func run(p plan) error {
	if p.rounds < 1 || p.length <= 0 || p.clients < 1 {
		return errors.New("-rounds, -length and -clients must be above 0")
	}
	dir, err := os.MkdirTemp("", "m3o-shop-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, err := load.Build(dir)
	if err != nil {
		return err
	}
	results, err := measurePages(p, binary, filepath.Join(dir, "pages"))
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	binary.Cores = load.ServerCore + "," + load.LoadCore
	results.sqlite, err = measureOrders(p, binary, filepath.Join(dir, "sqlite"))
	if err != nil {
		return fmt.Errorf("orders on SQLite: %w", err)
	}
	if p.db != "" {
		results.postgres, err = measureOrders(p, binary, filepath.Join(dir, "postgres"), "M3O_DB="+p.db)
		if err != nil {
			return fmt.Errorf("orders on Postgres: %w", err)
		}
	}
	return results.report(os.Stdout, p)
}
