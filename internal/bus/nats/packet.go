package natsbus

import (
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"

	"m3o/internal/auth"
)

// kind is what a packet says: its first byte. Values never change their meaning.
type kind byte

// What the caller says to the process that serves.
const (
	kindOpen   kind = 'o' // a request: its head and the first piece of its body
	kindCancel kind = 'x' // nobody waits for the answer any more
)

// What the process that serves says to the caller.
const (
	kindAnswer  kind = 'a' // status, header and the first piece of the body
	kindRefused kind = 'r' // nothing was executed: the replica is not there any more
	kindAbort   kind = 'z' // the answer broke off
)

// What both may say.
const (
	kindData   kind = 'd' // the next piece of a body
	kindBroken kind = 'b' // the body of the request could not be read to its end
	kindCredit kind = 'c' // so many more bytes may be sent
)

// packet is one message between two processes: the kind, the length of the head, the head,
// and a piece of a body. The head is fields as protobuf writes them, so that a build passes
// over what a newer one has added; numbers are never given another meaning.
type packet struct {
	kind   kind
	number uint64 // 7: of the call, by which its answers are told apart at the caller's shared subject; 0: they have a subject of their own
	data   []byte // a piece of a body; not a copy
	last   bool   // 2: the body ends with it
	call   string // 3: of all but the first packet of a caller: the subject by which the call is known
	credit uint64 // 4: bytes
	fault  []byte // 5: of kindBroken: a problem document, as package problem writes within the house
	length int64  // 6: of the body, as http.Request.ContentLength has it; -1: not known

	status   int         // 40
	observed [][]byte    // 41: internal errors for the log of the edge, as problem documents
	header   http.Header // 50, 51: names, each before its values
	values   []string    // memory of the header's values that are still to be read

	asking // of kindOpen
}

// asking is what only the first packet of a request says.
type asking struct {
	serve    uint64 // 10: the number under which the place was announced
	endpoint uint64 // 11: its index there
	budget   uint64 // 12: microseconds that the caller has left; 0: no limit
	build    string // 13: of the caller

	method, scheme, host, path, rawPath, query, hostHeader, remote string // 20 to 27

	account auth.Account // 30 to 32
	client  string       // 33: the address of whoever asked at the edge
	request string       // 34: the request's id
	travels []byte       // 35: the frame of the context as JSON, if the header does not say it
}

const (
	fieldLast, fieldCall, fieldCredit, fieldFault      protowire.Number = 2, 3, 4, 5
	fieldLength, fieldNumber                           protowire.Number = 6, 7
	fieldServe, fieldEndpoint, fieldBudget, fieldBuild protowire.Number = 10, 11, 12, 13
	fieldMethod                                        protowire.Number = 20
	fieldAccount, fieldType, fieldSession, fieldClient protowire.Number = 30, 31, 32, 33
	fieldRequest, fieldTravels                         protowire.Number = 34, 35
	fieldStatus, fieldObserved                         protowire.Number = 40, 41
	fieldName, fieldValue                              protowire.Number = 50, 51
)

// append writes the packet behind b.
func (f *packet) append(b []byte) []byte {
	var room [1 << 10]byte
	return assemble(b, f.kind, f.head(room[:0]), f.last, f.data)
}

// assemble writes a packet behind b. Its head is written already, but for last.
func assemble(b []byte, k kind, head []byte, last bool, data []byte) []byte {
	if last {
		head = putNumber(head, fieldLast, 1)
	}
	b = protowire.AppendBytes(append(b, byte(k)), head)
	return append(b, data...)
}

// head writes the fields but for last. The number is the first of them: see addressee.
func (f *packet) head(b []byte) []byte {
	b = putNumber(b, fieldNumber, f.number)
	b = putText(b, fieldCall, f.call)
	b = putNumber(b, fieldCredit, f.credit)
	b = putBytes(b, fieldFault, f.fault)
	b = putNumber(b, fieldLength, protowire.EncodeZigZag(f.length))
	if f.kind == kindOpen {
		b = f.asking.head(b)
	}
	b = putNumber(b, fieldStatus, uint64(f.status))
	b = putHeader(b, f.header)
	for _, err := range f.observed {
		b = putBytes(b, fieldObserved, err)
	}
	return b
}

func (a *asking) head(b []byte) []byte {
	b = putNumber(b, fieldServe, a.serve)
	b = putNumber(b, fieldEndpoint, a.endpoint)
	b = putNumber(b, fieldBudget, a.budget)
	b = putText(b, fieldBuild, a.build)
	for i, text := range a.address() {
		b = putText(b, fieldMethod+protowire.Number(i), *text)
	}
	b = putText(b, fieldAccount, a.account.ID)
	b = putText(b, fieldType, string(a.account.Type))
	b = putText(b, fieldSession, a.account.Session)
	b = putText(b, fieldClient, a.client)
	b = putText(b, fieldRequest, a.request)
	return putBytes(b, fieldTravels, a.travels)
}

// address are the texts of the request line, in the order of their fields.
func (a *asking) address() [8]*string {
	return [8]*string{&a.method, &a.scheme, &a.host, &a.path, &a.rawPath, &a.query, &a.hostHeader, &a.remote}
}

