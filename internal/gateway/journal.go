package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"m3o/internal/id"
	"m3o/internal/usage/usageapi"
)

// journal is the file of served calls that are not recorded yet. A call is one
// line: a CRC-32 in hex, a blank, the call as JSON. It is written with one write,
// so that it survives the process, though not the machine. A line that says so
// follows when every call before it is recorded. Files are called calls_<id>.log;
// when one is full another is begun, and it is removed when its calls are recorded.
//
// Calls that come at the same time are written together: the first of them lets
// the others come, then writes for all.
type journal struct {
	dir   string
	sync  Sync
	flush func(*os.File) error // to the disk

	mu     sync.Mutex
	active *segment
	group  *group // takes calls in; nil: the next call makes one
	last   *group // is being written, or was the last to be
	spare  []byte // of the group before the last, to be used again
}

// Sync says when a served call is on the disk rather than with the operating system,
// so that it outlives the machine and not only the process.
type Sync string

// When the journal is synced.
const (
	SyncNone     Sync = "none"     // when the operating system likes: survives kill -9; the default
	SyncInterval Sync = "interval" // every syncInterval: a power failure may lose the calls of that time
	SyncAlways   Sync = "always"   // before the answer goes out, once for all calls that come together
)

// syncInterval is how often the journal is synced by SyncInterval.
const syncInterval = 100 * time.Millisecond

// group is calls that are written with one write, by the first of them.
type group struct {
	lines   []byte
	calls   int
	written chan struct{} // closed when the rest is known
	err     error
	segment *segment // where they are
}

// segment is one file of the journal.
type segment struct {
	file    *os.File
	size    int64
	waiting int // calls in it that are not recorded; guarded by journal.mu
}

// The names of the journal's files, and the size after which another is begun.
const (
	journalPrefix = "calls"
	journalSuffix = ".log"
	segmentSize   = 8 << 20
)

// recordedLine says that every call before it in the file is recorded. (To empty
// the file instead would make calls wait for the file system.)
const recordedLine = "recorded\n"

// openJournal opens the journal of a directory for writing. What earlier
// processes left there is read with leftovers.
func openJournal(dir string, sync Sync) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &journal{dir: dir, sync: sync, flush: (*os.File).Sync}
	return j, j.rotate()
}

// rotate begins a new file. The old one is removed when its calls are recorded.
func (j *journal) rotate() error {
	name := filepath.Join(j.dir, id.New(journalPrefix)+journalSuffix)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if j.sync != SyncNone {
		if err := syncDir(j.dir); err != nil {
			return errors.Join(err, file.Close(), os.Remove(name))
		}
	}
	old := j.active
	j.active = &segment{file: file}
	switch {
	case old == nil:
		return nil
	case old.waiting == 0:
		return old.remove()
	case j.sync == SyncInterval:
		return j.flush(old.file)
	}
	return nil
}

// append writes a call and says in which segment it is.
func (j *journal) append(call usageapi.Call) (*segment, error) {
	buffer := lineBuffers.Get().(*[]byte)
	*buffer = encodeLine((*buffer)[:0], call)
	j.mu.Lock()
	mine, first := j.group, j.group == nil
	if first {
		mine = &group{lines: j.spare[:0], written: make(chan struct{})}
		j.group, j.spare = mine, nil
	}
	mine.lines = append(mine.lines, *buffer...)
	mine.calls++
	before := j.last
	j.mu.Unlock()
	lineBuffers.Put(buffer)
	if !first {
		<-mine.written
		return mine.segment, mine.err
	}
	if before != nil {
		<-before.written
	}
	runtime.Gosched() // others may come
	j.write(mine)
	return mine.segment, mine.err
}

// lineBuffers are where calls are encoded.
var lineBuffers = sync.Pool{New: func() any { return new([]byte) }}

// mostSpare is up to which size the bytes of a group are kept for another.
const mostSpare = 64 << 10

// write writes a group; one at a time, since the group before has been written.
func (j *journal) write(g *group) {
	j.mu.Lock()
	j.group, j.last = nil, g // no more calls come in
	if j.active.size >= segmentSize {
		g.err = j.rotate()
	}
	s := j.active
	s.waiting += g.calls // keeps the file as it is meanwhile
	j.mu.Unlock()
	n := 0
	if g.err == nil {
		n, g.err = s.file.Write(g.lines)
	}
	if g.err == nil && j.sync == SyncAlways {
		g.err = j.flush(s.file)
	}
	j.mu.Lock()
	if g.err == nil {
		s.size += int64(n)
		g.segment = s
	} else { // these calls are refused, so nothing of them may stay
		s.waiting -= g.calls
		g.err = errors.Join(fmt.Errorf("journal: %w", g.err), s.file.Truncate(s.size), j.rotate())
	}
	if cap(g.lines) <= mostSpare {
		j.spare = g.lines
	}
	g.lines = nil
	j.mu.Unlock()
	close(g.written)
}

