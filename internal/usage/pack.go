package usage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"m3o/internal/db"
	"m3o/internal/money"
	"m3o/internal/usage/usageapi"
)

// A pack is served calls of one customer in one row of the store: a call is some forty
// bytes there, where a row of its own takes three hundred and eight times the work.
//
// Its bytes are the version, the number of calls, and the calls by (time, request id),
// oldest first. Numbers are varints. A call is what its request id shares with the one
// before and the rest of it, then key, service, endpoint and lease, status, price,
// microseconds that it took and microseconds since the call before. A text that a pack
// has had is its number from 1; 0 comes before one that is new, which its length
// begins.
const packVersion = 1

// The bounds of a pack: so many calls, all of them within one hour of UTC.
const (
	packCalls = 1000
	packSpan  = time.Hour
)

// errPack says that stored bytes are no pack.
var errPack = errors.New("a pack of calls is damaged")

// pack writes calls that are sorted.
func pack(calls []usageapi.Call) []byte {
	p := packer{data: make([]byte, 0, 64+48*len(calls)), numbers: map[string]uint64{}}
	p.data = append(p.data, packVersion)
	p.number(uint64(len(calls)))
	for i := range calls {
		p.call(&calls[i])
	}
	return p.data
}

type packer struct {
	data    []byte
	numbers map[string]uint64 // of the texts so far, from 1
	id      string            // of the call before
	time    int64             // and its Unix microseconds
}

func (p *packer) call(c *usageapi.Call) {
	shared := sharedPrefix(p.id, c.RequestID)
	p.number(uint64(shared))
	p.bytes(c.RequestID[shared:])
	for _, text := range [...]string{c.KeyID, c.Service, c.Endpoint, c.Lease} {
		p.text(text)
	}
	p.number(uint64(c.Status))
	p.number(uint64(c.Price))
	p.data = binary.AppendVarint(p.data, c.Duration.Microseconds())
	at := db.Micro(c.Time)
	p.data = binary.AppendVarint(p.data, at-p.time)
	p.id, p.time = c.RequestID, at
}

func (p *packer) number(n uint64) { p.data = binary.AppendUvarint(p.data, n) }

func (p *packer) bytes(text string) {
	p.number(uint64(len(text)))
	p.data = append(p.data, text...)
}

func (p *packer) text(text string) {
	n := p.numbers[text]
	p.number(n)
	if n == 0 {
		p.bytes(text)
		p.numbers[text] = uint64(len(p.numbers) + 1)
	}
}

func sharedPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// unpack reads a pack of a customer's calls, oldest first. Calls know nothing of
// allowances then.
func unpack(customerID string, data []byte) ([]usageapi.Call, error) {
	if len(data) == 0 || data[0] != packVersion {
		return nil, fmt.Errorf("%w: its version is not known", errPack)
	}
	u := unpacker{data: data[1:]}
	count := u.number()
	if count > uint64(len(data)) { // a call takes more than a byte
		return nil, errPack
	}
	calls := make([]usageapi.Call, 0, count)
	for range count {
		calls = append(calls, u.call(customerID))
	}
	if u.damaged || len(u.data) > 0 {
		return nil, errPack
	}
	return calls, nil
}

// unpacker reads on over damage, which it remembers.
type unpacker struct {
	data    []byte
	texts   []string
	id      string
	time    int64
	damaged bool
}

func (u *unpacker) call(customerID string) usageapi.Call {
	shared := u.number()
	if shared > uint64(len(u.id)) {
		u.damaged, shared = true, 0
	}
	u.id = u.id[:shared] + u.bytes()
	c := usageapi.Call{RequestID: u.id, CustomerID: customerID, KeyID: u.text(), Service: u.text(), Endpoint: u.text(), Lease: u.text()}
	c.Status, c.Price = int(u.number()), money.Micros(u.number())
	c.Duration = time.Duration(u.signed()) * time.Microsecond
	u.time += u.signed()
	c.Time = db.Time(u.time)
	return c
}

func (u *unpacker) number() uint64 {
	n, size := binary.Uvarint(u.data)
	u.skip(size)
	return n
}

func (u *unpacker) signed() int64 {
	n, size := binary.Varint(u.data)
	u.skip(size)
	return n
}

func (u *unpacker) skip(size int) {
	if size <= 0 {
		u.damaged, u.data = true, nil
		return
	}
	u.data = u.data[size:]
}

func (u *unpacker) bytes() string {
	size := u.number()
	if size > uint64(len(u.data)) {
		u.damaged, u.data = true, nil
		return ""
	}
	text := string(u.data[:size])
	u.data = u.data[size:]
	return text
}

func (u *unpacker) text() string {
	n := u.number()
	switch {
	case n == 0:
		u.texts = append(u.texts, u.bytes())
		n = uint64(len(u.texts))
	case n > uint64(len(u.texts)):
		u.damaged = true
		return ""
	}
	return u.texts[n-1]
}
