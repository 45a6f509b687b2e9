package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Unrecorded is what waits in a journal: calls as lines of it. It is for a backup, which takes them along, and for the
// doctor.
type Unrecorded struct {
	Served []string // answered, and not recorded yet
	Open   []string // their answers go on, or did when the process was killed
}

// Oldest is when the call was answered that waits longest; false when none waits.
func (u Unrecorded) Oldest() (oldest time.Time, found bool) {
	for _, line := range slices.Concat(u.Served, u.Open) {
		if call, err := decodeLine([]byte(line)); err == nil && (!found || call.Time.Before(oldest)) {
			oldest, found = call.Time, true
		}
	}
	return oldest, found
}

// restoredFile is where RestoreUnrecorded writes calls, for the next start to find.
const restoredFile = journalPrefix + "_restored" + journalSuffix

// openFolder is where open calls are, below the journal.
const openFolder = "open"

// ReadUnrecorded reads the journal of a directory, also while a gateway writes it. What is recorded meanwhile may be
// among the calls; usage knows it by its id. A directory that is not there holds nothing.
func ReadUnrecorded(dir string) (u Unrecorded, err error) {
	if u.Served, err = linesIn(dir); err != nil {
		return u, err
	}
	u.Open, err = linesIn(filepath.Join(dir, openFolder))
	return u, err
}

func linesIn(dir string) (lines []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, journalPrefix+"_*"+journalSuffix))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		calls, err := readJournal(file)
		if errors.Is(err, os.ErrNotExist) { // its calls have been recorded meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		for _, call := range calls {
			lines = append(lines, strings.TrimSuffix(string(encodeLine(nil, call)), "\n"))
		}
	}
	return lines, nil
}

// RestoreUnrecorded puts calls into the journal of a directory that no gateway uses; the next start of one there records
// them. It replaces what an earlier restore has put there and nothing else. Every line is checked before.
func RestoreUnrecorded(dir string, u Unrecorded) error {
	for _, line := range slices.Concat(u.Served, u.Open) {
		if _, err := decodeLine([]byte(line)); err != nil {
			return fmt.Errorf("a served call is damaged: %w", err)
		}
	}
	return errors.Join(restoreLines(dir, u.Served), restoreLines(filepath.Join(dir, openFolder), u.Open))
}

func restoreLines(dir string, lines []string) error {
	file := filepath.Join(dir, restoredFile)
	if len(lines) == 0 {
		if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	draft, err := os.OpenFile(file+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	_, err = draft.WriteString(strings.Join(lines, "\n") + "\n")
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	if err := os.Rename(draft.Name(), file); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return syncDir(dir)
}
