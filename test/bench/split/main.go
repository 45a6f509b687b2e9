// Command split measures the bus over NATS beside plain nats.go on the same server, and prints each figure beside
// its limit:
//
//	go run ./test/bench/split
//	go run ./test/bench/split --nats nats://127.0.0.1:4222
//
// Run it from the module's root, on a quiet machine. Without --nats it starts a server of its own in this process,
// with NATS's default of syncing every two minutes. What counts are the ratios of one round, whose medians are shown.
// Where the CPU is short the ratios are those of CPU time, which is not what the limits are about: see the load.
package main

import (
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
)

func main() {
	url := flag.String("nats", "", "a server with JetStream; empty: one of its own")
	rounds := flag.Int("rounds", 5, "rounds, over which figures are medians")
	span := flag.Duration("span", time.Second, "how long each round asks in each way")
	facts := flag.Int("facts", 20_000, "events that the relay publishes")
	flag.Parse()
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
	if err := b.compare(ctx, t, "call in series", 1, rounds, span, func(ratio float64) bool { return ratio <= 1.3 }, "1.3 × the time"); err != nil {
		return err
	}
	if err := b.compare(ctx, t, "100 callers", 100, rounds, span, func(ratio float64) bool { return ratio >= 0.6 }, "0.6 × the calls"); err != nil {
		return err
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

// compare asks in both ways by turns. In series the ratio is that of the times, else that of the calls.
func (b *bench) compare(ctx context.Context, t *tabwriter.Writer, name string, callers, rounds int, span time.Duration, good func(float64) bool, limit string) error {
	var plain, ours, ratios []float64
	for range rounds {
		raw, err := rate(ctx, callers, span, b.raw)
		if err != nil {
			return fmt.Errorf("%s with plain nats.go: %w", name, err)
		}
		typed, err := rate(ctx, callers, span, b.typed)
		if err != nil {
			return fmt.Errorf("%s over the bus: %w", name, err)
		}
		ratio := typed / raw
		if callers == 1 {
			ratio = raw / typed
		}
		plain, ours, ratios = append(plain, raw), append(ours, typed), append(ratios, ratio)
	}
	fmt.Fprintf(t, "%s\t%.0f/s, %s\t%.0f/s, %s\t%.2f\t%s\t%s\t\n", name, median(plain), each(callers, median(plain)), median(ours), each(callers, median(ours)), median(ratios), limit, verdict(good(median(ratios))))
	return nil
}

// each is how long one call takes when so many are under way.
func each(callers int, rate float64) time.Duration {
	return time.Duration(float64(callers) / rate * float64(time.Second)).Round(100 * time.Nanosecond)
}

func median(all []float64) float64 {
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
