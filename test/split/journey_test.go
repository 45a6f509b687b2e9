package split

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"testing"
)

// journey runs the journey of m3o/test, from sign-up to statement, against the deployment.
func (d *deployment) journey(t *testing.T) {
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: d.steer})
	defer front.Close()
	cmd := exec.CommandContext(t.Context(), "go", "test", "..", "-count=1", "-timeout=5m", "-run=^TestJourney$/^sqlite$")
	cmd.Env = append(os.Environ(), "M3O_TEST_SYSTEM="+front.URL)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the journey: %v\n%s", err, out)
	}
}

// steer sends a request to the first gateway, and a question for metrics to where the ledger is, since every process
// tells its own only.
func (d *deployment) steer(r *httputil.ProxyRequest) {
	to := d.doors()[0]
	if r.In.URL.Path == "/metrics" {
		to = d.home("balance")
	}
	at, err := url.Parse(to.base())
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.SetURL(at)
	r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
}
