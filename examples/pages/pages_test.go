package pages_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"m3o/examples/pages"
	"m3o/internal/bus"
	"m3o/internal/fault"
)

// newService is pages with one link.
func newService(t *testing.T, b bus.Bus) *pages.Service {
	t.Helper()
	s, err := pages.New(pages.Deps{Links: []string{"/somewhere?a=1&b=2"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get is a visitor's request; an empty target is the place of whoever it is sent to.
func get(t *testing.T, target, languages string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Language", languages)
	return r
}

// startHarness and the methods of harness are generated: they send requests over a bus.
func TestHome_LeadsToTheExamples(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	h.Home(get(t, "", "")).Status(http.StatusOK).Header("Content-Type", "text/html; charset=utf-8").BodyContains(`<a href="/somewhere?a=1&amp;b=2">`)
}

func TestHome_SpeaksTheVisitorsLanguage(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	for languages, title := range map[string]string{"": "Examples", "fr-CA, en;q=0.5": "Exemples", "de": "Beispiele", "tlh": "Examples"} {
		h.Home(get(t, "", languages)).BodyContains("<h1>" + title)
	}
}

func TestFile_NameMayHaveSlashes(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	h.File(get(t, "/drawers/a/2026/letter.txt", "")).BodyContains("The file 2026/letter.txt is in the drawer a.")
	h.File(get(t, "/drawers/b/%3Ci%3E", "")).BodyContains("The file &lt;i&gt; is in the drawer b.")
}

func TestFile_AFaultIsThePageOfAnError(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	h.File(get(t, "/drawers/z/letter.txt", "")).ErrorCode(fault.NotFound).Header("Content-Type", "application/problem+json").BodyContains("there is no drawer z")
}

func TestForm_AsksAndGreets(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	h.Form(get(t, "", "")).BodyContains("What is your name?").BodyLacks("Hello")
	sent := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/form", strings.NewReader("name=%3CAnn%3E"))
	sent.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sent.Header.Set("Accept-Language", "fr")
	h.Form(sent).Status(http.StatusOK).BodyContains("<p>Bonjour &lt;Ann&gt;").BodyContains(`value="&lt;Ann&gt;"`)
}
