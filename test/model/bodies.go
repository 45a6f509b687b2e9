package model

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/test/model/thing/thingapi"
)

// bodies shows that a body of any size arrives unchanged.
func (s suite) bodies(t *testing.T) {
	for _, size := range []int{0, 1, 1 << 10, 64 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20, 16 << 20} {
		s.check(t, fmt.Sprintf("R55/ABodyOf%dBytes", size), func(t *testing.T, p *plane) {
			client, sent := p.client(), noise(size)
			answer, err := client.Mirror(t.Context(), "", "application/x-noise", bytes.NewReader(sent))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(answer.Body); !bytes.Equal(got, sent) || err != nil || answer.Header.Get("Content-Type") != "application/x-noise" {
				t.Errorf("%d bytes come back as %d, %v %v", size, len(got), answer.Header, err)
			}
			text := strings.Repeat("ä", size/2)
			if got, err := client.SayBody(t.Context(), text); got != text || err != nil {
				t.Errorf("a text of %d bytes comes back as %d, %v", len(text), len(got), err)
			}
		})
	}
	s.check(t, "R55/ALargeBodyReachesEveryReplica", func(t *testing.T, p *plane) {
		p.thing()
		p.thing()
		text := strings.Repeat("x", 3<<20)
		answers := 0
		for answer := range thingapi.NewMulticastClient(p.caller).WhoBut(t.Context(), text).All() {
			if answers++; answer.Err != nil || answer.Out.Replica != answer.Replica {
				t.Errorf("%s: %v", answer.Replica, answer.Err)
			}
		}
		if answers != 2 {
			t.Errorf("%d answers", answers)
		}
	})
	s.check(t, "R55/ABodyOfUnknownLength", func(t *testing.T, p *plane) {
		client := p.client()
		answer, err := client.Mirror(t.Context(), "", asText, io.MultiReader(strings.NewReader("a"), bytes.NewReader(noise(100<<10))))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(answer.Body); !bytes.Equal(got, append([]byte("a"), noise(100<<10)...)) || err != nil {
			t.Errorf("%d bytes come back, %v", len(got), err)
		}
	})
	s.check(t, "R55/ALargeArgumentOfAGET", func(t *testing.T, p *plane) {
		text := strings.Repeat("ab c&", 10_000)
		if got, err := p.client().Say(t.Context(), text); got != text || err != nil {
			t.Errorf("%d bytes come back as %d, %v", len(text), len(got), err)
		}
	})
	s.check(t, "R55/LargeBodiesAtTheSameTime", func(t *testing.T, p *plane) {
		client := p.client()
		var calls sync.WaitGroup
		for i := range 8 {
			calls.Go(func() {
				text := strings.Repeat(string(rune('a'+i)), 2<<20)
				if got, err := client.SayBody(t.Context(), text); got != text || err != nil {
					t.Errorf("%d bytes come back as %d, %v", len(text), len(got), err)
				}
			})
		}
		calls.Wait()
	})
}

// noise is bytes of every value, in no order that repeats soon.
func noise(size int) []byte {
	b, x := make([]byte, size), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// load shows that a machine which is busy loses no call.
func (s suite) load(t *testing.T) {
	s.alone(t, "R56/AThousandCallersAtOnceLoseNoCall", func(t *testing.T, p *plane) {
		lasts := time.Second
		if s.long {
			lasts = 10 * time.Second
		}
		client := p.client()
		p.thing()
		var done, failed atomic.Int64
		var callers sync.WaitGroup
		for end, i := time.Now().Add(lasts), 0; i < 1000; i++ {
			callers.Go(func() {
				text := strings.Repeat(fmt.Sprintf("%08d", i), 1<<7) // answers must not be mixed up
				for time.Now().Before(end) {
					if got, err := client.SayBody(t.Context(), text); got != text || err != nil {
						if failed.Add(1) <= 5 {
							t.Errorf("%d bytes, %v", len(got), err)
						}
						return
					}
					done.Add(1)
				}
			})
		}
		callers.Wait()
		if done.Load() < 1000 || failed.Load() > 0 {
			t.Errorf("%d calls done, %d failed", done.Load(), failed.Load())
		}
	})
}
