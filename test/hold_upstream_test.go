package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"
)

// moody is an upstream that speaks TCP itself, so that it can fail in every way. The last part of the path says how
// it answers.
type moody struct {
	net.Listener
	left chan string // the path of a call whose caller has gone
	end  chan struct{}
	wait sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
}

func newMoody(t *testing.T) *moody {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &moody{Listener: listener, left: make(chan string, 1000), end: make(chan struct{}), open: map[net.Conn]bool{}}
	m.wait.Go(m.accept)
	t.Cleanup(m.close)
	return m
}

func (m *moody) accept() {
	for {
		c, err := m.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		m.open[c] = true
		m.mu.Unlock()
		m.wait.Go(func() { m.serve(c.(*net.TCPConn)) })
	}
}

func (m *moody) close() {
	close(m.end)
	_ = m.Close()
	m.mu.Lock()
	for c := range m.open {
		_ = c.Close()
	}
	m.mu.Unlock()
	m.wait.Wait()
}

// serve answers the requests of a connection until an answer ends it.
func (m *moody) serve(c *net.TCPConn) {
	defer func() {
		_ = c.Close()
		m.mu.Lock()
		delete(m.open, c)
		m.mu.Unlock()
	}()
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil || !m.answer(c, path.Base(r.URL.Path)) {
			return
		}
	}
}

// What the moods answer: most is the longest body of one whose bytes are metered.
const (
	chunkLength = 1000
	mostBytes   = 3 * chunkLength
	okHead      = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	okAnswer    = okHead + "Content-Length: 11\r\n\r\n" + `{"ok":true}`
	fullLength  = 100_000
)

// answer says whether the connection can be used again.
func (m *moody) answer(c *net.TCPConn, mood string) bool {
	piece := strings.Repeat("x", chunkLength)
	switch mood {
	case "Good":
		return m.write(c, okAnswer)
	case "Slow":
		return m.pause(20*time.Millisecond) && m.write(c, okHead+"Content-Length: 11\r\n\r\n") && m.pause(20*time.Millisecond) && m.write(c, `{"ok":true}`)
	case "Fail":
		return m.write(c, "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno")
	case "Reset":
		_ = c.SetLinger(0)
	case "Half":
		m.write(c, okHead+"Content-Length: 100\r\n\r\n"+piece[:40])
	case "Garbage":
		m.write(c, "SSH-2.0-OpenSSH_9.6\r\n")
	case "Never":
		m.untilLeft(c, mood)
	case "Events":
		return m.write(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"+
			strings.Repeat(chunk("data: {\"n\":1}\n\n"), 5)+"0\r\n\r\n")
	case "Bytes":
		return m.write(c, okHead+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat(chunk(piece), 3)+"0\r\n\r\n")
	case "Torn":
		m.write(c, okHead+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat(chunk(piece), 2))
		_ = c.SetLinger(0)
	case "Begun", "BegunBytes": // half of a known length, and then no more
		m.write(c, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", okHead, fullLength, strings.Repeat(piece, 50)))
		m.untilLeft(c, mood)
	case "Flow", "FlowBytes": // of no known length, until the caller has gone
		m.flow(c, mood, "data: "+strings.Repeat("x", chunkLength-8)+"\n\n")
	}
	return false
}

func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

func (m *moody) write(c net.Conn, text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

// pause is how a slow upstream takes its time.
func (m *moody) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-m.end:
		return false
	}
}

// untilLeft waits until the caller has gone.
func (m *moody) untilLeft(c net.Conn, mood string) {
	_, _ = c.Read(make([]byte, 1))
	m.leave(mood)
}

func (m *moody) leave(mood string) {
	select {
	case m.left <- mood:
	default:
	}
}

func (m *moody) flow(c net.Conn, mood, event string) {
	defer m.leave(mood)
	if !m.write(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n") {
		return
	}
	for m.write(c, chunk(event)) && m.pause(2*time.Millisecond) {
	}
}

// heldAPI is an API with what a price is for, and with times.
type heldAPI struct {
	api
	Metering map[string]map[string]any `json:"metering"`
	Timeouts map[string]string         `json:"timeouts"`
}

const moodPrice = 100

// moods is the moody upstream as an API: each mood costs moodPrice, or 1 a byte.
func (m *moody) moods() heldAPI {
	prices := map[string]int64{}
	for _, mood := range []string{"Good", "Slow", "Fail", "Reset", "Half", "Garbage", "Never", "Events", "Begun", "Flow"} {
		prices[mood] = moodPrice
	}
	a := heldAPI{Metering: map[string]map[string]any{}, Timeouts: map[string]string{"Moody.Never": "200ms"}}
	for _, mood := range []string{"Bytes", "Torn", "BegunBytes", "FlowBytes"} {
		prices[mood] = 1
		a.Metering["Moody."+mood] = map[string]any{"by": "bytes_out", "maximum": fmt.Sprint(10 * fullLength)}
	}
	a.api = newAPI("moody", "http://"+m.Addr().String(), prices).streaming("Events", "Flow", "FlowBytes")
	return a
}

// streaming makes endpoints answer with events.
func (a api) streaming(endpoints ...string) api {
	var document map[string]any
	_ = json.Unmarshal([]byte(a.OpenAPI), &document) // it is newAPI's
	for _, endpoint := range endpoints {
		post := document["paths"].(map[string]any)["/"+a.Name+"/"+endpoint].(map[string]any)["post"].(map[string]any)
		post["responses"] = map[string]any{"200": map[string]any{"description": "OK", "content": map[string]any{"text/event-stream": map[string]any{}}}}
	}
	text, _ := json.Marshal(document)
	a.OpenAPI = string(text)
	return a
}

// sell puts a moody upstream on sale.
func (m *moody) sell(t *testing.T, admin client) {
	t.Helper()
	do[map[string]any](t, admin, "/publicapi/Publish", map[string]any{"api": m.moods()})
}
