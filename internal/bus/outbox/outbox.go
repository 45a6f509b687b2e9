package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"m3o/internal/bus"
	"m3o/internal/db"
	"m3o/internal/id"
)

// Outbox adds and relays the events of one database. It is safe for concurrent use.
type Outbox struct {
	db  *db.DB
	now func() time.Time
	log *slog.Logger

	mu     sync.Mutex
	relays map[string][]*Relay // by source
}

// New makes the outbox of a database.
func New(d *db.DB, now func() time.Time, logger *slog.Logger) *Outbox {
	return &Outbox{db: d, now: now, log: logger, relays: map[string][]*Relay{}}
}

// Fact is an event to add: key is what it is about, Msg the topic's Event, whose field type must be set.
type Fact struct {
	Key string
	Msg proto.Message
}

// Add writes an event of topic into the transaction; call it last. Source is the
// host of the service that states the fact, key what the fact is about. Msg is the
// topic's Event; its field type must be set. Each call adds an event.
func (o *Outbox) Add(ctx context.Context, tx *db.Tx, source, topic, key string, msg proto.Message) error {
	e, err := o.event(source, topic, Fact{Key: key, Msg: msg})
	if err != nil {
		return err
	}
	return o.add(ctx, tx, e.ID, e)
}

// AddMany is Add for many events at once, in their order, with fewer statements.
func (o *Outbox) AddMany(ctx context.Context, tx *db.Tx, source, topic string, facts []Fact) error {
	if len(facts) == 0 {
		return nil
	}
	rows := make([]row, len(facts))
	for i, fact := range facts {
		e, err := o.event(source, topic, fact)
		if err != nil {
			return err
		}
		rows[i] = row{id: e.ID, event: e}
	}
	if err := insert(ctx, tx, db.Micro(o.now()), rows...); err != nil {
		return fmt.Errorf("add %d events to %s: %w", len(rows), topic, err)
	}
	tx.AfterCommit(func() { o.nudge(source) })
	return nil
}

// event is a fact as the bus carries it.
func (o *Outbox) event(source, topic string, fact Fact) (bus.Event, error) {
	number, name, err := typeOf(fact.Msg)
	if err != nil {
		return bus.Event{}, fmt.Errorf("add event to %s: %w", topic, err)
	}
	data, err := encode(fact.Msg)
	if err != nil {
		return bus.Event{}, fmt.Errorf("add event %s to %s: %w", name, topic, err)
	}
	return bus.Event{ID: id.New("evt"), Topic: topic, Source: source, Key: fact.Key, Type: number, TypeName: name, Time: o.now(), Data: data}, nil
}

// add writes a row of the id, and has it published after the commit.
func (o *Outbox) add(ctx context.Context, tx *db.Tx, rowID string, e bus.Event) error {
	if err := insert(ctx, tx, db.Micro(o.now()), row{id: rowID, event: e}); err != nil {
		return fmt.Errorf("add event %s to %s: %w", e.TypeName, e.Topic, err)
	}
	tx.AfterCommit(func() { o.nudge(e.Source) })
	return nil
}

// Once notes in the consumer's transaction that group has handled the event. It
// is fresh the first time; when it is not, the transaction must do nothing more.
func (o *Outbox) Once(ctx context.Context, tx *db.Tx, group, eventID string) (fresh bool, err error) {
	result, err := tx.Exec(ctx, onceSQL, eventID, group, db.Micro(o.now()))
	if err != nil {
		return false, fmt.Errorf("note event %s for %s: %w", eventID, group, err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// nudge wakes the source's relays in this process.
func (o *Outbox) nudge(source string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.relays[source] {
		r.nudge()
	}
}

// typeOf reads the field type of a topic's message: the number, and its name
// without the prefix EventType, or the number in digits when it has none.
func typeOf(msg proto.Message) (number int32, name string, err error) {
	m := msg.ProtoReflect()
	field := m.Descriptor().Fields().ByName("type")
	if field == nil || field.Enum() == nil {
		return 0, "", fmt.Errorf("%s has no enum field type", m.Descriptor().FullName())
	}
	n := m.Get(field).Enum()
	if n == 0 {
		return 0, "", fmt.Errorf("the type of a %s is not set", m.Descriptor().FullName())
	}
	value := field.Enum().Values().ByNumber(n)
	if value == nil {
		return int32(n), strconv.Itoa(int(n)), nil
	}
	return int32(n), strings.TrimPrefix(string(value.Name()), "EventType"), nil
}

// encode writes protobuf-JSON with the names of the .proto file and enums as
// numbers, so that no consumer needs to know a new value's name.
func encode(msg proto.Message) ([]byte, error) {
	data, err := protojson.MarshalOptions{UseProtoNames: true, UseEnumNumbers: true}.Marshal(msg)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer // protojson varies its white space from build to build
	err = json.Compact(&compact, data)
	return compact.Bytes(), err
}
