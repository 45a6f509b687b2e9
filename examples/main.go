// Command examples runs all example services in one process: go run ./examples. It
// prints a list of URLs to try. Each example is a folder beside this file, and each can
// be understood by itself in five minutes, beginning with its service.yaml.
//
// It knows every example; nobody imports it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"m3o/internal/config"
	"m3o/internal/web"
)

func main() {
	listen := flag.String("listen", ":8081", "address of the HTTP port")
	values := flag.String("config", "examples/config.yaml", "configuration of the services")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(ctx, *listen, *values, os.Stdout, log); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves the examples until ctx ends.
func run(ctx context.Context, listen, values string, out io.Writer, log *slog.Logger) error {
	known := written(values)
	file, err := config.Load(values, nil)
	if err != nil {
		return err
	}
	server, err := web.Listen(ctx, listen, log)
	if err != nil {
		return err
	}
	base := fmt.Sprintf("http://localhost:%d", server.Addr().Port)
	h, err := start(ctx, file, time.Now, log)
	if err != nil {
		return errors.Join(err, server.Stop(ctx))
	}
	server.Start(h.edge)
	err = h.app.Go(ctx, func(ctx context.Context) error { return h.follow(ctx, values, known, file) })
	list(out, base)
	select {
	case <-ctx.Done():
	case failed := <-server.Failed():
		err = errors.Join(err, failed)
	}
	over := context.WithoutCancel(ctx)
	return errors.Join(err, server.Stop(over), h.app.Stop(over))
}

// follow reads the configuration again whenever its file is not the known one any more.
func (h *house) follow(ctx context.Context, path string, known time.Time, file *config.File) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		latest := written(path)
		if latest.Equal(known) {
			continue
		}
		known = latest
		if err := errors.Join(file.Reload(), h.app.Refresh(ctx, "")); err != nil {
			h.log.WarnContext(ctx, "the configuration was not taken", "error", err)
		}
	}
}

// written is when a file was written last, the zero time when it is not there.
func written(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
