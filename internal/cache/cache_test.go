package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
)

func TestWhatOneReplicaStoresAllFind(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	store(t, caches[0], "k", "one")
	for _, c := range caches {
		wantValue(t, c, "k", "one")
		wantMiss(t, c, "other")
	}
	wantLocal(t, caches[0], 1, 4)
	wantLocal(t, caches[1], 0, 0)
}

func TestWhatIsStoredLastIsFound(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	for i := range 9 {
		value := fmt.Sprint("value ", i)
		store(t, caches[i%3], "k", value)
		for _, c := range caches {
			wantValue(t, c, "k", value)
			wantValue(t, caches[i%3], "k", value, Unchecked)
		}
	}
	if n, err := caches[0].Len(t.Context()); n != 1 || err != nil {
		t.Errorf("%d copies, %v", n, err)
	}
}

func TestAnyKeyAndAnyValueWillDo(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	for _, key := range []string{"", " ", "a/b", "a&key=b;c#d?e%2F+", "ключ", "\x00\xff", strings.Repeat("k", 5000)} {
		for _, value := range []string{"", "\x00\xff", strings.Repeat("v", 1<<20)} {
			store(t, caches[0], key, value, Replicate)
			wantValue(t, caches[1], key, value)
			store(t, caches[2], key, value)
			wantValue(t, caches[1], key, value)
		}
	}
}

func TestADisagreementIsAMissUntilTheNextStore(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	for i, value := range []string{"new", "old"} {
		if err := caches[i].own.put(t.Context(), &element{key: "k", value: []byte(value), born: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range caches {
		wantMiss(t, c, "k")
	}
	wantValue(t, caches[0], "k", "new", Unchecked)
	store(t, caches[2], "k", "newest")
	for _, c := range caches {
		wantValue(t, c, "k", "newest")
	}
}

func TestEveryReplicaKeepsACopyOfWhatIsReplicated(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	store(t, caches[1], "k", "old")
	store(t, caches[0], "k", "new", Replicate)
	for _, c := range caches {
		wantLocal(t, c, 1, 4)
		wantValue(t, c, "k", "new")
		wantValue(t, c, "k", "new", Unchecked)
	}
	n, err := caches[1].Len(t.Context())
	weight, weightErr := caches[1].Weight(t.Context())
	if n != 3 || weight != 12 || err != nil || weightErr != nil {
		t.Errorf("Len %d, Weight %d, %v, %v", n, weight, err, weightErr)
	}
	store(t, caches[2], "k", "newer")
	wantLocal(t, caches[0], 0, 0)
	wantValue(t, caches[1], "k", "newer")
}

func TestDeletedIsDeletedEverywhere(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	fill := func() {
		for i, key := range []string{"a/1", "a/2", "b/1"} {
			store(t, caches[i], key, "v", Replicate)
		}
	}
	wantLeft := func(want int) {
		t.Helper()
		for _, c := range caches {
			wantLocal(t, c, want, int64(4*want))
		}
	}
	fill()
	if err := caches[0].Delete(t.Context(), "a/1"); err != nil {
		t.Error(err)
	}
	wantMiss(t, caches[1], "a/1")
	wantLeft(2)
	fill()
	if err := caches[1].DeletePrefix(t.Context(), "a/"); err != nil {
		t.Error(err)
	}
	wantLeft(1)
	wantValue(t, caches[0], "b/1", "v")
	fill()
	if err := caches[2].Clear(t.Context()); err != nil {
		t.Error(err)
	}
	wantLeft(0)
}

func TestValuesAreCopies(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	value := []byte("value")
	if err := caches[0].Store(t.Context(), "k", value, Replicate); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	for _, c := range caches {
		wantValue(t, c, "k", "value")
		got, _, err := c.Load(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		got[0] = 'X'
		wantValue(t, c, "k", "value")
	}
}

func TestWhatIsTooLargeIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t, keeping(100))
	store(t, caches[1], "k", "old")
	if err := caches[0].Store(t.Context(), "k", make([]byte, 100)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	for _, c := range caches {
		wantMiss(t, c, "k")
	}
	store(t, caches[0], "k", strings.Repeat("v", 99))
	wantValue(t, caches[1], "k", strings.Repeat("v", 99))
}

func TestAReplicaThatKeepsLessRefusesItsCopy(t *testing.T) {
	t.Parallel()
	caches, b := setup(t)
	small := join(t, b, "small", keeping(10))
	store(t, small, "k", "old")
	err := caches[0].Store(t.Context(), "k", make([]byte, 100), Replicate)
	if err == nil || !strings.Contains(err.Error(), "small") {
		t.Errorf("got %v", err)
	}
	wantLocal(t, small, 0, 0)
	wantValue(t, small, "k", string(make([]byte, 100)))
}

func TestAReplicaThatAnswersAnErrorHasNothing(t *testing.T) {
	t.Parallel()
	caches, b := setup(t)
	stranger(t, b, func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, fault.New(fault.Internal, "no")) })
	err := caches[0].Store(t.Context(), "k", []byte("v"))
	if err == nil || !strings.Contains(err.Error(), "stranger answered 500") {
		t.Errorf("Store: %v", err)
	}
	if fault.CodeOf(err) != fault.Internal {
		t.Errorf("Store: %v would be shown to the caller of the service", err)
	}
	for _, c := range caches {
		wantValue(t, c, "k", "v")
		wantMiss(t, c, "other")
	}
	for what, err := range map[string]error{
		"Delete": caches[0].Delete(t.Context(), "k"), "Clear": caches[0].Clear(t.Context()),
	} {
		if err == nil {
			t.Errorf("%s does not tell", what)
		}
	}
	if _, err := caches[0].Len(t.Context()); err == nil {
		t.Error("Len does not tell")
	}
	wantMiss(t, caches[1], "k")
}

func TestAReplicaThatIsLateHasNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		caches, b := setup(t)
		stranger(t, b, late)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := caches[0].Store(ctx, "k", []byte("v")); err == nil || !strings.Contains(err.Error(), "stranger answered 408") {
			t.Errorf("Store: %v", err)
		}
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("Store took %v", took)
		}
		wantValue(t, caches[0], "k", "v")
		wantValue(t, caches[1], "k", "v")
		if took := time.Since(began); took != 100*time.Millisecond+2*patience {
			t.Errorf("two loads without a deadline took %v", took)
		}
	})
}

