package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"m3o/internal/db"
	"m3o/migrations"
)

// What is in the data directory, beside the gateway's journal.
const (
	storeFile = "m3o.db"
	lockFile  = "lock"
)

// errLocked is what lock answers when another process has the file.
var errLocked = errors.New("locked")

// lockData makes the data directory this process's own until unlock.
func lockData(dir string) (unlock func() error, err error) {
	if dir == "" {
		return nil, errors.New("no data directory is given: set --data")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory %s cannot be made: %w", dir, reason(err))
	}
	unlock, err = lock(filepath.Join(dir, lockFile))
	switch {
	case errors.Is(err, errLocked):
		return nil, fmt.Errorf("another m3o is using the data directory %s: stop it, or give this one a directory of its own with --data", dir)
	case err != nil:
		return nil, fmt.Errorf("the data directory %s cannot be written: %w", dir, reason(err))
	}
	return unlock, nil
}

// reason is the error without the path that a sentence has named already.
func reason(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// sentence is an error of which only the first line is shown, where a driver tells of every address that it has tried.
type sentence struct{ error }

// Error is the first line.
func (s sentence) Error() string {
	first, _, _ := strings.Cut(s.error.Error(), "\n")
	return first
}

// Unwrap is the whole.
func (s sentence) Unwrap() error { return s.error }

// openDB opens the database that the configuration names. Its error is one line.
func openDB(ctx context.Context, c Config) (*db.DB, error) {
	config := db.Config{URL: c.DB, Name: c.Name, Strict: c.split(), Logger: c.Log}
	if c.DB == "" {
		config.Path = filepath.Join(c.Data, storeFile)
	}
	d, err := db.Open(ctx, config)
	if err != nil {
		return nil, sentence{err}
	}
	return d, nil
}

// Migrate brings the database up to date without starting anything.
func Migrate(ctx context.Context, c Config) error {
	if c.DB == "" {
		unlock, err := lockData(c.Data)
		if err != nil {
			return err
		}
		defer func() { _ = unlock() }()
	}
	d, err := openDB(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(db.Migrate(ctx, d, migrations.FS), d.Close())
}
