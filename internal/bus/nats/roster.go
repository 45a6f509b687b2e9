package natsbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"m3o/internal/bus"
	"m3o/internal/fault"
)

const (
	tick       = 250 * time.Millisecond // how often the others are looked after
	beat       = 4                      // of so many ticks one tells the others that we are there
	quietLimit = 2 * time.Second        // a process that says nothing for so long is asked
	deadLimit  = 5 * time.Second        // and after so long taken for dead
	heedLimit  = time.Second            // how long Serve and Open wait for the others
	askAfter   = 100 * time.Millisecond // of that, before it is asked whether they are still there
)

// note is what processes tell each other about what they serve. It travels as JSON; a
// build passes over the members that a newer one has added.
type note struct {
	Kind      noteKind    `json:"kind"`
	Process   string      `json:"process"`        // who says it
	Name      string      `json:"name"`           // for the log
	Build     string      `json:"build"`          //
	Serve     uint64      `json:"serve"`          // of noteServe and noteStop: the number of the place
	Replica   string      `json:"replica"`        // of noteServe
	Endpoints []announced `json:"endpoints"`      // of noteServe
	Serves    []uint64    `json:"serves"`         // of noteBeat: all that is served
	Peers     []string    `json:"peers"`          // of noteBeat: who is known
	Full      bool        `json:"full,omitempty"` // of noteBeat: an answer to noteHello, after every noteServe
}

type noteKind string

const (
	noteServe noteKind = "serve" // a replica has come
	noteStop  noteKind = "stop"  // a replica goes
	noteBeat  noteKind = "beat"  // the process is there, and what it serves
	noteHello noteKind = "hello" // a process has come and wants to know all
	noteBye   noteKind = "bye"   // the process goes
)

