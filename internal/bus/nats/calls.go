package natsbus

import (
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// hearer waits for messages under a number of its own.
type hearer interface {
	// hear takes one message. It must not wait.
	hear(m *nats.Msg)
}

// hearers are who waits for messages at this process's subjects for answers: calls, and
// whoever wants to know whether somebody is there. Each has a number. What a process says
// to a call has it in the packet and comes to one subject for all, which nats-server knows
// by heart; what NATS itself says comes to a subject that ends with the number.
type hearers struct {
	shared  string // the subject of all
	mu      sync.RWMutex
	last    uint64
	waiting map[uint64]hearer
}

func newHearers(subject string) *hearers {
	return &hearers{shared: subject, waiting: map[uint64]hearer{}}
}

// subject is that of one hearer alone.
func (a *hearers) subject(number uint64) string {
	return a.shared + "." + strconv.FormatUint(number, 36)
}

// shared is the subject of all hearers of a process, by that of one.
func shared(subject string) string { return subject[:max(strings.LastIndexByte(subject, '.'), 0)] }

// add returns the number under which h waits from now on, and its own subject.
func (a *hearers) add(h hearer) (number uint64, reply string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	a.waiting[a.last] = h
	return a.last, a.subject(a.last)
}

func (a *hearers) remove(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, number)
}

// receive hands a message to whoever waits for it.
func (a *hearers) receive(m *nats.Msg) {
	number, ours := a.number(m)
	if !ours {
		return // nobody of ours has written that
	}
	a.mu.RLock()
	h := a.waiting[number]
	a.mu.RUnlock()
	if h != nil {
		h.hear(m)
	}
}

// number is for whom a message is.
func (a *hearers) number(m *nats.Msg) (number uint64, ours bool) {
	if m.Subject == a.shared {
		number = addressee(m.Data)
		return number, number > 0
	}
	number, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 36, 64)
	return number, err == nil
}

// all are those who wait now.
func (a *hearers) all() (all []hearer) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, h := range a.waiting {
		all = append(all, h)
	}
	return all
}

// nobodyHears says whether a message is NATS's own word that nobody subscribes to the
// subject of what was sent.
func nobodyHears(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header != nil && m.Header.Get("Status") == "503"
}
