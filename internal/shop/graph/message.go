package graph

import (
	"encoding/json"
	"errors"
	"fmt"

	qerrors "github.com/graph-gophers/graphql-go/errors"
)

// subprotocol is GraphQL over WebSocket, as github.com/enisdenjo/graphql-ws writes it down in PROTOCOL.md.
const subprotocol = "graphql-transport-ws"

// The messages of the subprotocol.
const (
	messageInit      = "connection_init"
	messageAck       = "connection_ack"
	messagePing      = "ping"
	messagePong      = "pong"
	messageSubscribe = "subscribe"
	messageNext      = "next"
	messageError     = "error"
	messageComplete  = "complete"
)

// message is one of them.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`

	operation request // of a subscribe
	token     string  // of a connection_init; empty: none
}

// decodeMessage reads what a client says. Its error is the reason for closing the socket with 4400.
func decodeMessage(text []byte) (m message, err error) {
	if err := json.Unmarshal(text, &m); err != nil {
		return m, errors.New("a message is a JSON object with a type")
	}
	switch m.Type {
	case messageInit:
		m.token, err = tokenIn(m.Payload)
	case messageSubscribe:
		err = m.readOperation()
	case messagePing, messagePong, messageComplete:
		if len(m.Payload) > 0 && !isObject(m.Payload) {
			err = errors.New("payload is no JSON object")
		}
	default:
		err = fmt.Errorf("%.40q is no type of message that a client sends", m.Type)
	}
	if m.Type == messageComplete && m.ID == "" {
		err = errors.New("complete needs an id")
	}
	return m, err
}

func (m *message) readOperation() error {
	if m.ID == "" {
		return errors.New("subscribe needs an id")
	}
	if !isObject(m.Payload) || json.Unmarshal(m.Payload, &m.operation) != nil || m.operation.Query == "" {
		return errors.New("the payload of subscribe is a JSON object with a query")
	}
	return nil
}

// tokenIn is the token in the payload of a connection_init: its member Authorization, as the header is, or token.
func tokenIn(payload json.RawMessage) (string, error) {
	if len(payload) == 0 || string(payload) == "null" {
		return "", nil
	}
	var members struct { // JSON names are compared without case
		Authorization, Token string
	}
	if !isObject(payload) || json.Unmarshal(payload, &members) != nil {
		return "", errors.New("the payload of connection_init is a JSON object, its Authorization a text")
	}
	if members.Authorization == "" {
		members.Authorization = members.Token
	}
	return credential(members.Authorization), nil
}

// isObject says whether a JSON text is an object or null, which stands for none.
func isObject(text json.RawMessage) bool {
	return len(text) > 0 && text[0] == '{' || string(text) == "null"
}

// failure of an operation, as the payload of an error message.
func errorList(errs []*qerrors.QueryError) json.RawMessage { return answer{errors: errs}.errorList() }
