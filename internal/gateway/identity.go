package gateway

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"
)

// identity are the headers that tell the target who calls.
func identity() [4]string {
	return [4]string{"M3o-Customer-Id", "M3o-Key-Id", "M3o-Request-Id", "Traceparent"}
}

// address makes the caller's header the target's: without what is not the target's
// to see, and with who calls. A call is one request and one answer, so nothing is
// upgraded.
func address(h http.Header, a *admission, requestID string) {
	for name := range h {
		switch name {
		case "Authorization", "Cookie", "Tracestate", "Sec-Websocket-Protocol", "Upgrade", "Connection":
			delete(h, name)
		default:
			if isOurs(name) {
				delete(h, name)
			}
		}
	}
	values := []string{a.key.customer.id, a.key.id, requestID, traceparent()}
	for i, name := range identity() {
		h[name] = values[i : i+1 : i+1]
	}
}

// isOurs says whether a header is ours to set: M3O-…, in any spelling that some
// server takes for it.
func isOurs(name string) bool {
	return len(name) > 3 && strings.EqualFold(name[:3], "m3o") && (name[3] == '-' || name[3] == '_')
}

// traceparent begins a trace (W3C Trace Context, version 00).
func traceparent() string {
	var ids [24]byte // of the trace, and of the call as its first span
	for i := 0; i < len(ids); i += 8 {
		binary.BigEndian.PutUint64(ids[i:], rand.Uint64())
	}
	text := []byte("00-00000000000000000000000000000000-0000000000000000-01")
	hex.Encode(text[3:], ids[:16])
	hex.Encode(text[36:], ids[16:])
	return string(text)
}
