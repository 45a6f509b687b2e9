package web_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"m3o/internal/rpc"
	"m3o/internal/web"
)

// mount makes an edge whose mount answers as gRPC does: its status comes after the body.
func mount(functions ...rpc.Function) func(*web.Config) {
	return all(also(show("function"), functions...), func(c *web.Config) {
		c.Mounts = map[string]http.Handler{"/pack.v1.Thing/": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/grpc")
			_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+r.Proto)
			_ = http.NewResponseController(w).Flush() // else HTTP/1.1 states a length, and has no trailer
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "7")
		})}
	})
}

func TestAMountIsAskedBeforeTheFunctions(t *testing.T) {
	t.Parallel()
	e := setup(t, mount(rpc.Function{Host: "pack.v1.thing", Name: "Do", Port: 443, Path: "/Do", Method: rpc.Any, Access: rpc.Public}))
	for path, mounted := range map[string]bool{
		"/pack.v1.Thing/Do": true, "/pack.v1.Thing/": true, "/pack.v1.Thing/a/b": true,
		"/pack.v1.thing/Do": false, "/pack.v1.Thing": false, "/pack.v1.ThingX/Do": false, "//pack.v1.Thing/Do": false, "/": false,
	} {
		resp, body := e.do(http.MethodPost, path, "")
		if got := strings.HasPrefix(body, "POST "+path+" HTTP/1.1"); got != mounted {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if !strings.Contains(e.log.String(), `"route":"/pack.v1.Thing/"`) {
		t.Errorf("the log does not name the mount: %s", e.log)
	}
}

// Through all layers, by HTTP/2 without TLS beside HTTP/1.1 on one port.
func TestAMountSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	_, h := unstarted(t, mount())
	s := listen(t)
	s.Start(h)
	ask := func(protocols *http.Protocols, want string) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
		r := request(t, s)
		r.URL.Path, r.Close = "/pack.v1.Thing/Do", false
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if got := string(body); err != nil || got != "GET /pack.v1.Thing/Do "+want || resp.Trailer.Get("Grpc-Status") != "7" || resp.Header.Get("M3O-Request-Id") == "" {
			t.Errorf("%s %v %v, %v", got, resp.Header, resp.Trailer, err)
		}
	}
	one, two := new(http.Protocols), new(http.Protocols)
	one.SetHTTP1(true)
	two.SetUnencryptedHTTP2(true)
	ask(one, "HTTP/1.1")
	ask(two, "HTTP/2.0")
	if err := s.Stop(t.Context()); err != nil { // both connections are still there, idle
		t.Errorf("Stop: %v", err)
	}
}
