package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// Migrate brings the schema up to date: one folder of fsys a service, with goose files NNNN_name.sql, each folder with
// its own history in the table migrations_<folder>. It may run in several processes at once (one works, the others
// wait) and any number of times. A database that a newer version has migrated is an error: there is no way down.
func Migrate(ctx context.Context, d *DB, fsys fs.FS) error {
	folders, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	unlock, err := d.lockMigrations(ctx)
	if err != nil {
		return fmt.Errorf("migrate: lock: %w", err)
	}
	defer unlock()
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		if err := d.migrateFolder(ctx, fsys, f.Name()); err != nil {
			return fmt.Errorf("migrate %s: %w", f.Name(), err)
		}
	}
	return nil
}

func (d *DB) migrateFolder(ctx context.Context, fsys fs.FS, folder string) error {
	files, err := fs.Sub(fsys, folder)
	if err != nil {
		return err
	}
	dialect := goose.DialectSQLite3
	if d.dialect == Postgres {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, d.write, files,
		goose.WithTableName(versionPrefix+folder), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return nil
	}
	if err != nil {
		return err
	}
	has, wants, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if has > wants {
		return fmt.Errorf("the database is at version %d, this program knows %d: start a newer one", has, wants)
	}
	if has == wants {
		return nil
	}
	done, err := p.Up(ctx)
	for _, m := range done {
		d.log.InfoContext(ctx, "migration applied", slog.String("service", folder),
			slog.Int64("version", m.Source.Version), slog.Duration("took", m.Duration))
	}
	return err
}
