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

// hearers are who waits for messages at this process's subject for answers: calls, and
// whoever wants to know whether somebody is there. The number is the subject's last token.
type hearers struct {
	subject string // with the dot before the number
	mu      sync.RWMutex
	last    uint64
	waiting map[uint64]hearer
}

func newHearers(subject string) *hearers {
	return &hearers{subject: subject, waiting: map[uint64]hearer{}}
}

// add returns the number under which h waits from now on, and the subject to answer to.
func (a *hearers) add(h hearer) (number uint64, reply string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	a.waiting[a.last] = h
	return a.last, a.subject + strconv.FormatUint(a.last, 36)
}

func (a *hearers) remove(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, number)
}

// receive hands a message to whoever waits for it.
func (a *hearers) receive(m *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, a.subject), 36, 64)
	if err != nil {
		return // nobody of ours has written that
	}
	a.mu.RLock()
	h := a.waiting[number]
	a.mu.RUnlock()
	if h != nil {
		h.hear(m)
	}
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
