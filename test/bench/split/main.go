// Command split measures the bus over NATS beside plain nats.go on the same server, and prints each figure beside
// its limit:
//
//	go run ./test/bench/split
//	go run ./test/bench/split -nats nats://127.0.0.1:4222
//	go run ./test/bench/split -gateway -span 3s
//
// Run it from the module's root, on a quiet machine. Without -nats it starts a server of its own in this process,
// with NATS's default of syncing every two minutes. What counts are the ratios of one round, whose medians are shown.
// Where the CPU is short the ratios are those of CPU time, which is not what the limits are about: see the load.
//
// With -gateway it measures something else: paid calls of helloworld through the gateway of one process, and through
// that of a process which reaches helloworld over NATS. All of them, and the NATS server, are on the first core, and the
// load is on the second.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"m3o/internal/id"
	"m3o/test/bench/load"
)

func main() {
	url := flag.String("nats", "", "a server with JetStream; empty: one of its own")
	rounds := flag.Int("rounds", 5, "rounds, over which figures are medians")
	span := flag.Duration("span", time.Second, "how long each round asks in each way")
	facts := flag.Int("facts", 20_000, "events that the relay publishes")
	gateway := flag.Bool("gateway", false, "measure the gateway instead of calls")
	clients := flag.Int("clients", 16, "with -gateway, connections that ask for as much as they get")
	flag.Parse()
	if *gateway || load.IsServer() {
		load.Main(func() error { return reportGateways(*rounds, *clients, *span) })
		return
	}
	debug.SetGCPercent(400) // there is next to nothing in this process, so the collector would run all the time
	if err := report(context.Background(), *url, *rounds, *span, *facts); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func report(ctx context.Context, url string, rounds int, span time.Duration, facts int) error {
	dir, err := os.MkdirTemp("", "m3o-split-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if url == "" {
		own, err := start(dir)
		if err != nil {
			return err
		}
		defer own.Shutdown()
		url = own.ClientURL()
	}
	b, err := newBench(ctx, url, id.New("bench"))
	if err != nil {
		return err
	}
	defer b.close()
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "medians of %d\tplain nats.go\tour bus\tratio\tlimit\t\t\n", rounds)
	for _, c := range []comparison{
		{"call in series", 1, b.typed, "1.3 × the time"},
		{"  request without a contract", 1, b.request, ""},
		{"100 callers", 100, b.typed, "0.6 × the calls"},
		{"  requests without a contract", 100, b.request, ""},
	} {
		if err := b.compare(ctx, t, c, rounds, span); err != nil {
			return err
		}
	}
	published, taken, err := b.relay(ctx, filepath.Join(dir, "outbox.db"), facts)
	if err != nil {
		return err
	}
	fmt.Fprintf(t, "relay, facts a second\t\t%.0f\t\t10000\t%s\t\n", published, verdict(published >= 10_000))
	fmt.Fprintf(t, "group, facts a second\t\t%.0f\t\t-\t\t\n", taken)
	return t.Flush()
}

// start starts a server as an operator would who sets nothing but a folder.
func start(dir string) (*server.Server, error) {
	own, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		return nil, err
	}
	go own.Start()
	if !own.ReadyForConnections(10 * time.Second) {
		return nil, fmt.Errorf("nats-server does not start")
	}
	return own, nil
}

// comparison is a way over the bus that stands beside plain nats.go.
type comparison struct {
	name    string
	callers int
	ask     func(context.Context) error
	limit   string // empty: none
}

// good says whether a ratio keeps the limit. In series it is that of the times, else that of the calls.
func (c comparison) good(ratio float64) bool {
	return c.limit == "" || c.callers == 1 && ratio <= 1.3 || c.callers > 1 && ratio >= 0.6
}

// compare asks in both ways by turns. The ratio of the processor time of a call stands beside that of the limit, and
// holds on a machine that has other work, too.
func (b *bench) compare(ctx context.Context, t *tabwriter.Writer, c comparison, rounds int, span time.Duration) error {
	var plain, ours []speed
	var ratios, processors []float64
	for range rounds {
		raw, err := measure(ctx, c.callers, span, b.raw)
		if err != nil {
			return fmt.Errorf("%s with plain nats.go: %w", c.name, err)
		}
		own, err := measure(ctx, c.callers, span, c.ask)
		if err != nil {
			return fmt.Errorf("%s over the bus: %w", c.name, err)
		}
		ratio := own.rate / raw.rate
		if c.callers == 1 {
			ratio = 1 / ratio
		}
		plain, ours, ratios = append(plain, raw), append(ours, own), append(ratios, ratio)
		processors = append(processors, own.processor.Seconds()/raw.processor.Seconds())
	}
	ratio := median(ratios)
	fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t%s\t%s\t\n", c.name, figures(c.callers, plain), figures(c.callers, ours), ratio, c.limit, verdict(c.good(ratio)))
	fmt.Fprintf(t, "processor a call\t%s\t%s\t%.2f\t\t\t\n", median(each(plain, spent)), median(each(ours, spent)), median(processors))
	return nil
}

// figures are the calls a second, and how long one call takes when so many are under way.
func figures(callers int, rounds []speed) string {
	rate := median(each(rounds, func(s speed) float64 { return s.rate }))
	took := time.Duration(float64(callers) / rate * float64(time.Second))
	return fmt.Sprintf("%.0f/s, %s", rate, took.Round(100*time.Nanosecond))
}

func spent(s speed) time.Duration { return s.processor.Round(100 * time.Nanosecond) }

func each[R, T any](rounds []R, of func(R) T) (all []T) {
	for _, s := range rounds {
		all = append(all, of(s))
	}
	return all
}

func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func verdict(good bool) string {
	if good {
		return ""
	}
	return "missed"
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
