package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"m3o/internal/app"
)

type backupCmd struct {
	storeFlags
	Quiet bool   `help:"Do not list the tables."`
	File  string `arg:"" help:"The new file."`
}

// Run writes a backup.
func (c *backupCmd) Run(ctx context.Context, s streams) error {
	config, err := c.config(logFlags{Log: "warn"}, s)
	if err != nil {
		return err
	}
	about, err := app.Backup(ctx, config, c.File, progress(s.err, c.Quiet))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s holds %s tables with %s rows, read again and found right%s.\n",
		c.File, grouped(int64(about.Tables)), grouped(about.Rows), waiting(len(about.Journal.Served)+len(about.Journal.Open)))
	return err
}

// waiting tells of calls that were in the journal.
func waiting(calls int) string {
	if calls == 0 {
		return ""
	}
	return ", and " + grouped(int64(calls)) + " calls that wait in the journal"
}

// progress lists tables as they are done.
func progress(w io.Writer, quiet bool) app.Progress {
	if quiet {
		return nil
	}
	return func(table string, rows int64) { fmt.Fprintf(w, "%14s  %s\n", grouped(rows), table) }
}

// grouped is a number with its thousands apart.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
