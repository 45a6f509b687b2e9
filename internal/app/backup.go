package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"m3o/internal/bus/outbox"
	"m3o/internal/db"
	"m3o/internal/db/backup"
	"m3o/internal/gateway"
	"m3o/migrations"
)

// journalFolder is where the gateway's journal is in the data directory.
const journalFolder = "journal"

// Progress is told of the tables of a backup and how many rows of each are done.
type Progress func(table string, rows int64)

func (c Config) backup(progress Progress) backup.Config {
	return backup.Config{Migrations: migrations.FS, Version: c.Version, Now: c.Now, Progress: progress}
}

// reopened is for how long before a backup events are published again after a restore.
const reopened = time.Hour

// restoring is backup, for the way back.
func (c Config) restoring(progress Progress) backup.Config {
	config := c.backup(progress)
	config.Amend = func(ctx context.Context, draft *db.DB, about backup.About) error {
		return outbox.Reopen(ctx, draft, about.MadeAt.Add(-reopened))
	}
	return config
}

// Backup writes the database, and the served calls that wait in the journal of the data directory, to a new file, while
// others read and write. Calls that wait in the journals of other machines are not in it.
func Backup(ctx context.Context, c Config, file string, progress Progress) (about backup.About, err error) {
	if err := storeIsThere(c); err != nil {
		return about, err
	}
	d, err := openDB(ctx, c)
	if err != nil {
		return about, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	waiting, err := gateway.ReadUnrecorded(filepath.Join(c.Data, journalFolder)) // before the database: see backup.Write
	if err != nil {
		return about, err
	}
	return backup.Write(ctx, d, file, backup.Journal(waiting), c.backup(progress))
}

// storeIsThere says that there is no SQLite file, rather than make one.
func storeIsThere(c Config) error {
	if c.DB != "" {
		return nil
	}
	source := filepath.Join(c.Data, storeFile)
	if _, err := os.Stat(source); err != nil {
		return fmt.Errorf("there is no database at %s: %w", source, reason(err))
	}
	return nil
}

// Restored says what a restore has done.
type Restored struct {
	backup.About
	Kept        []string // where what was there before is now
	NeedsSecret bool     // there is no secret in the data directory and none is given
}

// Restore makes the database, and the journal of the data directory, what they were when file was written. No system may
// run on them. What is there already is an error unless force: then it is put aside, and on Postgres deleted.
func Restore(ctx context.Context, c Config, file string, force bool, progress Progress) (done Restored, err error) {
	unlock, err := lockData(c.Data)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	journal := filepath.Join(c.Data, journalFolder)
	strange, err := holdsCalls(journal)
	if err != nil && !force {
		return done, err
	}
	if c.DB == "" {
		err = done.file(ctx, c, file, force, progress)
	} else {
		err = done.postgres(ctx, c, file, force, progress)
	}
	if err != nil {
		return done, err
	}
	if strange {
		err = done.putAside(journal, c)
	}
	if err == nil {
		err = gateway.RestoreUnrecorded(journal, gateway.Unrecorded(done.Journal))
	}
	if err != nil {
		return done, fmt.Errorf("the database is restored, but not the %d calls that waited in the journal: %w", len(done.Journal.Served)+len(done.Journal.Open), err)
	}
	_, noSecret := os.Stat(filepath.Join(c.Data, secretFile))
	done.NeedsSecret = c.Secret == "" && errors.Is(noSecret, os.ErrNotExist)
	return done, nil
}

// holdsCalls says whether calls wait in a journal, which are those of the system before; its error says what to do.
func holdsCalls(journal string) (bool, error) {
	const mend = "start the system whose journal it is once, or say --force to put the journal aside"
	waiting, err := gateway.ReadUnrecorded(journal)
	if err != nil {
		return true, fmt.Errorf("%w: %s", err, mend)
	}
	if n := len(waiting.Served) + len(waiting.Open); n > 0 {
		return true, fmt.Errorf("in the journal %s are %d calls that are not recorded: %s", journal, n, mend)
	}
	return false, nil
}

// file restores into an SQLite file.
func (r *Restored) file(ctx context.Context, c Config, file string, force bool, progress Progress) (err error) {
	var kept string
	r.About, kept, err = backup.ToFile(ctx, file, filepath.Join(c.Data, storeFile), force, c.restoring(progress))
	if kept != "" {
		r.Kept = append(r.Kept, kept)
	}
	return err
}

// postgres restores into Postgres.
func (r *Restored) postgres(ctx context.Context, c Config, file string, force bool, progress Progress) (err error) {
	c.Name = "m3o restore " + rand.Text()
	d, err := openDB(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	r.About, err = backup.ToPostgres(ctx, file, d, force, c.restoring(progress))
	return err
}

// putAside renames what is there.
func (r *Restored) putAside(path string, c Config) error {
	kept := path + ".before-" + c.Now().Format("20060102T150405")
	if err := os.Rename(path, kept); err != nil {
		return err
	}
	r.Kept = append(r.Kept, kept)
	return nil
}
