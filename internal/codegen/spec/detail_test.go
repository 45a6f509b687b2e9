package spec_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"m3o/internal/codegen/spec"
)

func parse(t *testing.T, text string) *spec.Service {
	t.Helper()
	s, err := spec.Parse("service.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryMistakeIsToldInOrderWithItsPlace(t *testing.T) {
	t.Parallel()
	_, err := spec.Parse("a/service.yaml", []byte(`general: {host: a b, descripton: x}
configs:
  - signature: "Limit() (n int)"
    callback: "true"
functions:
  - signature: Foo(a rune, Bad int) (x int
  - signature: Bar(a rune, b os.File)
    path: /x/{zzz}
    method: "GET POST"
tickers:
  - signature: Tick()
    interval: 1d
`))
	want := `a/service.yaml:1:17: E-HOST: "a b" is no host name (letters, digits, hyphens and underscores, with single dots between)
a/service.yaml:1:22: E-FIELD: unknown field of general "descripton" (did you mean description?)
a/service.yaml:4:16: E-TYPE: callback must be true or false, not a text (write true without quotes)
a/service.yaml:6:22: E-TYPE-PRIM: unknown primitive type rune (complex types begin with an upper-case letter)
a/service.yaml:6:28: E-ARG-NAME: "Bad" is no name of an argument (a lower-case letter, then letters and digits)
a/service.yaml:6:37: E-SIG: the parenthesis is not closed
a/service.yaml:7:22: E-TYPE-PRIM: unknown primitive type rune (complex types begin with an upper-case letter)
a/service.yaml:7:30: E-TYPE-DOT: the type os.File of another package cannot be used (declare a type in the api package)
a/service.yaml:9:14: E-METHOD: "GET POST" is no method (one word, such as GET or POST)
a/service.yaml:12:15: E-TICK-INTERVAL: interval must be a duration above zero, not "1d" (write 24h)`
	if diff := cmp.Diff(want, errText(err)); diff != "" {
		t.Error(diff)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	s := parse(t, "general: {host: a.test}\nfunctions: [{signature: Foo}]\nevents: [{signature: OnX}]\nmetrics: [{signature: M(n int)}]\ntickers: [{signature: T(), interval: 1ns}]")
	if s.General.Description != `The "a.test" microservice.` || !s.General.OpenAPI || !s.General.IntegrationTests || s.General.Wire != "plain" {
		t.Errorf("general is %+v", s.General)
	}
	f := s.Functions[0]
	if f.Description != "Foo is a function." || f.Queue != "default" || f.Access != "internal" || !f.OpenAPI || f.Timeout.Seconds() != 20 {
		t.Errorf("the function is %+v", f)
	}
	if got := s.Events[0].Route.String(); got != "POST a.test:417/on-x" {
		t.Errorf("the event is at %s", got)
	}
	if s.Metrics[0].Kind != "counter" || s.Metrics[0].Description != "" || s.Tickers[0].Replicas != "one" {
		t.Errorf("got %+v, %+v", s.Metrics[0], s.Tickers[0])
	}
}

func TestPathsAreResolved(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":                            "ANY a.test:443/foo-bar",
		"/":                           "ANY a.test:443/",
		"/path":                       "ANY a.test:443/path",
		"path/sub":                    "ANY a.test:443/path/sub",
		"/v1/.../x":                   "ANY a.test:443/v1/foo-bar/x",
		":443/...":                    "ANY a.test:443/foo-bar",
		":443":                        "ANY a.test:443/",
		":0/path":                     "ANY a.test:0/path",
		"//example.com/...":           "ANY example.com:443/foo-bar",
		"//Example.com:8/p":           "ANY example.com:8/p",
		"https://example.com:443/p":   "ANY example.com:443/p",
		"http://example.com/p":        "ANY example.com:80/p",
		"//root":                      "ANY root:443/",
		"/directory/{filename+}":      "ANY a.test:443/directory/{filename+}",
		"/article/{aid}/comment/{id}": "ANY a.test:443/article/{aid}/comment/{id}",
	} {
		s := parse(t, "general: {host: a.test}\nwebs: [{signature: FooBar(), path: \""+path+"\"}]")
		if got := s.Webs[0].Route.String(); got != want {
			t.Errorf("%q is %s, want %s", path, got, want)
		}
	}
}

func TestBadPathsAreRefused(t *testing.T) {
	t.Parallel()
	for path, class := range map[string]string{
		"/{x}/{x}": "E-PATH-DUP", "/{x+}/": "E-PATH-GREEDY", "/a?b": "E-PATH", "//{x}/a": "E-PATH", ":-5/x": "E-PATH", "ftp://a/b": "E-PATH",
		"/}x{": "E-PATH-SHAPE", "/{{x}}": "E-PATH-SHAPE", "//": "E-PATH",
		"/../x": "E-PATH", "/./x": "E-PATH", "/a/..": "E-PATH", "/%2e%2E/x": "E-PATH", "/a//b": "E-PATH", "//a.test//b": "E-PATH",
		"//" + strings.Repeat("a", 64) + "/x": "E-PATH",
	} {
		_, err := spec.Parse("f", []byte("general: {host: a.test}\nwebs: [{signature: FooBar(), path: \""+path+"\"}]"))
		if !strings.Contains(errText(err), " "+class+": ") {
			t.Errorf("%q: got %v, want %s", path, err, class)
		}
	}
}

func TestOverlapsAreWarnings(t *testing.T) {
	t.Parallel()
	s := parse(t, "general: {host: a.test}\nfunctions: [{signature: \"A(p string)\", path: \"/{p+}\", method: GET}, {signature: \"B(q string)\", path: \"/hi/{q}\"}, {signature: C(), path: /hi, method: POST}]")
	if len(s.Warnings) != 1 || s.Warnings[0].Class != "W-ROUTE-OVERLAP" {
		t.Errorf("got %v", s.Warnings)
	}
}

func TestKebab(t *testing.T) {
	t.Parallel()
	for _, pair := range strings.Split("FooBar foo-bar,FooBAR foo-bar,URLEncoder url-encoder,foobarX foobar-x,HTTP http,XMLHTTPRequest xmlhttp-request,"+
		"JSONToXML json-to-xml,GetID get-id,IDOf id-of,OnX on-x,GetURLs get-ur-ls,HTTP2Server http2server,A1B2 a1b2,Foo2Bar foo2bar,"+
		"Get2FACode get2fa-code,OAuth2Token o-auth2token,IPv4Addr i-pv4addr", ",") {
		name, want, _ := strings.Cut(pair, " ")
		if got := spec.Kebab(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestOursIsChecked(t *testing.T) {
	t.Parallel()
	for text, class := range map[string]string{
		"functions: [{signature: F(), access: everyone}]":                                   "E-ACCESS",
		"functions: [{signature: F(), stream: true}]":                                       "E-STREAM",
		"functions: [{signature: F() (httpResponseBody int), stream: true}]":                "E-STREAM",
		"functions: [{signature: F(send int) (x int), stream: true}]":                       "E-ARG-RESERVED",
		"functions: [{signature: F(), timeout: 0s}]":                                        "E-TIMEOUT",
		"functions: [{signature: \"F(x Service)\"}]":                                        "E-SIG-RESERVED",
		"functions: [{signature: \"F(e *customers.Event)\"}]":                               "E-TYPE-DOT",
		"tickers: [{signature: F(), interval: 1s, replicas: two}]":                          "E-TICK-REPLICAS",
		"sinks: [{signature: \"OnX(e *customers.Event)\", topic: Customers}]":               "E-SINK-TOPIC",
		"sinks: [{signature: \"OnX(e *customers.Event)\", topic: orders}]":                  "E-SINK-MATCH",
		"sinks: [{signature: \"OnX(e *customers.Event)\", topic: customers, source: a/b}]":  "E-SINK-TOPIC",
		"sinks: [{signature: \"OnX(e *customers.Event)\", topic: customers, queue: none}]":  "E-QUEUE",
		"sinks: [{signature: OnX()}]":                                                       "E-SINK-SOURCE",
		"publish: {prices: {Nothing: 1}}":                                                   "E-PUBLISH",
		"publish: {prices: {F: 1.5}}":                                                       "E-TYPE",
		"functions: [{signature: F()}]\nconfigs: [{signature: G() (n int8), default: 300}]": "E-CFG-DEFAULT",
		"configs: [{signature: Foo() (n int)}]\nfunctions: [{signature: SetFoo()}]":         "E-SIG-RESERVED",
		"metrics: [{signature: \"M(n int)\", kind: histogram, buckets: [1, 1]}]":            "E-MET-BUCKETS",
		"functions: [{signature: \"F(a int, a string)\"}]":                                  "E-ARG-DUP",
		"functions: [{signature: \"F(a, b int)\"}]":                                         "E-ARG",
		"functions: [{signature: \"F(a chan int)\"}]":                                       "E-TYPE-FORM",
		"functions:\n  - signature: |\n      F(a\tint)":                                     "E-ARG",
		"functions: [~]": "E-MISSING",
		"functions: [7]": "E-TYPE",
	} {
		_, err := spec.Parse("f", []byte("general: {host: a.test}\n"+text))
		var errs spec.Errors
		if !errors.As(err, &errs) || string(errs[0].Class) != class {
			t.Errorf("%s: got %v, want %s", text, err, class)
		}
	}
}

func TestSchemaAcceptsWhatTheParserAccepts(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(spec.Schema())
	if err != nil {
		t.Fatal(err)
	}
	schemaDoc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("service.json", schemaDoc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("service.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases(t, copied) {
		var doc any
		if yaml.Unmarshal([]byte(c.YAML), &doc) != nil || doc == nil {
			continue
		}
		err := schema.Validate(doc)
		if c.Expect == "E-FIELD" && err == nil {
			t.Errorf("%s: the schema accepts an unknown field", c.ID)
		}
		if c.Expect == "ok" && err != nil && c.ID != "S097" && c.ID != "S099" && c.ID != "S257" { // enumerations: the parser ignores case
			t.Errorf("%s: %v", c.ID, err)
		}
	}
}

func TestALabelThatEveryMetricHasIsRefused(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"service", "ver", "id"} {
		_, err := spec.Parse("service.yaml", []byte("general: {host: a}\nmetrics: [{signature: \"Foo(n int, "+label+" string)\"}]"))
		if !strings.Contains(errText(err), "E-MET-ARGS: every metric has a label "+label) {
			t.Errorf("%s: %v", label, err)
		}
	}
}

func TestTwoServicesOfAProgramCannotListenAtOnePlace(t *testing.T) {
	t.Parallel()
	services := make([]*spec.Service, 5)
	for i, text := range []string{
		"general: {host: a.test}\nfunctions: [{signature: Foo()}, {signature: Get(x string), method: GET, path: \"//root/{x}\"}]",
		"general: {host: b.test}\nfunctions:\n  - signature: Bar()\n    path: //a.test/foo\nwebs: [{signature: Page(), method: GET, path: \"//ROOT/{}\"}]",
		"general: {host: c.test}\nfunctions: [{signature: Foo()}, {signature: Bar(), method: PUT, path: //a.test/foo}]",
		"general: {host: d.test}\nfunctions:\n  - signature: Bar()\n    access: public\n    path: //c.test/FOO\nwebs:\n  - signature: Own()\n    path: //a.test/foo/own",
		"general:\n  host: A.test\nfunctions: [{signature: Foo()}]",
	} {
		s, err := spec.Parse(string(rune('a'+i))+"/service.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		services[i] = s
	}
	want := `b/service.yaml:4:11: E-ROUTE-DUP: Bar listens at ANY a.test:443/foo, as Foo does at a/service.yaml:2 (give one of them another path or host)
b/service.yaml:5:48: E-ROUTE-DUP: Page listens at GET root:443/{}, as Get does at a/service.yaml:2 (give one of them another path or host)
d/service.yaml:5:11: E-ROUTE-DUP: Bar listens at ANY c.test:443/FOO, and Foo at ANY c.test:443/foo at c/service.yaml:2: a request from outside could be for either (give one of them another path or host)
e/service.yaml:2:9: E-HOST-DUP: the host a.test is that of a/service.yaml:1 (each service of a program has a host of its own)`
	if diff := cmp.Diff(want, spec.Clash(services).Error()); diff != "" {
		t.Error(diff)
	}
}
