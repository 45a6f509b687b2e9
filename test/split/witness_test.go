package split

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// witness is a subscription to the orders of the shop: it sees what reaches people of the facts.
type witness struct {
	mu    sync.Mutex
	heard map[string]int // how often of each order, by its id
}

// witness subscribes as the admin of the shop, until the end of the test.
func (h *shop) witness(t *testing.T) *witness {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+h.client().door.address+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	w := &witness{heard: map[string]int{}}
	for _, message := range []any{
		map[string]any{"type": "connection_init", "payload": map[string]string{"Authorization": h.admin.token}},
		map[string]any{"id": "1", "type": "subscribe", "payload": map[string]string{"query": `subscription{orderPlaced{id}}`}},
		map[string]string{"type": "ping"},
	} {
		text, err := json.Marshal(message)
		if err == nil {
			err = conn.Write(ctx, websocket.MessageText, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	subscribed, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		w.listen(conn, sync.OnceFunc(func() { close(subscribed) }))
	}()
	t.Cleanup(func() {
		_ = conn.CloseNow()
		<-ended
	})
	select {
	case <-subscribed:
	case <-ended:
		t.Fatal("the shop has closed the subscription")
	case <-time.After(patience):
		t.Fatal("the shop does not answer a subscription")
	}
	return w
}

// listen counts the orders until the connection ends; what comes after the pong is of the subscription.
func (w *witness) listen(conn *websocket.Conn, ponged func()) {
	for {
		_, message, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		if strings.Contains(string(message), `"pong"`) {
			ponged()
		}
		var next struct {
			Payload struct {
				Data struct{ OrderPlaced struct{ ID string } }
			}
		}
		if json.Unmarshal(message, &next) == nil && next.Payload.Data.OrderPlaced.ID != "" {
			w.mu.Lock()
			w.heard[next.Payload.Data.OrderPlaced.ID]++
			w.mu.Unlock()
		}
	}
}

// times is how often an order was heard of.
func (w *witness) times(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard[id]
}

// hasAll says whether every order of a rush was heard of.
func (w *witness) hasAll(r *rush) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.placed {
		if w.times(id) == 0 {
			return false
		}
	}
	return true
}
