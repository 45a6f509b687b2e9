package doctor

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"m3o/internal/config"
	"m3o/internal/gateway"
)

// configuration reads the configuration file, and holds the secret to its form.
func (e *examination) configuration(context.Context) {
	const part = "configuration"
	if e.Config.Config != "" {
		if _, err := config.Load(e.Config.Config, e.Environ); err != nil {
			e.fail(part, "correct the file; serve refuses to start with it", "%s", err)
		} else {
			e.ok(part, "%s can be read", e.Config.Config)
		}
	}
	const mend = "make one with openssl rand -hex 32 and give the same M3O_SECRET to every process"
	secret, err := hex.DecodeString(e.Secret)
	switch {
	case e.Secret == "" && e.split():
		e.fail(part, mend, "M3O_SECRET is not set, and several processes must have the same")
	case e.Secret == "":
	case err != nil || len(secret) != 32:
		e.fail(part, mend, "M3O_SECRET has not 64 hexadecimal digits")
	default:
		e.ok(part, "M3O_SECRET has its form")
	}
}

// split says whether there are several processes.
func (e *examination) split() bool { return e.Bus != "" && e.Bus != "memory" }

// dataDirectory looks at the directory, who may read and write it, and how much room there is.
func (e *examination) dataDirectory(context.Context) {
	const part = "data directory"
	info, err := os.Stat(e.Data)
	switch {
	case errors.Is(err, os.ErrNotExist):
		e.ok(part, "%s is not there yet; the first start makes it", e.Data)
		return
	case err != nil:
		e.fail(part, "give the user that runs m3o access to it", "%s cannot be looked at: %s", e.Data, cause(err))
		return
	case !info.IsDir():
		e.fail(part, "name a directory with --data", "%s is not a directory", e.Data)
		return
	}
	if err := tryWriting(e.Data); err != nil {
		e.fail(part, "give it to the user that runs m3o: chown -R, and chmod 700", "%s cannot be written: %s", e.Data, cause(err))
	} else {
		e.ok(part, "%s can be written", e.Data)
	}
	e.secrecy(part)
	e.room(part)
	if drafts, _ := filepath.Glob(filepath.Join(e.Data, ".*-draft-*")); len(drafts) > 0 {
		e.warn(part, "remove it when no m3o backup or restore runs", "%s is left of a backup or restore that did not end", drafts[0])
	}
}

func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// secrecy looks at who may read what only the owner should.
func (e *examination) secrecy(part string) {
	for _, name := range []string{"m3o.db", "secret", "journal"} {
		info, err := os.Stat(filepath.Join(e.Data, name))
		if err == nil && info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
			e.warn(part, "chmod go-rwx "+filepath.Join(e.Data, name), "others on this machine may read %s", name)
		}
	}
}

// How much room there should be.
const (
	roomWarn = 1 << 30
	roomFail = 100 << 20
)

func (e *examination) room(part string) {
	const mend = "make room, or move the data directory: a full disk stops every paid call"
	free, err := freeBytes(e.Data)
	switch {
	case err != nil:
		e.warn(part, "look with df", "how much room is left cannot be seen: %s", err)
	case free < roomFail:
		e.fail(part, mend, "%d MB are left on its disk", free>>20)
	case free < roomWarn:
		e.warn(part, mend, "%d MB are left on its disk", free>>20)
	default:
		e.ok(part, "%d GB are left on its disk", free>>30)
	}
}

// journal looks at calls that were served and are not recorded. Those of the last moments are always there while a
// gateway runs.
func (e *examination) journal(context.Context) {
	const part = "journal"
	dir := filepath.Join(e.Data, "journal")
	waiting, err := gateway.ReadUnrecorded(dir)
	if err != nil {
		e.fail(part, "keep the file, and ask for help with it: each of its lines is a call that a customer owes", "%s", err)
		return
	}
	oldest, found := waiting.Oldest()
	if !found {
		e.ok(part, "no served call waits to be recorded")
		return
	}
	n, age := len(waiting.Served)+len(waiting.Open), e.Now().Sub(oldest).Round(time.Second)
	if age > waitingWarn {
		e.warn(part, "start a gateway on this data directory, which records them; if one runs, look at its log for why usage refuses them", "%d served calls wait to be recorded, the oldest for %s", n, age)
		return
	}
	e.ok(part, "%d served calls are about to be recorded", n)
}

// cause is an error without the path that the sentence names.
func cause(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err.Error()
	}
	return oneLine(err)
}

// oneLine is the first line of an error.
func oneLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
