package gateway

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"m3o/internal/id"
	"m3o/internal/usage/usageapi"
)

// journal is the file of served calls that are not recorded yet. A call is one
// line: a CRC-32 in hex, a blank, the call as JSON. It is written with one write,
// so that it survives the process, though not the machine. Files are called
// calls_<id>.log; a file whose calls are all recorded is emptied or removed.
type journal struct {
	dir string

	mu     sync.Mutex
	active *segment
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

// openJournal opens the journal of a directory for writing. What earlier
// processes left there is read with leftovers.
func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &journal{dir: dir}
	return j, j.rotate()
}

// rotate begins a new file. The old one is removed when its calls are recorded.
func (j *journal) rotate() error {
	name := filepath.Join(j.dir, id.New(journalPrefix)+journalSuffix)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	old := j.active
	j.active = &segment{file: file}
	if old != nil && old.waiting == 0 {
		return old.remove()
	}
	return nil
}

// append writes a call and says in which segment it is.
func (j *journal) append(call usageapi.Call) (*segment, error) {
	line, err := encodeLine(call)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.active.size >= segmentSize {
		if err := j.rotate(); err != nil {
			return nil, err
		}
	}
	s := j.active
	n, err := s.file.Write(line)
	s.size += int64(n)
	if err != nil {
		// Half a line must not swallow the next one, which would be appended to it.
		_ = j.rotate()
		return nil, fmt.Errorf("journal: %w", err)
	}
	s.waiting++
	return s, nil
}

// done says that n calls of a segment are recorded.
func (j *journal) done(s *segment, n int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.waiting -= n
	switch {
	case s.waiting > 0:
		return nil
	case s != j.active:
		return s.remove()
	}
	s.size = 0
	if err := s.file.Truncate(0); err != nil {
		return fmt.Errorf("journal: %w", err)
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

// readJournal reads the calls of a file. A line that was cut off when the process
// died was never answered, so it ends the reading; damage before the last line is
// an error.
func readJournal(file string) ([]usageapi.Call, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var calls []usageapi.Call
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return calls, nil // complete, or cut off within the line
		}
		if err != nil {
			return nil, err
		}
		call, err := decodeLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s is damaged at call %d: %w", file, len(calls)+1, err)
		}
		calls = append(calls, call)
	}
}

func encodeLine(call usageapi.Call) ([]byte, error) {
	body, err := json.Marshal(call)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	line := make([]byte, 0, len(body)+10)
	line = hex.AppendEncode(line, checksum(body))
	line = append(line, ' ')
	line = append(line, body...)
	return append(line, '\n'), nil
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
