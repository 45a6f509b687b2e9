package codegen

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// Watch generates at once, and again after each change of a service.yaml, of a hand-written Go file or of a resource of
// the services, until the context ends. It looks at each tick, and waits for one without a change, so that what an
// editor writes in several steps is one change. say gets the result of each run; a mistake ends nothing.
func Watch(ctx context.Context, o Options, ticks <-chan time.Time, say func(Report, error)) error {
	m, err := openModule(o.Root)
	if err != nil {
		return err
	}
	seen := m.stamp(o.Dirs)
	say(Generate(o))
	changed := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
		now := m.stamp(o.Dirs)
		if now == seen && changed {
			say(Generate(o))
		}
		changed, seen = now != seen, now
	}
}

// stamp is a number that is another one when a file was made, removed or written that people write.
func (m *goModule) stamp(given []string) uint64 {
	sum := fnv.New64a()
	dirs, err := m.serviceDirs(given)
	for _, dir := range dirs {
		err = errors.Join(err, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil // removed meanwhile; the next look tells
			case err != nil || path == dir:
				return err
			case d.IsDir() && (ignored(d.Name()) || isData(d.Name()) || isForeign(path)):
				return fs.SkipDir
			case !d.IsDir() && !ignored(d.Name()) && !strings.Contains(d.Name(), "_gen"):
				return stampFile(sum, path, d)
			}
			return nil
		}))
	}
	note(sum, "error", fmt.Append(nil, err))
	return sum.Sum64()
}

func stampFile(sum hash.Hash, path string, d fs.DirEntry) error {
	info, err := d.Info()
	if err == nil {
		fmt.Fprintf(sum, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
	}
	return err
}
