package main

import (
	"context"
	"fmt"
	"time"

	"m3o/internal/app"
)

type restoreCmd struct {
	storeFlags
	Force  bool   `help:"Replace what is there: an SQLite file is kept beside the new one, what is in Postgres is deleted."`
	Quiet  bool   `help:"Do not list the tables."`
	Secret string `env:"M3O_SECRET" hidden:""`
	File   string `arg:"" help:"What m3o backup has written."`
}

// Run restores a backup.
func (c *restoreCmd) Run(ctx context.Context, s streams) error {
	config, err := c.config(logFlags{Log: "warn"}, s)
	if err != nil {
		return err
	}
	config.Secret = c.Secret
	done, err := app.Restore(ctx, config, c.File, c.Force, progress(s.err, c.Quiet))
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "The database is what it was on %s: %s tables with %s rows, counted and summed up again. m3o %s made the backup, from %s.\n",
		done.MadeAt.Format(time.RFC1123), grouped(int64(done.Tables)), grouped(done.Rows), done.Version, done.Engine)
	if n := len(done.Journal.Served) + len(done.Journal.Open); n > 0 {
		fmt.Fprintf(s.out, "%s calls that waited to be recorded are in the journal of %s; the next start of a gateway there records them.\n", grouped(int64(n)), c.Data)
	}
	for _, kept := range done.Kept {
		fmt.Fprintf(s.out, "What was there before is %s.\n", kept)
	}
	if done.NeedsSecret {
		fmt.Fprintf(s.out, "Credentials of upstream APIs open under the secret of the system that was backed up: put its file secret into %s, or set M3O_SECRET.\n", c.Data)
	}
	return nil
}