// announced is an endpoint as others are told of it.
type announced struct {
	Host   string `json:"host"`
	Port   int    `json:"port"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Queue  string `json:"queue"`
}

// roster is who else is there and what they serve.
type roster struct {
	bus   *Bus
	notes chan *nats.Msg

	// sending is held for reading by who sends a request, and else by who asks whether a
	// process is there: so each request is sent before a question or after it.
	sending sync.RWMutex

	mu      sync.Mutex
	places  map[uint64]*place // ours
	peers   map[string]*peer
	polls   map[*poll]bool
	builds  map[string]bool // that were logged
	joining *joining        // nil: nobody waits for it
	looked  time.Time
}

// peer is another process.
type peer struct {
	roster *roster
	id     string
	name   string
	calls  string // its subject for requests

	gone bool // nothing will ever come from it; guarded by roster.sending

	// Guarded by roster.mu.
	asked  uint64 // the number of the last question whether it is there; 0: none
	heard  time.Time
	places map[uint64]func() // how to forget what it serves, by number
	left   bool              // it has said so, or nobody hears what is sent to it
}

// joining is who is waited for until all is known.
type joining struct {
	wanted map[string]bool
	known  map[string]bool
	done   chan struct{}
}

// poll is who has not heeded yet what they were told.
type poll struct {
	roster  *roster
	missing map[string]bool
	done    chan struct{}
}

func newRoster(b *Bus) *roster {
	return &roster{bus: b, notes: make(chan *nats.Msg, 1<<14), places: map[uint64]*place{}, peers: map[string]*peer{}, polls: map[*poll]bool{},
		builds: map[string]bool{b.config.Version: true, "": true}, looked: b.config.Now()}
}

// join gets to know who is there, and then lets them know of us. Processes that come at
// the same moment may ask before either can answer: then they hear of each other by what
// both say afterwards.
func (r *roster) join(ctx context.Context) error {
	for _, subject := range []string{r.bus.subjects.everybody(), r.bus.subjects.roster(r.bus.id)} {
		if _, err := r.bus.nc.ChanSubscribe(subject, r.notes); err != nil {
			return fmt.Errorf("subscribe to %s: %w", subject, err)
		}
	}
	r.bus.running.Go(func() { r.listen(r.bus.living) })
	j := &joining{wanted: map[string]bool{}, known: map[string]bool{}, done: make(chan struct{})}
	r.mu.Lock()
	r.joining = j
	r.mu.Unlock()
	alone := make(silence, 1)
	number, reply := r.bus.hearers.add(alone)
	defer r.bus.hearers.remove(number)
	if err := r.bus.nc.PublishRequest(r.bus.subjects.hello(), reply, r.write(note{Kind: noteHello})); err != nil {
		return fmt.Errorf("greet the other processes: %w", err)
	}
	limit, cancel := context.WithTimeout(ctx, heedLimit)
	defer cancel()
	select {
	case <-alone:
	case <-j.done:
	case <-limit.Done():
		r.bus.log.Warn("not all processes on the bus have said what they serve: what is missing will be known when they do")
	}
	if _, err := r.bus.nc.ChanSubscribe(r.bus.subjects.hello(), r.notes); err != nil {
		return fmt.Errorf("subscribe to %s: %w", r.bus.subjects.hello(), err)
	}
	r.mu.Lock()
	r.joining = nil
	r.tell(r.bus.subjects.everybody(), r.beat(true))
	r.mu.Unlock()
	if err := r.bus.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("greet the other processes: %w", err)
	}
	return nil
}

// silence hears that nobody hears.
type silence chan struct{}

func (s silence) hear(m *nats.Msg) {
	if nobodyHears(m) {
		wake(s)
	}
}

// rejoin says everything again: others may have forgotten us, and we may have missed what
// they said.
func (r *roster) rejoin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		p.heard = r.bus.config.Now()
		p.ask()
	}
	r.tell(r.bus.subjects.hello(), note{Kind: noteHello})
	r.tellAll(r.bus.subjects.everybody())
}

// leave says that this process goes.
func (r *roster) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(r.bus.subjects.everybody(), note{Kind: noteBye})
}

// serve tells the others of a new place and waits until they know, or until they are seen
// not to be there any more, or for a second.
func (r *roster) serve(p *place) {
	wait := &poll{roster: r, missing: map[string]bool{}, done: make(chan struct{})}
	number, reply := r.bus.hearers.add(wait)
	defer r.bus.hearers.remove(number)
	r.mu.Lock()
	r.places[p.number] = p
	for id, other := range r.peers {
		if !other.left {
			wait.missing[id] = true
		}
	}
	if len(wait.missing) == 0 {
		close(wait.done)
	} else {
		r.polls[wait] = true
	}
	err := r.bus.nc.PublishRequest(r.bus.subjects.everybody(), reply, r.write(p.note()))
	r.mu.Unlock()
	if err != nil {
		r.bus.log.Warn("not connected to NATS: what this process serves will be known when it is", "replica", p.replica)
	} else {
		r.await(wait)
	}
	r.mu.Lock()
	delete(r.polls, wait)
	r.mu.Unlock()
}

func (r *roster) await(wait *poll) {
	timer := time.NewTimer(askAfter)
	defer timer.Stop()
	select {
	case <-wait.done:
		return
	case <-timer.C:
	}
	r.mu.Lock()
	for other := range wait.missing {
		if p := r.peers[other]; p != nil {
			p.ask()
		}
	}
	r.mu.Unlock()
	timer.Reset(heedLimit - askAfter)
	select {
	case <-wait.done:
	case <-timer.C:
		r.bus.log.Warn("not all processes on the bus know yet what this one serves")
	}
}

// hear implements hearer: another process has heeded.
func (w *poll) hear(m *nats.Msg) {
	w.roster.mu.Lock()
	defer w.roster.mu.Unlock()
	w.heeded(string(m.Data))
}

func (w *poll) heeded(process string) {
	if delete(w.missing, process); len(w.missing) == 0 && w.roster.polls[w] {
		delete(w.roster.polls, w)
		close(w.done)
	}
}

// stop tells the others that a place is there no more. What they send in the meantime is
// refused, so nobody waits for them.
func (r *roster) stop(p *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.places[p.number] == nil {
		return
	}
	delete(r.places, p.number)
	r.tell(r.bus.subjects.everybody(), note{Kind: noteStop, Serve: p.number})
}

// tell sends a note. What cannot be sent is said again when the connection is back.
func (r *roster) tell(subject string, n note) { _ = r.bus.nc.Publish(subject, r.write(n)) }

// tellAll tells all that we serve.
func (r *roster) tellAll(subject string) {
	for _, number := range slices.Sorted(maps.Keys(r.places)) {
		r.tell(subject, r.places[number].note())
	}
	r.tell(subject, r.beat(true))
}

func (r *roster) write(n note) []byte {
	n.Process, n.Name, n.Build = r.bus.id, r.bus.config.Name, r.bus.config.Version
	text, err := json.Marshal(n)
	if err != nil {
		panic(err) // it has nothing but texts and numbers
	}
	return text
}

func (r *roster) beat(full bool) note {
	n := note{Kind: noteBeat, Serves: slices.Sorted(maps.Keys(r.places)), Full: full}
	for id, other := range r.peers {
		if full && !other.left {
			n.Peers = append(n.Peers, id)
		}
	}
	return n
}

func (p *place) note() note {
	n := note{Kind: noteServe, Serve: p.number, Replica: p.replica}
	for _, e := range p.endpoints {
		n.Endpoints = append(n.Endpoints, announced{e.Host, e.Port, e.Method, e.Path, e.Queue})
	}
	return n
}

// listen takes the notes of others, in the order in which each of them wrote them, and
// looks after the others.
func (r *roster) listen(living context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 0; ; {
		select {
		case m := <-r.notes:
			r.take(m)
		case <-ticker.C:
			n++
			r.look(n%beat == 0)
		case <-living.Done():
			return
		}
	}
}

func (r *roster) take(m *nats.Msg) {
	if len(m.Data) == 0 {
		return // somebody asks whether we are there
	}
	var n note
	if err := json.Unmarshal(m.Data, &n); err != nil || n.Process == "" {
		r.bus.log.Warn("a note on the bus cannot be read", "error", err)
		return
	}
	if n.Process == r.bus.id {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.Kind == noteBye {
		if p := r.peers[n.Process]; p != nil {
			r.part(p)
		}
		return
	}
	p := r.meet(n)
	switch n.Kind {
	case noteServe:
		p.serves(n)
	case noteStop:
		p.stops(n.Serve)
	case noteHello:
		r.tellAll(r.bus.subjects.roster(p.id))
	case noteBeat:
		r.compare(p, n)
	}
	if m.Reply != "" && n.Kind == noteServe {
		_ = r.bus.nc.Publish(m.Reply, []byte(r.bus.id))
	}
}

// meet is the process that a note comes from, known from now on.
func (r *roster) meet(n note) *peer {
	p := r.peers[n.Process]
	if p == nil {
		p = &peer{roster: r, id: n.Process, name: n.Name, calls: r.bus.subjects.calls(n.Process), places: map[uint64]func(){}}
		r.peers[p.id] = p
	}
	p.heard, p.left = r.bus.config.Now(), false
	r.meetBuild(n.Build, n.Name)
	return p
}

// compare makes good what was missed of what another process has said.
func (r *roster) compare(p *peer, n note) {
	for number := range p.places {
		if !slices.Contains(n.Serves, number) {
			p.stops(number)
		}
	}
	if len(p.places) < len(n.Serves) && !n.Full {
		r.tell(r.bus.subjects.roster(p.id), note{Kind: noteHello})
	}
	j := r.joining
	if j == nil || !n.Full {
		return
	}
	j.known[p.id], j.wanted[p.id] = true, true
	for _, other := range n.Peers {
		j.wanted[other] = other != r.bus.id
	}
	r.checkJoined()
}

// checkJoined tells whoever waits for it that all are known.
func (r *roster) checkJoined() {
	j := r.joining
	if j == nil || len(j.known) == 0 {
		return
	}
	for other, wanted := range j.wanted {
		if wanted && !j.known[other] {
			return
		}
	}
	close(j.done)
	r.joining = nil
}

// serves puts what another process serves into our table.
func (p *peer) serves(n note) {
	if p.places[n.Serve] != nil {
		return
	}
	endpoints := make([]bus.Endpoint, len(n.Endpoints))
	for i, e := range n.Endpoints {
		endpoints[i] = bus.Endpoint{Host: e.Host, Port: e.Port, Method: e.Method, Path: e.Path, Queue: e.Queue,
			Handler: &elsewhere{bus: p.roster.bus, peer: p, serve: n.Serve, endpoint: i}}
	}
	p.places[n.Serve] = p.roster.bus.table.Know(n.Replica, endpoints...)
}

func (p *peer) stops(number uint64) {
	if forget := p.places[number]; forget != nil {
		delete(p.places, number)
		forget()
	}
}

// forget passes over a place that has refused a request.
func (p *peer) forget(number uint64) {
	p.roster.mu.Lock()
	defer p.roster.mu.Unlock()
	p.stops(number)
}

// question is whether a process is still there, and the calls that were sent to it before.
type question struct {
	peer  *peer
	calls []*call
}

// ask asks whether the process is still there. Only that it is not will be heard. It is
// asked where it hears notes: there it listens until all its answers are on their way, and
// longer than it hears requests.
func (p *peer) ask() {
	r := p.roster
	r.bus.hearers.remove(p.asked)
	r.sending.Lock()
	defer r.sending.Unlock()
	var reply string
	p.asked, reply = r.bus.hearers.add(&question{p, r.bus.callsTo(p)})
	_ = r.bus.nc.PublishRequest(r.bus.subjects.roster(p.id), reply, nil)
}

// hear implements hearer: nobody hears the question, so every answer that there will be
// has come. What was sent after it is answered in the same way.
func (q *question) hear(m *nats.Msg) {
	if !nobodyHears(m) {
		return
	}
	r := q.peer.roster
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(q.peer, q.calls)
}

// quit passes over all that a process serves, since nobody hears what is sent to it. Calls
// that it may have begun end when it has been asked once more: until then each of them may
// learn for itself that it was not begun.
func (r *roster) quit(p *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !p.left {
		r.part(p)
	}
}

// part is quit for who holds the lock.
func (r *roster) part(p *peer) {
	p.left = true
	for number := range p.places {
		p.stops(number)
	}
	r.unwait(p)
	p.ask()
}

// unwait lets nobody wait for a process's word.
func (r *roster) unwait(p *peer) {
	for wait := range r.polls {
		wait.heeded(p.id)
	}
	if r.joining != nil {
		delete(r.joining.wanted, p.id)
		r.checkJoined()
	}
}

// drop forgets a process that is not there any more, and ends the calls that it will not
// answer, and what we do for it.
func (r *roster) drop(p *peer, calls []*call) {
	for number := range p.places {
		p.stops(number)
	}
	if r.peers[p.id] == p {
		delete(r.peers, p.id)
	}
	r.bus.hearers.remove(p.asked)
	r.unwait(p)
	p.left = true
	for _, c := range calls {
		c.lose(p.name + " went away")
	}
	r.bus.servings.cancel(r.bus.subjects.answers(p.id))
}

// abandon sends nothing more to a process; it returns the calls to it.
func (r *roster) abandon(p *peer) []*call {
	r.sending.Lock()
	defer r.sending.Unlock()
	p.gone = true
	return r.bus.callsTo(p)
}

// look asks those that say nothing, gives up those that have said nothing for too long, and
// tells the others that we are there.
func (r *roster) look(tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.bus.config.Now()
	slept := now.Sub(r.looked) - 2*tick // it is we who were held up
	r.looked = now
	if r.bus.Disconnected() > 0 {
		return
	}
	waiting := r.bus.waiting()
	for _, p := range r.peers {
		p.heard = p.heard.Add(max(slept, 0))
		switch silent := now.Sub(p.heard); {
		case silent > deadLimit:
			r.bus.log.Warn("a process on the bus says nothing any more", "name", p.name, "id", p.id, "for", silent)
			r.drop(p, r.abandon(p))
		case silent > quietLimit || waiting[p]:
			p.ask()
		}
	}
	if tell {
		r.tell(r.bus.subjects.everybody(), r.beat(false))
	}
}

// meetBuilds is meetBuild for each request that comes.
func (r *roster) meetBuilds(build string) {
	if build == "" || build == r.bus.config.Version {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meetBuild(build, "")
}

// meetBuild logs a build that is not ours, once.
func (r *roster) meetBuild(build, name string) {
	if !r.builds[build] {
		r.builds[build] = true
		r.bus.log.Warn("another build is on the bus", "name", name, "build", build, "own", r.bus.config.Version)
	}
}

// waiting are the processes from which answers are awaited.
func (b *Bus) waiting() map[*peer]bool {
	all := map[*peer]bool{}
	for _, h := range b.hearers.all() {
		if c, ok := h.(*call); ok {
			all[c.peer] = true
		}
	}
	return all
}

// callsTo are the calls that were sent to a process; nil: to any. The caller holds
// roster.sending, so that no more are.
func (b *Bus) callsTo(p *peer) (all []*call) {
	for _, h := range b.hearers.all() {
		if c, ok := h.(*call); ok && c.sent && (p == nil || c.peer == p) {
			all = append(all, c)
		}
	}
	return all
}

// send sends the first packet of c, which waits for its answer from then on. An error
// means that its process is not there any more, or not to be reached.
func (b *Bus) send(c *call, open *packet) (err error) {
	b.roster.sending.RLock()
	defer b.roster.sending.RUnlock()
	if c.peer.gone {
		return bus.Gone()
	}
	c.number, c.reply = b.hearers.add(c)
	open.number = c.number
	if err = b.publish(c.peer.calls, c.reply, open); err == nil {
		c.sent = true
		return nil
	}
	b.hearers.remove(c.number)
	if errors.Is(err, nats.ErrMaxPayload) {
		return fault.New(fault.TooLarge, "the header of a request to %s does not fit into a message of NATS", c.host)
	}
	return b.unreachable(err)
}
