package db

import (
	"context"
	"database/sql"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The bounds of the prepared statements: how many are kept, after how many uses,
// and how long preparing one may wait for the connection.
const (
	statementsKept = 256
	statementUses  = 2
	statementWait  = 30 * time.Second
)

// statements keeps what a pool of SQLite's connections has prepared: its parser is
// most of the cost of a small statement. A text that comes again is prepared by a
// goroutine of its own, between transactions, since a transaction holds the only
// connection that writes; until then it is parsed each time. (pgx keeps prepared
// statements by itself.) A nil *statements keeps nothing.
type statements struct {
	pool *sql.DB

	mu     sync.Mutex
	uses   map[string]int
	ready  map[string]*sql.Stmt
	closed bool
	begun  sync.WaitGroup
	cancel context.CancelFunc
	ctx    context.Context
}

func newStatements(pool *sql.DB) *statements {
	s := &statements{pool: pool, uses: map[string]int{}, ready: map[string]*sql.Stmt{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// get is the prepared statement of a text, nil when there is none (yet).
func (s *statements) get(query string) *sql.Stmt {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.ready[query]; found != nil || s.closed || len(s.uses) >= statementsKept && s.uses[query] == 0 {
		return found
	}
	if s.uses[query]++; s.uses[query] == statementUses {
		s.begun.Go(func() { s.prepare(query) })
	}
	return nil
}

// prepare waits for the connection. A text that cannot be prepared stays as it
// is: running it says why.
func (s *statements) prepare(query string) {
	ctx, cancel := context.WithTimeout(s.ctx, statementWait)
	defer cancel()
	statement, err := s.pool.PrepareContext(ctx, prepared(query))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[query] = statement
}

// close waits for what is being prepared; the statements end with their pool.
func (s *statements) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.begun.Wait()
}

// prepared is what SQLite prepares best of a query: without numbers, and with limits whose type is known, since it
// prepares a statement again for each value of a bare one.
func prepared(query string) string {
	return bareLimit.ReplaceAllString(unnumbered(query), "LIMIT CAST($1 AS INTEGER)")
}

var bareLimit = regexp.MustCompile(`LIMIT (\$[0-9]+|\?)`)

// unnumbered replaces $1, $2, … by question marks where they come once each and in order: SQLite has names to
// look up for every value of a statement otherwise. A text with a quote in it stays as it is.
func unnumbered(query string) string {
	if strings.ContainsAny(query, "'\"") {
		return query
	}
	var plain strings.Builder
	for n, rest := 1, query; ; n++ {
		before, after, found := strings.Cut(rest, "$")
		plain.WriteString(before)
		if !found {
			return plain.String()
		}
		number := strconv.Itoa(n)
		rest = strings.TrimPrefix(after, number)
		if rest == after || rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return query
		}
		plain.WriteByte('?')
	}
}
