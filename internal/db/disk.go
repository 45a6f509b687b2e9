package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// checkpointEvery is after how many commits the log is written back to the file.
const checkpointEvery = 32

// disk makes commits to SQLite durable. SQLite's own way would be to sync inside
// of a commit; but its syncs are system calls that the Go runtime knows nothing
// of, and hold a processor of Go's, in the worst case all of them, until the disk
// has answered. So SQLite commits without one, and the log is synced here, by
// calls that the runtime knows: after each commit that must last, one for all that
// come together, and around each checkpoint, which nobody else does.
//
// What SQLite relies on is kept: the log is on the disk before a checkpoint copies
// from it, and the file is before anybody may write the log anew. A nil *disk does
// nothing: Postgres syncs by itself.
//
// Both files stay open as long as SQLite has them: closing one earlier would end
// the process's POSIX locks on it.
type disk struct {
	db     *DB
	path   string
	file   *os.File // the database
	strict bool     // every commit is durable

	commits       atomic.Uint64
	checkpointing atomic.Bool
	begun         sync.WaitGroup // checkpoints

	mu     sync.Mutex
	log    *os.File // the write-ahead log
	old    []*os.File
	synced uint64 // commits that are on the disk
}

func newDisk(d *DB, path string) (*disk, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &disk{db: d, path: path, file: file}, nil
}

// committed follows a commit. A durable one is on the disk when it returns.
func (k *disk) committed(durable bool) error {
	if k == nil {
		return nil
	}
	n := k.commits.Add(1)
	if n%checkpointEvery == 0 && k.checkpointing.CompareAndSwap(false, true) {
		k.begun.Go(k.checkpoint)
	}
	if !durable && !k.strict {
		return nil
	}
	return k.sync(n)
}

// sync returns when the n-th commit is on the disk.
func (k *disk) sync(n uint64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.synced >= n {
		return nil
	}
	return k.syncLog()
}

// syncLog syncs the log as it is now. It is called with mu held.
func (k *disk) syncLog() error {
	n := k.commits.Load()
	if err := k.openLog(); err != nil {
		return fmt.Errorf("sync the log: %w", err)
	}
	if err := k.log.Sync(); err != nil {
		return fmt.Errorf("sync the log: %w", err)
	}
	k.synced = n
	return nil
}

// openLog opens the log, and opens it again when SQLite has made another.
func (k *disk) openLog() error {
	there, err := os.Stat(k.path + "-wal")
	if err != nil {
		return err
	}
	if k.log != nil {
		ours, err := k.log.Stat()
		if err != nil || os.SameFile(there, ours) {
			return err
		}
		k.old = append(k.old, k.log)
	}
	k.log, err = os.OpenFile(k.path+"-wal", os.O_RDWR, 0o600)
	return err
}

// checkpoint writes the log back to the file. It holds the connection that
// writes, so that nobody writes the log anew before the file is synced. One that
// fails is made up for by the next.
func (k *disk) checkpoint() {
	defer k.checkpointing.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	conn, err := k.db.write.Conn(ctx)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	k.mu.Lock()
	err = k.syncLog()
	k.mu.Unlock()
	if err == nil {
		_, err = conn.ExecContext(ctx, "PRAGMA synchronous = OFF; PRAGMA wal_checkpoint(PASSIVE)")
		_, restored := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL")
		err = errors.Join(err, restored, k.file.Sync())
	}
	if err != nil && !errors.Is(err, os.ErrClosed) {
		k.db.log.Warn("the write-ahead log could not be written back", "error", err)
	}
}

// wait waits for a checkpoint that runs; the connections are still open.
func (k *disk) wait() {
	if k != nil {
		k.begun.Wait()
	}
}

// close closes the files; the connections must be closed.
func (k *disk) close() error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	files := append(k.old, k.file)
	if k.log != nil {
		files = append(files, k.log)
	}
	k.old, k.log = nil, nil
	var faults []error
	for _, file := range files {
		if err := file.Close(); !errors.Is(err, os.ErrClosed) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
