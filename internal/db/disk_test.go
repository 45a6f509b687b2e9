package db

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func openForDisk(t *testing.T) *DB {
	t.Helper()
	d, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "m3o.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := d.Exec(t.Context(), `CREATE TABLE numbers (n BIGINT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return d
}

func insertNumber(ctx context.Context, d *DB) error {
	return d.Tx(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO numbers (n) VALUES (1)`)
		return err
	})
}

func (k *disk) state() (commits, synced uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.commits.Load(), k.synced
}

func TestDisk(t *testing.T) {
	t.Parallel()
	t.Run("HasWhatWasCommittedToLast", func(t *testing.T) {
		t.Parallel()
		d := openForDisk(t)
		if err := insertNumber(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if commits, synced := d.disk.state(); synced != commits || commits == 0 {
			t.Errorf("%d of %d commits are on the disk", synced, commits)
		}
	})
	t.Run("IsNotWaitedForByRelaxedCommits", func(t *testing.T) {
		t.Parallel()
		d := openForDisk(t)
		_, before := d.disk.state()
		if err := insertNumber(Relaxed(t.Context()), d); err != nil {
			t.Fatal(err)
		}
		if _, synced := d.disk.state(); synced != before {
			t.Error("a relaxed commit was synced")
		}
		if err := insertNumber(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if commits, synced := d.disk.state(); synced != commits {
			t.Errorf("a durable commit left %d of %d behind", synced, commits)
		}
	})
	t.Run("IsWaitedForByRelaxedCommitsOfAStrictDatabase", func(t *testing.T) {
		t.Parallel()
		d := openForDisk(t)
		d.disk.strict = true
		if err := insertNumber(Relaxed(t.Context()), d); err != nil {
			t.Fatal(err)
		}
		if commits, synced := d.disk.state(); synced != commits {
			t.Errorf("%d of %d commits are on the disk", synced, commits)
		}
	})
	t.Run("IsFollowedToANewLog", func(t *testing.T) {
		t.Parallel()
		d := openForDisk(t)
		if err := insertNumber(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		log := d.disk.path + "-wal"
		if err := os.Rename(log, log+".old"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(log, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		d.disk.commits.Add(1)
		if err := d.disk.sync(d.disk.commits.Load()); err != nil {
			t.Fatal(err)
		}
		there, err := os.Stat(log)
		if err != nil {
			t.Fatal(err)
		}
		if ours, err := d.disk.log.Stat(); err != nil || !os.SameFile(there, ours) {
			t.Errorf("the old log was synced (%v)", err)
		}
		if err := os.Rename(log+".old", log); err != nil { // SQLite's again
			t.Fatal(err)
		}
	})
	t.Run("GetsTheLogWrittenBack", func(t *testing.T) {
		t.Parallel()
		d := openForDisk(t)
		for range 8 { // rounds, since a busy machine may let a checkpoint wait until nobody writes
			var wait sync.WaitGroup
			for range 4 {
				wait.Go(func() {
					for range checkpointEvery / 2 {
						if err := insertNumber(Relaxed(t.Context()), d); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wait.Wait()
			d.disk.wait()
		}
		file, err := os.Stat(d.disk.path)
		if err != nil {
			t.Fatal(err)
		}
		if file.Size() == 0 {
			t.Error("nothing was written back")
		}
		log, err := os.Stat(d.disk.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if most := int64(8 * checkpointEvery * 4200); log.Size() > most {
			t.Errorf("the log has grown to %d bytes, over %d", log.Size(), most)
		}
		var level int
		err = d.Tx(t.Context(), func(tx *Tx) error { return tx.QueryRow(t.Context(), "PRAGMA synchronous").Scan(&level) })
		if err != nil || level != 1 {
			t.Errorf("synchronous is %d after a checkpoint (%v)", level, err)
		}
	})
}
