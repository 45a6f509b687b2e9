package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// FuzzSplitter holds that messages do not depend on the pieces in which they come.
func FuzzSplitter(f *testing.F) {
	for _, text := range []string{"{}\n{}\r\n\n1", "data: a\ndata:b\n\n: c\nid: 1\n\ndata\n\n", "data: \r\n\r\n", strings.Repeat("x", 200) + "\n"} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, events bool) {
		split := func(size int) (messages []string, failed bool) {
			s := &splitter{events: events, limit: 100, emit: func(message []byte) error {
				messages = append(messages, string(message))
				return nil
			}}
			for piece := range slices.Chunk(text, size) {
				if _, err := s.Write(piece); err != nil {
					return messages, true
				}
			}
			return messages, s.end() != nil
		}
		whole, wholeFailed := split(max(len(text), 1))
		bytewise, bytewiseFailed := split(1)
		if !slices.Equal(whole, bytewise) || wholeFailed != bytewiseFailed {
			t.Errorf("%q at once, %q byte by byte", whole, bytewise)
		}
	})
}

// FuzzAsJSON holds that whatever is sent becomes a JSON object or is refused with a
// fault that names no cause.
func FuzzAsJSON(f *testing.F) {
	f.Add("count=1&p.x=2&p[y][]=3&tags[1]=a&tags[]=b", "application/json", []byte(`{"a":1}`))
	f.Add("", "application/x-www-form-urlencoded", []byte("a=1&p.q.r=2&%zz"))
	f.Add("a=1", "multipart/form-data; boundary=b", []byte("--b\r\nContent-Disposition: form-data; name=\"p.x\"; filename=\"f\"\r\n\r\n\xff\r\n--b--"))
	f.Fuzz(func(t *testing.T, query, kind string, body []byte) {
		r := &http.Request{Header: http.Header{"Content-Type": {kind}}, URL: &url.URL{RawQuery: query}, Body: io.NopCloser(bytes.NewReader(body))}
		err := asJSON(r, publicapiapi.Schema{"count": "integer", "p": "object", "tags": "array", "on": "boolean", "text": "string"})
		if err != nil {
			if f := fault.From(err); f.Code != fault.Invalid || f.ID != "v1" {
				t.Errorf("the fault is %v", err)
			}
			return
		}
		if r.Header.Get("Content-Type") != "application/json" || r.ContentLength == 0 {
			return // it passed through
		}
		var members map[string]any
		if err := json.NewDecoder(r.Body).Decode(&members); err != nil || members == nil {
			t.Errorf("no JSON object: %v", err)
		}
	})
}
