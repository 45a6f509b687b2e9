package rpc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"m3o/internal/auth"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
)

// The headers of a repeatable request, after the IETF's draft
// draft-ietf-httpapi-idempotency-key-header.
const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed"
)

// withIdempotency puts a request's Idempotency-Key into the context, where
// idempotency.Tx finds it. While the same key is being worked on in this process
// a second request is fault.Conflict; done ends that. Without a key, or for a
// function that only reads, nothing changes.
func withIdempotency(ctx context.Context, w http.ResponseWriter, r *http.Request, f Function, body []byte, answers reflect.Type, running *sync.Map) (context.Context, func(), error) {
	nothing := func() {}
	key, err := parseKey(r.Header.Get(keyHeader))
	if err != nil || key == "" || !f.Mutates() {
		return ctx, nothing, err
	}
	scope := "ip:" + auth.Client(ctx)
	if account, ok := auth.From(ctx); ok {
		scope = account.ID
	}
	slot := scope + "\x00" + key
	if _, taken := running.LoadOrStore(slot, true); taken {
		return ctx, nothing, fault.New(fault.Conflict, "a request with this Idempotency-Key is still running: try again in a moment").After(time.Second)
	}
	print := sha256.New()
	for _, part := range []string{f.Host, f.Path, r.URL.Path, r.URL.RawQuery, string(body)} {
		print.Write([]byte(part))
		print.Write([]byte{0})
	}
	ctx = idempotency.With(ctx, idempotency.Request{
		Key: key, Scope: scope, Fingerprint: hex.EncodeToString(print.Sum(nil)), Answers: answers,
		Replayed: func() { w.Header().Set(replayedHeader, "true") },
	})
	return ctx, func() { running.Delete(slot) }, nil
}

// parseKey reads the header, bare or as a quoted string; empty when it is absent.
func parseKey(header string) (string, error) {
	key := strings.TrimSpace(header)
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	switch {
	case header == "":
		return "", nil
	case key == "" || len(key) > 255:
		return "", fault.BadField(keyHeader, "must have between 1 and 255 characters")
	case strings.ContainsFunc(key, func(c rune) bool { return c < 0x20 || c > 0x7e }):
		return "", fault.BadField(keyHeader, "must be printable ASCII")
	}
	return key, nil
}