// keepSynced syncs what has been written, every syncInterval until ctx ends.
func (j *journal) keepSynced(ctx context.Context, log *slog.Logger) {
	beat := time.NewTicker(syncInterval)
	defer beat.Stop()
	var synced *segment
	var size int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		j.mu.Lock()
		s, written := j.active, j.active.size
		j.mu.Unlock()
		if s == synced && written == size {
			continue
		}
		if err := j.flush(s.file); err != nil && !errors.Is(err, os.ErrClosed) {
			log.Error("the journal could not be synced", "error", err)
			continue
		}
		synced, size = s, written
	}
}

// syncDir makes the names of the files in a directory outlive the machine.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// done says that n calls of a segment are recorded.
func (j *journal) done(s *segment, n int) error {
	j.mu.Lock()
	s.waiting -= n
	finished := s.waiting == 0
	if finished && s == j.active {
		// Nobody is writing, else something would be waiting.
		defer j.mu.Unlock()
		if _, err := s.file.WriteString(recordedLine); err != nil {
			return errors.Join(fmt.Errorf("journal: %w", err), s.file.Truncate(s.size)) // half a line would swallow the next
		}
		s.size += int64(len(recordedLine))
		return nil
	}
	j.mu.Unlock()
	if finished {
		return s.remove()
	}
	return nil
}

// close closes the active file, and removes it when nothing waits in it.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.active.waiting == 0 {
		return j.active.remove()
	}
	return j.active.file.Close()
}

func (s *segment) remove() error {
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// leftovers are the files of earlier processes.
func (j *journal) leftovers() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(j.dir, journalPrefix+"_*"+journalSuffix))
	if err != nil {
		return nil, err
	}
	var old []string
	for _, file := range files {
		if file != j.active.file.Name() {
			old = append(old, file)
		}
	}
	return old, nil
}

// readJournal reads the calls of a file that may not be recorded yet. A line that was cut off when the process
// died was never answered, so it ends the reading; damage before the last line is
// an error.
func readJournal(file string) ([]usageapi.Call, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	var calls []usageapi.Call
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return calls, nil // complete, or cut off within the line
		}
		if err != nil {
			return nil, err
		}
		if string(line) == recordedLine {
			calls = nil
			continue
		}
		call, err := decodeLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s is damaged at call %d: %w", file, len(calls)+1, err)
		}
		calls = append(calls, call)
	}
}

// encodeLine writes a call, into the memory of line, as encoding/json would; it is on
// the path of every served call, so it is written by hand.
func encodeLine(line []byte, call usageapi.Call) []byte {
	line = append(line, "00000000 "...) // the checksum's place
	line = appendMember(line, `{"request_id":`, call.RequestID)
	line = appendMember(line, `,"customer_id":`, call.CustomerID)
	line = appendMember(line, `,"key_id":`, call.KeyID)
	line = appendMember(line, `,"service":`, call.Service)
	line = appendMember(line, `,"endpoint":`, call.Endpoint)
	line = strconv.AppendInt(append(line, `,"status":`...), int64(call.Status), 10)
	line = strconv.AppendInt(append(line, `,"price":`...), int64(call.Price), 10)
	line = strconv.AppendInt(append(line, `,"duration":`...), int64(call.Duration), 10)
	line = call.Time.AppendFormat(append(line, `,"time":"`...), time.RFC3339Nano)
	line = appendMember(line, `","lease":`, call.Lease)
	line = append(line, `,"quotas":[`...)
	for i, quota := range call.Quotas {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendMember(line, "", quota)
	}
	line = strconv.AppendBool(append(line, `],"free":`...), call.Free)
	line = append(line, '}')
	hex.Encode(line, checksum(line[9:]))
	return append(line, '\n')
}

// appendMember appends a name and a text. Ids and names of ours are plain; a text
// that JSON must escape goes the long way.
func appendMember(line []byte, name, text string) []byte {
	line = append(line, name...)
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(text) // a string always can be
			return append(line, quoted...)
		}
	}
	line = append(append(line, '"'), text...)
	return append(line, '"')
}

func decodeLine(line []byte) (usageapi.Call, error) {
	var call usageapi.Call
	sum, body, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok || string(sum) != hex.EncodeToString(checksum(body)) {
		return call, errors.New("the checksum does not fit")
	}
	return call, json.Unmarshal(body, &call)
}

func checksum(body []byte) []byte {
	sum := crc32.ChecksumIEEE(body)
	return []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}
