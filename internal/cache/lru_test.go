package cache

import (
	"fmt"
	"testing"
	"time"
)

func TestTheLeastRecentlyUsedGoWhenThereIsNoRoom(t *testing.T) {
	t.Parallel()
	c := join(t, newBus(), "r0", keeping(30))
	for _, key := range []string{"a", "b", "c"} {
		store(t, c, key, "123456789")
	}
	wantLocal(t, c, 3, 30)
	wantValue(t, c, "a", "123456789")
	store(t, c, "d", "1")
	wantMiss(t, c, "b")
	wantLocal(t, c, 3, 22)
	store(t, c, "a", "1") // a shorter value gives room back
	wantLocal(t, c, 3, 14)
	store(t, c, "e", "12345678901234567890")
	wantMiss(t, c, "c")
	for _, key := range []string{"a", "d", "e"} {
		if _, ok, err := c.Load(t.Context(), key); !ok || err != nil {
			t.Errorf("%s is gone: %v", key, err)
		}
	}
	store(t, c, "f", "12345678901234567890123456789")
	wantLocal(t, c, 1, 30)
}

// What a peer asks for is in use too.
func TestWhatOthersLoadStays(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t, keeping(4))
	store(t, caches[0], "a", "1")
	store(t, caches[0], "b", "1")
	wantValue(t, caches[1], "a", "1")
	store(t, caches[0], "c", "1")
	wantMiss(t, caches[0], "b")
	wantValue(t, caches[0], "a", "1")
}

func TestManySmallElementsAreBoundedToo(t *testing.T) {
	t.Parallel()
	c := join(t, newBus(), "r0", keeping(1<<20))
	for i := range 5000 {
		store(t, c, fmt.Sprint(i), "")
	}
	if n, _ := c.Local(); n != 4096 {
		t.Errorf("%d elements", n)
	}
	wantMiss(t, c, "0")
	if l := newLRU(32<<20, time.Hour, time.Now); l.maxLen != 131072 {
		t.Errorf("%d elements", l.maxLen)
	}
}

func TestASpareElementCostsNoOther(t *testing.T) {
	t.Parallel()
	l := newLRU(10, time.Hour, time.Now)
	spare := func(key, value string) bool {
		return l.spare(t.Context(), &element{key: key, value: []byte(value), born: time.Now()})
	}
	if err := l.put(t.Context(), &element{key: "a", value: []byte("1234"), born: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if !spare("b", "123") || spare("c", "1") {
		t.Error("it takes what there is room for")
	}
	if !spare("b", "123") || len(l.all()) != 2 {
		t.Error("what is there already is there")
	}
	if l.all()[1].key != "b" {
		t.Error("a spare element is the first to go")
	}
	if spare("a", "other") || l.get("a") != nil {
		t.Error("of two values neither is right")
	}
}
