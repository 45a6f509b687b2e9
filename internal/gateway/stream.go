package gateway

import (
	"bytes"
	"encoding/json"
	"strings"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// splitter cuts a streamed answer into its messages and hands each on as soon as it
// is complete. What it hands on is valid until emit returns.
type splitter struct {
	events bool // server-sent events, whose data are the messages; else lines are
	limit  int  // bytes a message may have
	emit   func(message []byte) error

	line []byte // as far as it has come
	data []byte // of an event, each line with its newline
}

// isLines and isEvents say whether an answer of a Content-Type is a stream of messages.
func isLines(contentType string) bool {
	return isKind(contentType, "application/x-ndjson") || isKind(contentType, "application/jsonl") || isKind(contentType, "application/x-jsonlines")
}

func isEvents(contentType string) bool { return isKind(contentType, "text/event-stream") }

// Write takes more of the stream. A message over the limit ends it.
func (s *splitter) Write(p []byte) (int, error) {
	taken := len(p)
	for len(p) > 0 {
		piece, rest, complete := bytes.Cut(p, []byte{'\n'})
		if len(s.line)+len(s.data)+len(piece) > s.limit {
			return 0, fault.New(fault.BadGateway, "The API sent a message larger than %d bytes", s.limit).WithID("v1")
		}
		s.line = append(s.line, piece...)
		if complete {
			if err := s.endLine(); err != nil {
				return 0, err
			}
		}
		p = rest
	}
	return taken, nil
}

// end completes the last line, which may lack its newline. An event that was not ended
// is none (WHATWG HTML, section 9.2.6).
func (s *splitter) end() error {
	if s.events {
		return nil
	}
	return s.endLine()
}

func (s *splitter) endLine() error {
	line := bytes.TrimSuffix(s.line, []byte{'\r'})
	s.line = s.line[:0]
	switch {
	case s.events && len(line) > 0:
		s.field(line)
		return nil
	case s.events:
		line = s.data
		s.data = s.data[:0]
		line = bytes.TrimSuffix(line, []byte{'\n'})
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	return s.emit(line)
}

// field takes a line of an event, of which only the data matter.
func (s *splitter) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	if string(name) == "data" {
		s.data = append(append(s.data, bytes.TrimPrefix(value, []byte{' '})...), '\n')
	}
}

// isProblem says whether a message of a stream is the fault that ended it.
func isProblem(message []byte) bool {
	if !bytes.Contains(message, []byte(problem.Page+"#")) {
		return false
	}
	var end struct {
		Type   string `json:"type"`
		Status int    `json:"status"`
	}
	return json.Unmarshal(message, &end) == nil && end.Status >= 400 && strings.HasPrefix(end.Type, problem.Page+"#")
}
