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
	Listen        string        `default:":8080" env:"M3O_LISTEN" placeholder:"ADDR" help:"Address of the HTTP port."`
	Services      []string      `default:"all" env:"M3O_SERVICES" sep:"none" placeholder:"LIST" help:"Services that this process runs, such as gateway or keys,customers, or all,-gateway for all but one; m3o services lists them. May be given again."`
	Bus           string        `default:"memory" env:"M3O_BUS" placeholder:"URL" help:"Transport between services: memory, where all are in this process, or nats:// or tls:// URLs with commas between."`
	Redis         string        `env:"M3O_REDIS" placeholder:"URL" help:"redis:// URL under which several gateways share their rate limits; without it each has its own."`
	Name          string        `env:"M3O_NAME" placeholder:"NAME" help:"Name of this process in logs, in metrics and on the bus; by default the machine's, with the port."`
	Patience      time.Duration `env:"M3O_PATIENCE" placeholder:"TIME" help:"How long the start waits for Postgres, for NATS and for services of other processes, for each so long; by default a minute with --bus nats://…, and not at all without."`
	Config        string        `env:"M3O_CONFIG" placeholder:"FILE" help:"YAML file of service: {property: value}; M3O_<SERVICE>_<PROPERTY> overrides it."`
	JournalSync   string        `default:"none" enum:"none,interval,always" env:"M3O_JOURNAL_SYNC" placeholder:"WHEN" help:"When served calls are on the disk: none (they outlive the process), interval (ten times a second) or always (before each answer)."`
	NoDemo        bool          `env:"M3O_NO_DEMO" help:"Make no demo customer on the first start."`
	AdminEmail    string        `env:"M3O_ADMIN_EMAIL" hidden:""`
	AdminPassword string        `env:"M3O_ADMIN_PASSWORD" hidden:""`
	Secret        string        `env:"M3O_SECRET" hidden:""`
	natsFlags
}

// natsFlags are the credentials for a nats:// bus. They are variables, since a command
// line is there for everybody to read.
type natsFlags struct {
	User     string `name:"nats-user" env:"M3O_NATS_USER" hidden:""`
	Password string `name:"nats-password" env:"M3O_NATS_PASSWORD" hidden:""`
	Token    string `name:"nats-token" env:"M3O_NATS_TOKEN" hidden:""`
	NKey     string `name:"nats-nkey" env:"M3O_NATS_NKEY" hidden:""`
	Creds    string `name:"nats-creds" env:"M3O_NATS_CREDS" hidden:""`
	CA       string `name:"nats-ca" env:"M3O_NATS_CA" hidden:""`
	Cert     string `name:"nats-cert" env:"M3O_NATS_CERT" hidden:""`
	Key      string `name:"nats-key" env:"M3O_NATS_KEY" hidden:""`
	Prefix   string `name:"nats-prefix" env:"M3O_NATS_PREFIX" hidden:""`
	Replicas int    `name:"nats-replicas" env:"M3O_NATS_REPLICAS" hidden:""`
}

func (f natsFlags) credentials() app.NATS {
	return app.NATS{
		User: f.User, Password: f.Password, Token: f.Token, NKeyFile: f.NKey, CredsFile: f.Creds, TLSCA: f.CA, TLSCert: f.Cert, TLSKey: f.Key,
		Prefix: f.Prefix, Replicas: f.Replicas,
	}
}

// Run serves until a signal.
func (c *serveCmd) Run(ctx context.Context, s streams) error {
	config, err := c.config(c.logFlags, s)
	if err != nil {
		return err
	}
	if c.Patience < 0 {
		return fmt.Errorf("--patience %s: give a time such as 30s", c.Patience)
	}
	config.Patience = c.Patience
	config.Listen, config.ConfigFile, config.NoDemo = c.Listen, c.Config, c.NoDemo
	config.Services, config.Bus, config.NATS, config.Redis, config.Name = c.Services, c.Bus, c.credentials(), c.Redis, c.Name
	config.JournalSync = c.JournalSync
	config.AdminEmail, config.AdminPassword, config.Secret = c.AdminEmail, c.AdminPassword, c.Secret
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
const gcPercent = 300

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
