package test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestEachMessageOfASocketIsPaidAndTheSumIsExact(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		const messages, streams = 100, 10
		sys := start(t, s)
		boss := sys.admin(t)
		newMoody(t).sell(t, boss)
		sam := sys.signUp(t, boss, "sam@example.com")
		caller := sys.as(sam.key(t).Key)
		unary, failing := caller.dial(t, "/v1/moody/good"), caller.dial(t, "/v1/moody/fail")
		for range messages {
			say(t, unary, "{}")
			if got, err := hear(t, unary); err != nil || got != `{"ok":true}` {
				t.Fatalf("%q %v", got, err)
			}
		}
		for range 3 { // which cost nothing
			say(t, failing, "{}")
			if got, err := hear(t, failing); err != nil || got != "no" {
				t.Fatalf("%q %v", got, err)
			}
		}
		for range streams {
			stream := caller.dial(t, "/v1/helloworld/stream")
			say(t, stream, `{"name":"Sam","messages":7}`)
			n, err := 0, error(nil)
			for ; err == nil; n++ {
				_, err = hear(t, stream)
			}
			if n-1 != 7 || websocket.CloseStatus(err) != websocket.StatusNormalClosure {
				t.Errorf("%d messages, then %v", n-1, err)
			}
		}
		if n := len(sam.records(t, 1000)); n != messages+streams {
			t.Errorf("%d calls are recorded, want %d", n, messages+streams)
		}
		sam.hasPaid(t, boss, messages+streams, messages*moodPrice+streams*10)
		sys.balanced(t)
	})
}

func TestASocketServesWhatItsCreditPays(t *testing.T) {
	t.Parallel()
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	newMoody(t).sell(t, boss)
	meg := sys.signUp(t, boss, "meg@example.com")
	meg.setBalance(t, boss, 5*moodPrice+moodPrice/2)
	conn := sys.as(meg.key(t).Key).dial(t, "/v1/moody/good")
	for i := range 8 {
		say(t, conn, "{}")
		got, err := hear(t, conn)
		if refused := strings.Contains(got, "Insufficient credit"); err != nil || refused != (i >= 5) {
			t.Errorf("message %d: %q %v", i+1, got, err)
		}
	}
	if n, b := len(meg.records(t, 100)), meg.balance(t); n != 5 || b.Current != moodPrice/2 {
		t.Errorf("%d recorded, %+v", n, b)
	}
}

func TestASocketEndsWithinASecondOfItsWithdrawal(t *testing.T) {
	t.Parallel()
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	up := newMoody(t)
	up.sell(t, boss)
	for name, withdraw := range map[string]func(customer, key){
		"revoke": func(c customer, k key) { done(t, c.client, "/v1/api/keys/revoke", map[string]string{"id": k.ID}) },
		"block": func(c customer, k key) {
			done(t, boss, "/v1/BlockKey", map[string]string{"user_id": c.id, "key_id": k.ID})
		},
		"ban": func(c customer, _ key) { done(t, boss, "/customers/Ban", map[string]string{"id": c.id}) },
	} {
		who := sys.signUp(t, boss, name+"@example.com")
		k := who.key(t)
		quiet, flowing := sys.as(k.Key).dial(t, "/v1/helloworld/call"), sys.as(k.Key).dial(t, "/v1/moody/flow")
		say(t, quiet, `{}`)
		if _, err := hear(t, quiet); err != nil {
			t.Fatal(err)
		}
		say(t, flowing, `{}`)
		if _, err := hear(t, flowing); err != nil {
			t.Fatal(err)
		}
		withdraw(who, k)
		begun := time.Now()
		for kind, conn := range map[string]*websocket.Conn{"quiet": quiet, "flowing": flowing} {
			var err error
			for err == nil {
				_, err = hear(t, conn)
			}
			if took := time.Since(begun); took > time.Second || websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
				t.Errorf("%s: the %s socket has ended after %v with %v", name, kind, took, err)
			}
		}
		up.hasLeft(t, "Flow")
		if a, err := sys.as(k.Key).hello(); err != nil || a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("%s: a call is answered %d %v", name, a.status, err)
		}
	}
	sys.balanced(t)
}
