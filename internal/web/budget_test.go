package web_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// patient waits for the end of its context and then does what its path says.
func patient(w http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	switch r.URL.Path {
	case "/expired":
		w.Header().Set("Retry-After", "9")
		problem.Write(w, r, fault.New(fault.Expired, "sample.Extra has not answered in time"))
	case "/broken":
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("broken"))
	case "/late":
		_, _ = w.Write([]byte("late"))
	case "/refused":
		problem.Write(w, r, fault.New(fault.NotFound, "no"))
	}
}

func TestACallWhoseTimeIsOverIsATimeout(t *testing.T) {
	t.Parallel()
	e := setup(t, also(http.HandlerFunc(patient), at("sample", 443, "/expired"), at("sample", 443, "/broken"), at("sample", 443, "/silent"), at("sample", 443, "/late"), at("sample", 443, "/refused")))
	for path, want := range map[string]int{"/sample/expired": 504, "/sample/broken": 504, "/sample/silent": 504, "/sample/late": 200, "/sample/refused": 404} {
		resp, text := e.do("POST", path, "{}", "Request-Timeout: 0.02")
		if resp.StatusCode != want || resp.Header.Get("Retry-After") != "" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
		if want == 504 && (!strings.Contains(text, `"type":"/problems#timeout"`) || !strings.Contains(text, "within 20ms") || strings.Contains(text, "broken")) {
			t.Errorf("%s: %s", path, text)
		}
	}
}

func TestAFunctionThatWasTooLateByItselfSaysSo(t *testing.T) {
	t.Parallel()
	e := setup(t, answering("/expired", func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.New(fault.Expired, "sample.Extra has not answered in time"))
	}))
	for _, header := range []string{"X: y", "Request-Timeout: 60"} {
		if resp, text := e.do("POST", "/sample/expired", "{}", header); resp.StatusCode != 408 {
			t.Errorf("%s: %d %s", header, resp.StatusCode, text)
		}
	}
}

// remaining answers with how many seconds its context has left, or none.
func remaining(w http.ResponseWriter, r *http.Request) {
	until, ok := r.Context().Deadline()
	if !ok {
		_, _ = w.Write([]byte("none"))
		return
	}
	_, _ = w.Write([]byte(strconv.Itoa(int(time.Until(until).Round(time.Second).Seconds()))))
}

func TestTheCallerSaysHowLongItWaits(t *testing.T) {
	t.Parallel()
	e := setup(t, answering("/left", remaining))
	for header, want := range map[string]string{"5": "5", "2.9": "3", "30": "30", "3600": "3600", "3601": "3600", "99999999999999999999": "3600", "": "none"} {
		if resp, text := e.do("GET", "/sample/left", "", "Request-Timeout: "+header); resp.StatusCode != 200 || text != want {
			t.Errorf("%q: %d %s, want %s", header, resp.StatusCode, text, want)
		}
	}
	for _, header := range []string{"0", "0.0", "-1", "5s", "1m0", "soon", "1e3", ".", ".5", "1.2.3", "NaN", "0.0000000001"} {
		if resp, text := e.do("GET", "/sample/left", "", "Request-Timeout: "+header); resp.StatusCode != 400 || !strings.Contains(text, `"name":"Request-Timeout"`) {
			t.Errorf("%q: %d %s", header, resp.StatusCode, text)
		}
	}
}
