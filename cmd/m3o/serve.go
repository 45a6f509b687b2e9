package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"m3o/internal/app"
)

// storeFlags say where the data is.
type storeFlags struct {
	Data string `default:"./m3o-data" env:"M3O_DATA" placeholder:"DIR" help:"Data directory; made when it is not there."`
	DB   string `name:"db" env:"M3O_DB" placeholder:"URL" help:"postgres:// URL; without it an SQLite file in the data directory."`
}

// logFlags say what is logged; logs go to stderr.
type logFlags struct {
	Log string `default:"info" env:"M3O_LOG" placeholder:"LEVEL" help:"debug, info, warn or error, as text; with a comma and json as JSON (info,json)."`
}

// logger makes the log.
func (f logFlags) logger(w io.Writer) (*slog.Logger, error) {
	options := &slog.HandlerOptions{}
	asJSON := false
	var level slog.Level
	for part := range strings.SplitSeq(f.Log, ",") {
		switch part = strings.ToLower(strings.TrimSpace(part)); part {
		case "json":
			asJSON = true
		case "text", "":
			asJSON = false
		case "debug", "info", "warn", "error":
			_ = level.UnmarshalText([]byte(part))
			options.Level = level
		default:
			return nil, fmt.Errorf("--log %s: choose debug, info, warn or error, and json or text after a comma", f.Log)
		}
	}
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

type serveCmd struct {
	storeFlags
	logFlags
	Listen        string `default:":8080" env:"M3O_LISTEN" placeholder:"ADDR" help:"Address of the HTTP port."`
	Bus           string `default:"memory" env:"M3O_BUS" placeholder:"BUS" help:"Transport between services: memory."`
	Redis         string `env:"M3O_REDIS" placeholder:"URL" help:"Shared rate limits and caches of several processes; not in this version."`
	Services      string `default:"all" env:"M3O_SERVICES" placeholder:"LIST" help:"Services that this process runs: all."`
	Config        string `env:"M3O_CONFIG" placeholder:"FILE" help:"YAML file of service: {property: value}; M3O_<SERVICE>_<PROPERTY> overrides it."`
	NoDemo        bool   `env:"M3O_NO_DEMO" help:"Make no demo customer on the first start."`
	AdminEmail    string `env:"M3O_ADMIN_EMAIL" hidden:""`
	AdminPassword string `env:"M3O_ADMIN_PASSWORD" hidden:""`
}

// Run serves until a signal.
func (c *serveCmd) Run(ctx context.Context, s streams) error {
	if err := c.supported(); err != nil {
		return err
	}
	config, err := c.config(c.logFlags, s)
	if err != nil {
		return err
	}
	config.Listen, config.ConfigFile, config.NoDemo = c.Listen, c.Config, c.NoDemo
	config.AdminEmail, config.AdminPassword = c.AdminEmail, c.AdminPassword
	tune()
	return app.Run(ctx, config)
}

// tune sets what the Go runtime cannot know.
func tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// gcPercent lets the heap grow to some times what lives: that is little, so a few
// dozen megabytes spare the collector most of its work under load.
const gcPercent = 600

// supported refuses what this version does not do yet, rather than run as if it did.
func (c *serveCmd) supported() error {
	switch {
	case c.Bus != "memory":
		return errors.New("--bus: this version has the memory bus only, so everything runs in one process")
	case c.Redis != "":
		return errors.New("--redis: this version runs as one process and shares nothing: leave it out")
	case c.Services != "all":
		return errors.New("--services: this version runs all services in one process: leave it out, or say all")
	}
	return nil
}

// config is what every command that opens the store needs.
func (f storeFlags) config(l logFlags, s streams) (app.Config, error) {
	log, err := l.logger(s.err)
	if err != nil {
		return app.Config{}, err
	}
	if f.DB != "" && !strings.HasPrefix(f.DB, "postgres://") && !strings.HasPrefix(f.DB, "postgresql://") {
		return app.Config{}, errors.New("--db takes a postgres:// URL; without it the data is in an SQLite file in --data")
	}
	return app.Config{
		Data: f.Data, DB: f.DB, Environ: os.Environ(), Version: version(), Out: s.out, Log: log,
		Now: func() time.Time { return time.Now().UTC() },
	}, nil
}

type migrateCmd struct {
	storeFlags
	logFlags
}

// Run migrates.
func (c *migrateCmd) Run(ctx context.Context, s streams) error {
	config, err := c.config(c.logFlags, s)
	if err != nil {
		return err
	}
	if err := app.Migrate(ctx, config); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, "The database is up to date.")
	return err
}

type backupCmd struct {
	storeFlags
	File string `arg:"" help:"The new file."`
}

// Run copies the database.
func (c *backupCmd) Run(ctx context.Context, s streams) error {
	config, err := c.config(logFlags{Log: "warn"}, s)
	if err != nil {
		return err
	}
	if err := app.Backup(ctx, config, c.File); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "The database is copied to %s.\n", c.File)
	return err
}
