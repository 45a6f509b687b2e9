package bustest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
)

// streams is what bodies promise.
func (s suite) streams(t *testing.T) {
	t.Parallel()
	s.story(t, "OfAnySizeArriveUnchanged", func(t *testing.T, b *fixture) {
		b.serve("r1", at("one.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		})))
		random := rand.NewChaCha8([32]byte{1})
		for _, size := range []int{0, 1, 1 << 10, 1<<20 - 1, 1 << 20, 3 << 20, 16 << 20} {
			sent := make([]byte, size)
			_, _ = random.Read(sent)
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://one.test/", bytes.NewReader(sent))
			b.Handler("one.test").ServeHTTP(w, r)
			if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), sent) {
				t.Errorf("%d bytes came back as %d with status %d", size, w.Body.Len(), w.Code)
			}
		}
	})
	s.story(t, "AnswerPieceByPiece", func(t *testing.T, b *fixture) {
		more := make(chan bool)
		b.serve("r1", at("one.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Answer", "yes")
			_, _ = io.WriteString(w, "one")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("flush: %v", err)
			}
			<-more
			_, _ = io.WriteString(w, "two")
		})))
		_, r := exchange(t.Context(), http.MethodGet, "https://one.test/", "")
		w, read := newLive()
		call := inBackground(func() {
			b.Handler("one.test").ServeHTTP(w, r)
			w.end()
		})
		if got := read(3); got != "one" || w.header.Get("X-Answer") != "yes" {
			t.Errorf("the first piece is %q under %v", got, w.header)
		}
		more <- true
		if got := read(3); got != "two" {
			t.Errorf("the second piece is %q", got)
		}
		receive(b, call)
	})
	s.story(t, "ReachTheHandlerWhileTheyAreWritten", func(t *testing.T, b *fixture) {
		got := make(chan string)
		b.serve("r1", at("one.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for range 2 {
				piece := make([]byte, 3)
				_, _ = io.ReadFull(r.Body, piece)
				got <- string(piece)
			}
		})))
		reader, writer := io.Pipe()
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://one.test/", reader)
		call := inBackground(func() { b.Handler("one.test").ServeHTTP(w, r) })
		for _, piece := range []string{"one", "two"} { // the second is written when the first has arrived
			if _, err := io.WriteString(writer, piece); err != nil {
				t.Error(err)
			}
			equal(t, "piece", []string{receive(b, got)}, []string{piece})
		}
		_ = writer.Close()
		receive(b, call)
	})
}

// live is an answer that is read while it is written.
type live struct {
	header http.Header
	body   *io.PipeWriter
}

// newLive also returns how to read the next bytes of the answer.
func newLive() (w *live, read func(n int) string) {
	reader, writer := io.Pipe()
	return &live{header: http.Header{}, body: writer}, func(n int) string {
		piece := make([]byte, n)
		n, _ = io.ReadFull(reader, piece)
		return string(piece[:n])
	}
}

func (w *live) Header() http.Header         { return w.header }
func (w *live) WriteHeader(int)             {}
func (w *live) Write(p []byte) (int, error) { return w.body.Write(p) }
func (w *live) Flush()                      {}
func (w *live) end()                        { _ = w.body.Close() }
