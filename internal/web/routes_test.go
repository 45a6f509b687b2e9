package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"m3o/internal/bus"
	"m3o/internal/rpc"
	"m3o/internal/web"
)

// anyFunctions are functions of host a that come in each other's way, none twice at
// one place.
func anyFunctions(t *rapid.T) (functions []rpc.Function) {
	path := rapid.SampledFrom([]string{"/", "/x", "/x/", "/Y-y", "/{a}", "/{a+}", "/x/{a}", "/{a}/x", "/{a}/{b}", "/{a}/{b+}"})
	seen := map[string]bool{}
	for range rapid.IntRange(1, 10).Draw(t, "functions") {
		f := rpc.Function{
			Host: "a", Name: "F", Path: path.Draw(t, "path"), Method: rapid.SampledFrom([]string{"GET", "HEAD", "POST", rpc.Any}).Draw(t, "method"),
			Port: rapid.SampledFrom([]int{0, 555}).Draw(t, "port"), Access: rapid.SampledFrom([]rpc.Access{rpc.Internal, rpc.Public, rpc.Customer}).Draw(t, "access"),
		}
		if key := f.Method + strconv.Itoa(f.Port) + f.Path; !seen[key] {
			seen[key] = true
			functions = append(functions, f)
		}
	}
	return functions
}

// TestTheBusServesWhatTheEdgeHasChecked compares, for any functions and requests, whom
// the edge lets in with who answers on the bus.
func TestTheBusServesWhatTheEdgeHasChecked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		functions := anyFunctions(t)
		b := bus.NewMemory(bus.MemoryConfig{})
		for i, f := range functions {
			access := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Access", string(f.Access)) })
			serve(b, "r"+strconv.Itoa(i), access, f)
		}
		host, path := rapid.SampledFrom([]string{"a", "A", "a:555", "a:555"}).Draw(t, "host"), ""
		for range rapid.IntRange(0, 2).Draw(t, "depth") {
			path += "/" + rapid.SampledFrom([]string{"x", "x", "Y-y", "z", "X", "yy", "yY", "", "%79y", "x%2Fx"}).Draw(t, "part")
		}
		verb := rapid.SampledFrom([]string{"GET", "HEAD", "POST"}).Draw(t, "verb")
		fromOutside, onBus := httptest.NewRecorder(), httptest.NewRecorder()
		edgeOf(t, b, functions).ServeHTTP(fromOutside, httptest.NewRequest(verb, "/"+host+path, nil))
		b.Handler("a").ServeHTTP(onBus, httptest.NewRequest(verb, "https://"+host+path, nil))
		got, want := fromOutside.Header().Get("Access"), onBus.Header().Get("Access")
		if fromOutside.Code == http.StatusOK && got != string(rpc.Public) {
			t.Fatalf("%s /%s%s got into a function whose access is %q", verb, host, path, got)
		}
		if isPlain(path) && want == string(rpc.Public) && got != want {
			t.Fatalf("%s /%s%s did not get into a public function: %d %s", verb, host, path, fromOutside.Code, fromOutside.Body)
		}
	})
}

// isPlain says whether a path is spelled as the functions are, and without an empty
// argument: then the edge sees in it what the bus does.
func isPlain(path string) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if !slices.Contains([]string{"x", "Y-y", "z"}, part) {
			return false
		}
	}
	return true
}

// edgeOf is an edge before a bus.
func edgeOf(t *rapid.T, b bus.Bus, functions []rpc.Function) http.Handler {
	log := slog.New(slog.DiscardHandler)
	h, err := web.NewHandler(web.Config{
		Bus: b, Functions: functions, Gateway: http.NotFoundHandler(), Authenticate: authenticate, Ready: web.NewReadiness(log),
		Metrics: prometheus.NewRegistry(), Log: log, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}
