package bus

import (
	"net/http"
	"strings"
	"sync/atomic"
)

// replica is who serves the endpoints of one Serve.
type replica struct {
	name    string
	running gate
}

// server is one endpoint of one replica.
type server struct {
	*Endpoint
	replica *replica
}

// address is what makes a place within a host.
type address struct {
	port   int
	method string
	path   string // canonical; its arguments have no names
}

// addressOf leaves the arguments' names out: two endpoints that differ in nothing else
// get the same requests, so they are one place.
func addressOf(e *Endpoint) address {
	segments := strings.Split(canonical(e.Path), "/")
	for i, segment := range segments {
		switch _, greedy, isArg := argument(segment); {
		case greedy:
			segments[i] = "{+}"
		case isArg:
			segments[i] = "{}"
		}
	}
	return address{e.Port, e.Method, strings.Join(segments, "/")}
}

// place is an address and who serves there.
type place struct {
	address
	queues []*queue
	turn   atomic.Uint32 // of the queues
}

// queue is who shares requests: a replica without a queue is alone in one.
type queue struct {
	name    string
	servers []*server
	turn    atomic.Uint32 // of the servers
}

func (p *place) add(one *server) {
	for _, q := range p.queues {
		if one.Queue != "" && q.name == one.Queue {
			q.servers = append(q.servers, one)
			return
		}
	}
	p.queues = append(p.queues, &queue{name: one.Queue, servers: []*server{one}})
}

// answers says whether requests of that method and port come here.
func (p *place) answers(method string, port int) bool {
	if p.port != 0 && p.port != port {
		return false
	}
	return p.method == method || p.method == Any || p.method == http.MethodGet && method == http.MethodHead
}

// methodRank tells which of two places that both answer to a method is meant more:
// HEAD may come to GET's place, and every method to Any's.
func (p *place) methodRank() int {
	switch p.method {
	case http.MethodHead:
		return 0
	case Any:
		return 2
	}
	return 1
}

// serve lets one server answer r, of the queues in turn; errGone when nobody is left.
func (p *place) serve(w http.ResponseWriter, r *http.Request) error {
	err, first := errGone, turn(&p.turn, len(p.queues))
	for i := range p.queues {
		if err = worse(err, p.queues[(first+i)%len(p.queues)].serve(w, r)); err == nil {
			return nil
		}
	}
	return err
}

// serve lets one server answer r, of those who share in turn; errGone when nobody is left.
func (q *queue) serve(w http.ResponseWriter, r *http.Request) error {
	err, first := errGone, turn(&q.turn, len(q.servers))
	for i := range q.servers {
		one := q.servers[(first+i)%len(q.servers)]
		if !one.replica.running.enter() {
			continue
		}
		if err = worse(err, one.serve(w, r)); err == nil {
			return nil
		}
	}
	return err
}

// enter enters one server, of those who share in turn; nil when all are about to stop. Its
// replica's gate must be left.
func (q *queue) enter() *server {
	first := turn(&q.turn, len(q.servers))
	for i := range q.servers {
		if one := q.servers[(first+i)%len(q.servers)]; one.replica.running.enter() {
			return one
		}
	}
	return nil
}

func (s *server) isHere() bool {
	_, elsewhere := s.Handler.(Elsewhere)
	return !elsewhere
}

// serve lets the server, whose gate is entered, answer r.
func (s *server) serve(w http.ResponseWriter, r *http.Request) error {
	defer s.replica.running.leave()
	return s.answer(w, r)
}

// answer lets the server answer r; an error means that it has not begun to.
func (s *server) answer(w http.ResponseWriter, r *http.Request) error {
	if there, ok := s.Handler.(Elsewhere); ok {
		return there.Try(w, r)
	}
	s.Handler.ServeHTTP(w, r)
	return nil
}

// turn is whose turn it is of n. One alone need not count.
func turn(counter *atomic.Uint32, n int) int {
	if n == 1 {
		return 0
	}
	return int((counter.Add(1) - 1) % uint32(n))
}
