package gateway_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"m3o/internal/db/dbtest"
	"m3o/internal/publicapi/publicapiapi"
)

// typedDoor is a door whose demo target keeps the body that reached it.
func typedDoor(t *testing.T, schema publicapiapi.Schema) (s *door, got *string, key string) {
	t.Helper()
	s = newDoor(t, dbtest.SQLite(t))
	s.offer(publicapiapi.EndpointRoute{Name: "Demo.Typed", Path: "/typed", Schema: schema})
	got = new(string)
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		*got = r.Header.Get("Content-Type") + " " + string(body)
	})
	return s, got, s.key(nil)
}

// offer puts other endpoints of demo into the catalogue.
func (s *door) offer(endpoints ...publicapiapi.EndpointRoute) {
	s.t.Helper()
	s.offerAt("service:demo", endpoints...)
}

func (s *door) offerAt(target string, endpoints ...publicapiapi.EndpointRoute) {
	s.t.Helper()
	s.set(func() {
		s.catalogue = publicapiapi.Catalogue{Version: s.catalogue.Version + 1, APIs: []publicapiapi.Route{{Name: "demo", Target: target, Endpoints: endpoints}}}
	})
	if err := publicapiapi.NewMulticastTrigger(s.bus).OnCatalogueChanged(s.t.Context()).Err(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *door) send(key, path, kind string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, path, body)
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", kind)
	return s.do(r)
}

func TestNestedNamesLeadIntoObjectsAndLists(t *testing.T) {
	t.Parallel()
	s, got, key := typedDoor(t, publicapiapi.Schema{"filter": "object", "tags": "array", "items": "array", "plain.name": "string"})
	deep := "filter" + strings.Repeat("[a]", 40)
	for query, want := range map[string]string{
		"filter.name=x&filter[limit]=5&filter[on]=true":  `{"filter":{"limit":5,"name":"x","on":true}}`,
		"filter[area][city]=Ulm&filter.area.zip=089":     `{"filter":{"area":{"city":"Ulm","zip":"089"}}}`,
		"filter[ids][]=1&filter[ids][]=2":                `{"filter":{"ids":["1","2"]}}`,
		`filter={"a":1}`:                                 `{"filter":{"a":1}}`,
		"filter=5":                                       `{"filter":"5"}`,
		"filter=x&filter.a=1":                            `{"filter":"x","filter.a":"1"}`,
		"tags[]=a":                                       `{"tags":["a"]}`,
		"tags[1]=7&tags[0]=a":                            `{"tags":["a","7"]}`,
		"tags[1000]=a":                                   `{"tags[1000]":"a"}`,
		"tags[-1]=a":                                     `{"tags[-1]":"a"}`,
		"items[1].name=x&items[1].count=2&items[0][on]=": `{"items":[{"on":""},{"count":2,"name":"x"}]}`,
		"other.name=x&other[y]=1":                        `{"other.name":"x","other[y]":"1"}`,
		"plain.name=x":                                   `{"plain.name":"x"}`,
		".=x&[]=y":                                       `{".":"x","[]":"y"}`,
		deep + "=1":                                      `{"` + deep + `":"1"}`,
	} {
		if w := s.call(key, "/v1/demo/typed?"+strings.ReplaceAll(query, `"`, "%22"), ""); w.Code != 200 || *got != "application/json "+want {
			t.Errorf("%s: %d, the target got %s, want %s", query, w.Code, *got, want)
		}
	}
}

func TestWhatDoesNotFitItsTypeStaysAString(t *testing.T) {
	t.Parallel()
	s, got, key := typedDoor(t, publicapiapi.Schema{"n": "integer", "x": "number", "on": "boolean", "o": "object", "list": "array", "text": "string"})
	for query, want := range map[string]string{
		"n=7&x=-1.5&on=true&text=8":  `{"n":7,"on":true,"text":"8","x":-1.5}`,
		"n=007&x=.5&on=yes&text=":    `{"n":"007","on":"yes","text":"","x":".5"}`,
		"n=true&x=null&on=1&o=[]":    `{"n":"true","o":"[]","on":"1","x":"null"}`,
		"n=1&n=2&list=[1,2]&text=[]": `{"list":[1,2],"n":2,"text":"[]"}`,
		"list=[1":                    `{"list":["[1"]}`,
	} {
		if w := s.call(key, "/v1/demo/typed?"+query, ""); w.Code != 200 || *got != "application/json "+want {
			t.Errorf("%s: %d, the target got %s, want %s", query, w.Code, *got, want)
		}
	}
}