func putText(b []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

func putBytes(b []byte, field protowire.Number, data []byte) []byte {
	if len(data) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), data)
}

func putNumber(b []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

// putHeader writes each name with its values; empty values count.
func putHeader(b []byte, h http.Header) []byte {
	for name, values := range h {
		b = protowire.AppendString(protowire.AppendTag(b, fieldName, protowire.BytesType), name)
		for _, value := range values {
			b = protowire.AppendString(protowire.AppendTag(b, fieldValue, protowire.BytesType), value)
		}
	}
	return b
}

var errShort = errors.New("the packet is empty")

// decode reads a packet into f, whose header is added to if it has one. Its data stays a
// part of b.
func (f *packet) decode(b []byte) error {
	head, data, err := split(b)
	if err != nil {
		return err
	}
	f.kind, f.data = kind(b[0]), data
	return f.read(head, string(head))
}

// split finds the head of a packet and the piece of a body behind it.
func split(b []byte) (head, data []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	head, n := protowire.ConsumeBytes(b[1:])
	if n < 0 {
		return nil, nil, fmt.Errorf("read the head: %w", protowire.ParseError(n))
	}
	return head, b[1+n:], nil
}

// addressee is the number that a packet begins with; 0 when it has none.
func addressee(b []byte) uint64 {
	head, _, err := split(b)
	if err != nil {
		return 0
	}
	field, _, n := protowire.ConsumeTag(head)
	if n < 0 || field != fieldNumber {
		return 0
	}
	number, _ := protowire.ConsumeVarint(head[n:]) // 0 when it is none
	return number
}

// read reads the fields of a head; text is the same, so that all texts share one copy.
func (f *packet) read(head []byte, text string) error {
	name := ""
	for rest := head; len(rest) > 0; {
		field, wire, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return fmt.Errorf("read the tag of a field: %w", protowire.ParseError(n))
		}
		rest = rest[n:]
		switch wire {
		case protowire.VarintType:
			var number uint64
			if number, n = protowire.ConsumeVarint(rest); n >= 0 {
				f.setNumber(field, number)
			}
		case protowire.BytesType:
			var data []byte
			if data, n = protowire.ConsumeBytes(rest); n >= 0 {
				end := len(head) - len(rest) + n
				name = f.setText(field, text[end-len(data):end], name)
			}
		default:
			n = protowire.ConsumeFieldValue(field, wire, rest)
		}
		if n < 0 {
			return fmt.Errorf("read field %d: %w", field, protowire.ParseError(n))
		}
		rest = rest[n:]
	}
	return nil
}

func (f *packet) setNumber(field protowire.Number, n uint64) {
	switch field {
	case fieldLast:
		f.last = n != 0
	case fieldCredit:
		f.credit = n
	case fieldLength:
		f.length = protowire.DecodeZigZag(n)
	case fieldNumber:
		f.number = n
	case fieldStatus:
		f.status = int(min(n, 999)) // the greatest that HTTP can say
	default:
		if f.kind == kindOpen {
			f.asking.setNumber(field, n)
		}
	}
}

func (a *asking) setNumber(field protowire.Number, n uint64) {
	switch field {
	case fieldServe:
		a.serve = n
	case fieldEndpoint:
		a.endpoint = n
	case fieldBudget:
		a.budget = n
	}
}

// setText sets a field; name is the header's that values belong to, and what it returns
// is the next.
func (f *packet) setText(field protowire.Number, text, name string) string {
	switch field {
	case fieldFault:
		f.fault = []byte(text)
	case fieldObserved:
		f.observed = append(f.observed, []byte(text))
	case fieldCall:
		f.call = text
	case fieldName:
		f.setName(text)
		return text
	case fieldValue:
		f.setValue(name, text)
	default:
		if f.kind == kindOpen {
			f.asking.setText(field, text)
		}
	}
	return name
}

func (a *asking) setText(field protowire.Number, text string) {
	switch field {
	case fieldTravels:
		a.travels = []byte(text)
	case fieldBuild:
		a.build = text
	case fieldAccount:
		a.account.ID = text
	case fieldType:
		a.account.Type = auth.Type(text)
	case fieldSession:
		a.account.Session = text
	case fieldClient:
		a.client = text
	case fieldRequest:
		a.request = text
	default:
		if i := field - fieldMethod; i >= 0 && int(i) < len(a.address()) {
			*a.address()[i] = text
		}
	}
}

// setName adds a name to the header; it may have no value.
func (f *packet) setName(name string) {
	if f.header == nil {
		f.header = http.Header{}
	}
	if _, known := f.header[name]; !known {
		f.header[name] = nil
	}
}

// setValue adds a value to a name of the header.
func (f *packet) setValue(name, value string) {
	if f.header == nil {
		return // a value before any name is nobody's
	}
	if values := f.header[name]; len(values) > 0 {
		f.header[name] = append(values, value)
		return
	}
	if len(f.values) == 0 { // most names have one value: several share an allocation
		f.values = make([]string, 4)
	}
	f.values[0] = value
	f.header[name], f.values = f.values[:1:1], f.values[1:]
}