func TestACopyThatComesLateIsNotKept(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	store(t, caches[0], "k", "old", Replicate)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := request{method: http.MethodPut, path: pathValue, key: "k", body: []byte("late")}
	caches[1].servePut(discard{}, q.on(ctx, host, "r0"), map[string][]string{"key": {"k"}, "age": {"0"}})
	wantLocal(t, caches[1], 0, 0)
}

// discard is a writer of answers that nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func TestAnEndedContextIsAnError(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	store(t, caches[0], "k", "v")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := caches[0].Load(ctx, "k"); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("Load: %v %v", ok, err)
	}
	if err := caches[1].Store(ctx, "k", []byte("new")); err == nil {
		t.Error("Store: no error")
	}
	if err := caches[1].Delete(ctx, "k"); err == nil {
		t.Error("Delete: no error")
	}
	wantValue(t, caches[2], "k", "v")
}

func TestElementsAreFoundUntilTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		caches, _ := setup(t, func(c *Config) { c.TTL = time.Minute })
		store(t, caches[0], "replicated", "v", Replicate)
		store(t, caches[0], "single", "v")
		time.Sleep(30 * time.Second)
		store(t, caches[1], "later", "v")
		time.Sleep(30*time.Second - 1)
		for _, c := range caches {
			wantValue(t, c, "replicated", "v")
			wantValue(t, c, "single", "v")
		}
		time.Sleep(time.Nanosecond)
		for _, c := range caches {
			wantMiss(t, c, "replicated")
			wantMiss(t, c, "single")
			wantValue(t, c, "later", "v")
		}
		wantLocal(t, caches[0], 0, 0)
		time.Sleep(30 * time.Second)
		if n, err := caches[2].Len(t.Context()); n != 0 || err != nil {
			t.Errorf("%d are left, %v", n, err)
		}
	})
}

func TestTheDefaultsAre32MegabytesForAnHour(t *testing.T) {
	t.Parallel()
	c := join(t, newBus(), "r")
	if c.own.maxBytes != 32<<20 || c.own.ttl != time.Hour {
		t.Errorf("%d bytes for %v", c.own.maxBytes, c.own.ttl)
	}
}

func TestOneAloneAsksNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &listener{Bus: newBus()}
		c := join(t, l, "r0")
		for range 10 {
			store(t, c, "k", "v")
			wantValue(t, c, "k", "v")
			wantMiss(t, c, "other")
		}
		if l.count() != 1 {
			t.Errorf("asked %d times, want once: %v", l.count(), l.sent)
		}
		other := join(t, l.Bus, "r1")
		wantValue(t, other, "k", "v")
		store(t, other, "k", "new")
		wantValue(t, c, "k", "new")
		other.stop()
		for range 2 {
			time.Sleep(quiet)
			before := l.count()
			wantMiss(t, c, "k")
			wantMiss(t, c, "k")
			if asked := l.count() - before; asked != 1 {
				t.Errorf("asked %d times, want once a second", asked)
			}
		}
	})
}

