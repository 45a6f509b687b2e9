package web_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"m3o/internal/web"
)

func listen(t *testing.T) *web.Server {
	t.Helper()
	s, err := web.Listen(t.Context(), "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAServerStopsQuietly(t *testing.T) {
	t.Parallel()
	for range 200 { // what is wrong here is wrong sometimes
		s := listen(t)
		s.Start(http.NotFoundHandler())
		resp, err := new(http.Client).Do(request(t, s))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		for range 2 {
			if err := s.Stop(t.Context()); err != nil {
				t.Fatalf("Stop: %v", err)
			}
		}
		if err := <-s.Failed(); err != nil {
			t.Fatalf("Failed after Stop: %v", err)
		}
	}
}

func TestAServerThatNeverStartedGivesItsPortBack(t *testing.T) {
	t.Parallel()
	s := listen(t)
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Fatalf("Stop: %v", err)
		}
	}
	again, err := web.Listen(t.Context(), s.Addr().String(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func TestAServerTellsThatRequestsWereCutOff(t *testing.T) {
	t.Parallel()
	s := listen(t)
	arrived := make(chan struct{})
	s.Start(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	cut := make(chan error, 1)
	go func() {
		resp, err := new(http.Client).Do(request(t, s))
		if err == nil {
			_ = resp.Body.Close()
		}
		cut <- err
	}()
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); err == nil {
		t.Error("Stop did not tell")
	}
	if err := <-cut; err == nil {
		t.Error("the request was answered")
	}
}

// request is a GET of which nothing is left open.
func request(t *testing.T, s *web.Server) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+"/", nil)
	if err != nil {
		t.Error(err)
		return nil
	}
	r.Close = true
	return r
}
