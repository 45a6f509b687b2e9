package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"m3o/internal/doctor"
	"m3o/migrations"
)

type doctorCmd struct {
	storeFlags
	natsFlags
	Bus         string   `default:"memory" env:"M3O_BUS" placeholder:"URL" help:"As serve has it."`
	NATSMonitor string   `name:"nats-monitor" env:"M3O_NATS_MONITOR" placeholder:"URL" help:"Monitoring address of NATS, such as http://nats:8222."`
	Redis       string   `env:"M3O_REDIS" placeholder:"URL" help:"As serve has it."`
	Config      string   `env:"M3O_CONFIG" placeholder:"FILE" help:"As serve has it."`
	URL         []string `name:"url" placeholder:"URL" help:"Address of a gateway; may be given again."`
	JSON        bool     `name:"json" help:"Print the findings as a JSON array."`
	Secret      string   `env:"M3O_SECRET" hidden:""`
}

// Run prints what it finds, and fails when something fails.
func (c *doctorCmd) Run(ctx context.Context, s streams) error {
	config, err := c.config(logFlags{Log: "warn"}, s)
	if err != nil {
		return err
	}
	findings := doctor.Examine(ctx, doctor.Config{
		Data: c.Data, DB: c.DB, Bus: c.Bus, NATS: c.examined(), NATSMonitor: c.NATSMonitor, Redis: c.Redis, Gateways: c.URL, Secret: c.Secret,
		Config: c.Config, Environ: config.Environ, Migrations: migrations.FS, Version: config.Version, Now: config.Now,
	})
	if c.JSON {
		encoder := json.NewEncoder(s.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(findings); err != nil {
			return err
		}
	} else {
		printFindings(s.out, findings)
	}
	if doctor.Failed(findings) {
		return errSaid
	}
	return nil
}

func (f natsFlags) examined() doctor.NATS {
	return doctor.NATS{User: f.User, Password: f.Password, Token: f.Token, NKeyFile: f.NKey, CredsFile: f.Creds, TLSCA: f.CA, TLSCert: f.Cert, TLSKey: f.Key}
}

// printFindings prints a table, and below what is not fine how to mend it.
func printFindings(w io.Writer, findings []doctor.Finding) {
	width := 0
	counts := map[doctor.Level]int{}
	for _, f := range findings {
		width = max(width, len(f.Part))
		counts[f.Level]++
	}
	for _, f := range findings {
		fmt.Fprintf(w, "%-4s  %-*s  %s\n", f.Level, width, f.Part, f.What)
		if f.Mend != "" {
			fmt.Fprintf(w, "%s→ %s\n", strings.Repeat(" ", width+8), f.Mend)
		}
	}
	fmt.Fprintf(w, "\n%d fine, %d to look at, %d to mend\n", counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail])
}