// form is a multipart body; names that begin with @ are files.
func form(t *testing.T, parts ...string) (kind string, body []byte) {
	t.Helper()
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for i := 0; i < len(parts); i += 2 {
		var part io.Writer
		var err error
		if name, isFile := strings.CutPrefix(parts[i], "@"); isFile {
			part, err = w.CreateFormFile(name, "file.bin")
		} else {
			part, err = w.CreateFormField(name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, parts[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), buf.Bytes()
}

func TestMultipartBecomesJSONWithFilesInBase64(t *testing.T) {
	t.Parallel()
	s, got, key := typedDoor(t, publicapiapi.Schema{"count": "integer", "file": "string", "files": "array", "filter": "object"})
	binary := "\x00\xff\xfe"
	base64of := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	kind, body := form(t, "count", "7", "name", "x", "filter.a", "1", "@file", "12345", "raw", binary, "@files", "a", "@files", "b")
	want := `{"count":7,"file":"` + base64of("12345") + `","files":["` + base64of("a") + `","` + base64of("b") + `"],"filter":{"a":1},"name":"x","raw":"` + base64of(binary) + `"}`
	if w := s.send(key, "/v1/demo/typed?name=lost", kind, bytes.NewReader(body)); w.Code != 200 || *got != "application/json "+want {
		t.Errorf("%d, the target got %s, want %s", w.Code, *got, want)
	}
}

func TestABadMultipartBodySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s, _, key := typedDoor(t, nil)
	kind, body := form(t, "first", "1", "second", "a value")
	unnamed := strings.Replace(string(body), `name="second"`, "", 1)
	for detail, request := range map[string][2]string{
		"The Content-Type of the multipart body names no boundary": {"multipart/form-data", string(body)},
		"Part 2 of the multipart body has no name":                 {kind, unnamed},
		`The part "second" of the multipart body ends too early`:   {kind, string(body[:bytes.Index(body, []byte("a value"))+2])},
		"Part 1 of the multipart body is not well formed":          {kind, "no part at all"},
	} {
		want(t, s.send(key, "/v1/demo/typed", request[0], strings.NewReader(request[1])), 400, "v1", detail)
	}
	if records := s.records(); len(records) != 0 {
		t.Errorf("%d records of calls that were refused", len(records))
	}
	big := bytes.Repeat([]byte("x"), 10<<20)
	kind, body = form(t, "@file", string(big))
	want(t, s.send(key, "/v1/demo/typed", kind, io.MultiReader(bytes.NewReader(body))), 413, "v1", "The request body is larger than 10485760 bytes")
}

func TestABodyThatIsNullIsNoObject(t *testing.T) {
	t.Parallel()
	s, _, key := typedDoor(t, nil)
	want(t, s.call(key, "/v1/demo/typed?a=1", "null"), 400, "v1", "The body is not a JSON object")
}

func TestAnUpstreamThatIsCalledAsInM3OGetsJSON(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	var got string
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s %s", r.Method, r.URL, r.Header.Get("Content-Type"), content)
	}))
	t.Cleanup(upstream.Close)
	s.offerAt(upstream.URL, publicapiapi.EndpointRoute{Name: "Demo.Typed", Path: "/Typed", Schema: publicapiapi.Schema{"postcode": "string", "count": "integer"}})
	key := s.key(nil)
	for name, test := range map[string]struct{ method, query, kind, body, want string }{
		"Query": {"GET", "?postcode=007&count=2", "", "", `{"count":2,"postcode":"007"}`},
		"Form":  {"POST", "", "application/x-www-form-urlencoded", "postcode=12345&count=3", `{"count":3,"postcode":"12345"}`},
		"Both":  {"POST", "?count=2&postcode=1", "application/json", `{"count":4}`, `{"count":4,"postcode":"1"}`},
		"JSON":  {"POST", "", "application/json", `{ "count": 5 }`, `{ "count": 5 }`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), test.method, "/v1/demo/typed"+test.query, strings.NewReader(test.body))
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", test.kind)
		if w := s.do(r); w.Code != 200 || got != "POST /Typed application/json "+test.want {
			t.Errorf("%s: %d, the upstream got %s", name, w.Code, got)
		}
	}
}

func TestAnUpstreamGetsFormsAsTheyCame(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	kind, body := form(t, "count", "7", "@file", "content")
	var gotKind, gotBody, gotQuery string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		gotKind, gotBody, gotQuery = r.Header.Get("Content-Type"), string(content), r.URL.RawQuery
	}))
	t.Cleanup(upstream.Close)
	s.offerAt(upstream.URL, publicapiapi.EndpointRoute{Name: "Demo.Typed", Method: http.MethodPost, Pattern: "/typed", Path: "/typed", Schema: publicapiapi.Schema{"count": "integer"}})
	key := s.key(nil)
	if w := s.send(key, "/v1/demo/typed?a=1&a=2", kind, bytes.NewReader(body)); w.Code != 200 || gotKind != kind || gotBody != string(body) || gotQuery != "a=1&a=2" {
		t.Errorf("%d, the upstream got %s?%s: %s", w.Code, gotKind, gotQuery, gotBody)
	}
	plain := "application/x-www-form-urlencoded"
	if w := s.send(key, "/v1/demo/typed", plain, strings.NewReader("count=3&b=%20")); w.Code != 200 || gotKind != plain || gotBody != "count=3&b=%20" {
		t.Errorf("%d, the upstream got %s: %s", w.Code, gotKind, gotBody)
	}
}
