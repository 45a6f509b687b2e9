package natsbus_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// leftover writes what nobody waits for any more.
type leftover struct {
	began chan http.ResponseWriter
	ended chan bool
}

func (h leftover) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer close(h.ended)
	_, _ = io.WriteString(w, "begun")
	_ = http.NewResponseController(w).Flush()
	_, _ = io.WriteString(w, "secret of another")
	h.began <- w
	<-r.Context().Done()
}

func TestWhatIsWrittenForOneCallIsNeverInAnother(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	home := p.process()
	h := leftover{make(chan http.ResponseWriter, 1), make(chan bool)}
	stop := home.Serve("r1", endpoint(h.ServeHTTP))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	broken := make(chan bool)
	go func() {
		defer close(broken)
		defer func() { _ = recover() }() // the answer had begun
		ask(ctx, caller)
	}()
	receive(t, broken)
	late := receive(t, h.began)
	receive(t, h.ended)
	stop()
	p.serve(home, "r2", answers("mine"))
	for range 100 {
		if n, err := late.Write([]byte("too late")); n > 0 || err == nil {
			t.Fatalf("a handler that has returned wrote %d bytes: %v", n, err)
		}
		if w := ask(t.Context(), caller); w.Body.String() != "mine" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}
