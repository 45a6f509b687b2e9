package dbtest

import (
	"os"
	"testing"
)

// A template can be dropped while this binary runs: by a run whose migrations are others.
func TestATemplateThatIsGoneIsMadeAgain(t *testing.T) {
	Postgres(t)
	server := os.Getenv("M3O_TEST_POSTGRES")
	gone, err := findTemplate(server)
	if err != nil {
		t.Fatal(err)
	}
	template.Lock()
	template.name = "m3o_template_0_gone"
	template.Unlock()
	Postgres(t)
	if now, err := findTemplate(server); err != nil || now != gone {
		t.Fatalf("the template is %q (%v), want %q", now, err, gone)
	}
}