// While a replica finds that it is alone, another one turns up.
func TestAVisitDuringTheQuestionIsNotForgotten(t *testing.T) {
	t.Parallel()
	l := &listener{Bus: newBus()}
	c := join(t, l, "r0")
	l.hear = func(string) {
		l.hear = nil
		visits := c.solitude.counted()
		other := join(t, l.Bus, "r1")
		store(t, other, "k", "new")
		c.solitude.found(visits, time.Now().Add(time.Hour))
	}
	store(t, c, "other", "v")
	wantValue(t, c, "k", "new")
}

func TestJSON(t *testing.T) {
	t.Parallel()
	type item struct {
		Name  string
		Count int
	}
	caches, _ := setup(t)
	if err := StoreJSON(t.Context(), caches[0], "k", item{"<a>", 3}, Replicate); err != nil {
		t.Fatal(err)
	}
	for _, c := range caches {
		if got, ok, err := LoadJSON[item](t.Context(), c, "k", Unchecked); got != (item{"<a>", 3}) || !ok || err != nil {
			t.Errorf("got %v %v %v", got, ok, err)
		}
	}
	if got, ok, err := LoadJSON[int](t.Context(), caches[0], "k"); got != 0 || ok || err != nil {
		t.Errorf("as a number: %v %v %v", got, ok, err)
	}
	if _, ok, err := LoadJSON[item](t.Context(), caches[0], "other"); ok || err != nil {
		t.Errorf("nothing: %v %v", ok, err)
	}
	if err := StoreJSON(t.Context(), caches[0], "k", func() {}); err == nil {
		t.Error("a function was stored")
	}
}

// One writer counts up at changing replicas, so whoever begins to load knows which
// counts are stale. There is little room, and replicas come and go.
func TestWhatIsStaleIsNeverFound(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			t.Parallel()
			caches, b := setup(t, keeping(60))
			for _, c := range caches[replicas:] {
				c.stop()
			}
			caches = caches[:replicas]
			var written [4]atomic.Int64
			done := make(chan struct{})
			var others sync.WaitGroup
			for _, c := range caches {
				others.Go(func() { readUntil(t, done, c, &written) })
			}
			others.Go(func() { comeAndGo(t, done, b, &written) })
			for n := range int64(3000) {
				key := int(n) % len(written)
				store(t, caches[rand.N(replicas)], fmt.Sprint(key), fmt.Sprint(n+1), manners[rand.N(len(manners))]...)
				written[key].Store(n + 1)
				store(t, caches[rand.N(replicas)], fmt.Sprint("filler", rand.N(3)), strings.Repeat("x", 20))
			}
			close(done)
			others.Wait()
		})
	}
}

var manners = [][]StoreOption{nil, nil, {Replicate}}

// comeAndGo stores what it likes as well, under keys that nobody else has.
func comeAndGo(t *testing.T, done chan struct{}, b bus.Bus, written *[4]atomic.Int64) {
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		guest := join(t, b, fmt.Sprint("guest", i), keeping(60))
		for key := range written {
			wantFresh(t, guest, key, written)
			store(t, guest, fmt.Sprint("guest", key), "v")
		}
		guest.Close(t.Context())
	}
}

func readUntil(t *testing.T, done chan struct{}, c *Cache, written *[4]atomic.Int64) {
	for {
		select {
		case <-done:
			return
		default:
			wantFresh(t, c, rand.N(len(written)), written)
		}
	}
}

func wantFresh(t *testing.T, c *Cache, key int, written *[4]atomic.Int64) {
	last := written[key].Load()
	value, ok, err := c.Load(t.Context(), fmt.Sprint(key))
	if err != nil {
		t.Errorf("load: %v", err)
	}
	var n int64
	if _, err := fmt.Sscan(string(value), &n); ok && (err != nil || n < last) {
		t.Errorf("%s found %q although %d had been stored", c.config.Replica, value, last)
	}
}

func BenchmarkCache(b *testing.B) {
	for _, replicas := range []int{1, 3} {
		on := newBus()
		var caches []*Cache
		for i := range replicas {
			c := New(Config{Bus: on, Host: host, Replica: fmt.Sprint("r", i), Now: time.Now})
			b.Cleanup(c.stop)
			caches = append(caches, c)
		}
		value := make([]byte, 1000)
		run := func(name string, f func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, replicas), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("Store", func() error { return caches[0].Store(b.Context(), "k", value) })
		run("Load", func() error { _, _, err := caches[0].Load(b.Context(), "k"); return err })
		run("LoadUnchecked", func() error { _, _, err := caches[0].Load(b.Context(), "k", Unchecked); return err })
	}
}
