package natsbus

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"m3o/internal/bus"
)

// The headers of an event are those of CloudEvents 1.0 (its NATS protocol binding, binary
// content mode), and one of ours for what CloudEvents has no attribute for.
const (
	headerSpec    = "ce-specversion"
	headerID      = "ce-id"
	headerSource  = "ce-source"
	headerType    = "ce-type"    // the topic, a dot, and the type's name
	headerSubject = "ce-subject" // the key
	headerTime    = "ce-time"
	headerNumber  = "ce-typenumber" // an extension: the type's number
	headerContent = "content-type"
	headerGroup   = "M3o-Group" // a replay: this group alone is to have it
)

// write makes a message of an event.
func write(subject string, e bus.Event) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: e.Data, Header: nats.Header{
		headerSpec: {"1.0"}, headerID: {escape(e.ID)}, headerSource: {escape(e.Source)}, headerType: {escape(e.Topic + "." + e.TypeName)},
		headerTime: {e.Time.UTC().Format(time.RFC3339Nano)}, headerNumber: {strconv.Itoa(int(e.Type))}, headerContent: {"application/json"},
	}}
	if e.Key != "" {
		m.Header[headerSubject] = []string{escape(e.Key)}
	}
	if e.Group != "" {
		m.Header[headerGroup] = []string{escape(e.Group)}
		return m // a replay is told apart from the first time, and from the next replay
	}
	m.Header[nats.MsgIdHdr] = []string{escape(e.ID)}
	return m
}

// read makes an event of a message.
func read(topic string, m *nats.Msg) (e bus.Event, err error) {
	text := func(name string) (value string) {
		if values := m.Header[name]; len(values) > 0 {
			value = unescape(values[0])
		}
		return value
	}
	e = bus.Event{ID: text(headerID), Topic: topic, Source: text(headerSource), Key: text(headerSubject), Group: text(headerGroup), Data: m.Data}
	e.TypeName = strings.TrimPrefix(text(headerType), topic+".")
	number, err := strconv.ParseInt(text(headerNumber), 10, 32)
	if err != nil {
		return e, fmt.Errorf("read the header %s of event %q: %w", headerNumber, e.ID, err)
	}
	e.Type = int32(number)
	if e.Time, err = time.Parse(time.RFC3339Nano, text(headerTime)); err != nil {
		return e, fmt.Errorf("read the header %s of event %q: %w", headerTime, e.ID, err)
	}
	if e.ID == "" {
		return e, fmt.Errorf("a message of topic %s has no header %s", topic, headerID)
	}
	return e, nil
}

// escape writes a text as CloudEvents want it in a header: printable ASCII stays, but for
// the space, the quote and the percent sign.
func escape(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c > ' ' && c < 0x7f && c != '"' && c != '%' {
			b.WriteByte(c)
		} else {
			_, _ = fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// unescape undoes escape; what is not well encoded stays as it is.
func unescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
