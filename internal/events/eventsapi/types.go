package eventsapi

import (
	"encoding/json"
	"time"
)

// Event is a fact on a durable topic.
type Event struct {
	ID        string          `json:"id"`
	Topic     string          `json:"topic"`
	Type      int32           `json:"type"`      // the number of the topic's EventType
	TypeName  string          `json:"type_name"` // e.g. Created
	Source    string          `json:"source"`    // the service that stated it
	Key       string          `json:"key"`       // facts of one key are delivered in order
	Time      time.Time       `json:"time"`
	Published bool            `json:"published"` // every group has it
	Data      json.RawMessage `json:"data"`      // the topic's message as JSON
}

// DeadLetter is a delivery that was given up.
type DeadLetter struct {
	ID       string    `json:"id"`
	Group    string    `json:"group"` // the service that could not take it
	Error    string    `json:"error"`
	Attempts int       `json:"attempts"`
	Time     time.Time `json:"time"`
	Replayed bool      `json:"replayed"`
	Event    Event     `json:"event"`
}
