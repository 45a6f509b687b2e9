package locale

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

const hello = `
greeting:
  default: Hello (default)
  en: Hello
  fr: Bonjour
  pt-BR: Olá
farewell:
  en: Bye
  fr: Au revoir
thanks:
  fr: Merci
  it: Grazie
wait:
  default: Wait
`

func load(t *testing.T, file string) *Texts {
	t.Helper()
	texts, err := Load(resources(file))
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func resources(file string) fstest.MapFS { return fstest.MapFS{File: {Data: []byte(file)}} }

func TestACallerReadsTheLanguageAskedFor(t *testing.T) {
	t.Parallel()
	texts := load(t, hello)
	for _, c := range []struct{ languages, key, want string }{
		{"de, fr;q=0.8", "greeting", "Bonjour"},
		{"de", "greeting", "Hello (default)"},
		{"", "greeting", "Hello (default)"},
		{"en", "greeting", "Hello"},
		{"en-GB", "greeting", "Hello"},
		{"fr-CA", "greeting", "Bonjour"},
		{"fr-ca-x-informal", "greeting", "Bonjour"},
		{"FR", "greeting", "Bonjour"},
		{"pt", "greeting", "Olá"},
		{"pt-PT", "greeting", "Olá"},
		{"en;q=0.5, fr", "greeting", "Bonjour"},
		{"en;q=0.5, fr;q=0.500", "greeting", "Hello"},
		{"en;q=0.501 , fr ;Q=0.51", "greeting", "Bonjour"},
		{"*", "greeting", "Hello (default)"},
		{"de, *;q=0.5, fr;q=0.4", "greeting", "Hello (default)"},
		{"de;q=0.1, fr;q=0.4, *;q=0.2", "greeting", "Bonjour"},
		{"ca, es", "greeting", "Hello (default)"},
		{"fr;q=0", "greeting", "Hello (default)"},
		{"fr-CA, fr;q=0, en;q=0.1", "greeting", "Hello"},
		{"pt-BR, pt;q=0", "greeting", "Olá"},
		{"pt, pt-BR;q=0", "greeting", "Hello (default)"},
		{",, fr ,", "greeting", "Bonjour"},
		{"not a language, fr;q=0.1", "greeting", "Bonjour"},
		{"xx, en;q=high, en;level=1, en;q=1.1, en;q=0.1234, fr;q=0.1", "greeting", "Bonjour"},
		{"de", "farewell", "Bye"},
		{"fr", "farewell", "Au revoir"},
		{"de, en;q=0", "farewell", "Bye"},
		{"de", "thanks", "thanks"},
		{"de, *;q=0.1", "thanks", "Merci"},
		{"de, *;q=0", "thanks", "thanks"},
		{"it-CH", "thanks", "Grazie"},
		{"fr", "wait", "Wait"},
		{"fr", "nothing", "nothing"},
	} {
		for range 2 { // the second answer comes from what is remembered
			if got := texts.Text(c.languages, c.key); got != c.want {
				t.Errorf("Text(%q, %q): %q, want %q", c.languages, c.key, got, c.want)
			}
		}
	}
}

// The matcher of x/text would take each of these for the other.
func TestALanguageThatIsMerelyCloseIsNotTaken(t *testing.T) {
	t.Parallel()
	for wanted, there := range map[string]string{"da": "nb", "gsw": "de", "hr": "bs", "az-Arab": "az", "de": "en"} {
		texts := load(t, fmt.Sprintf("k: {default: default, %s: close}", there))
		if got := texts.Text(wanted, "k"); got != "default" {
			t.Errorf("for %s the text in %s was taken", wanted, there)
		}
	}
}

func TestOneLanguageHasSeveralNames(t *testing.T) {
	t.Parallel()
	for wanted, there := range map[string]string{"iw": "he", "no": "nb", "nb": "no", "cmn": "zh", "zh-TW": "zh", "tl": "fil", "en_US": "en"} {
		texts := load(t, fmt.Sprintf("k: {default: default, %s: its text}", there))
		if got := texts.Text(wanted, "k"); got != "its text" {
			t.Errorf("for %s the text in %s was not taken", wanted, there)
		}
	}
}

func TestNoTextsAreKeys(t *testing.T) {
	t.Parallel()
	var none *Texts
	if got := none.Text("fr", "k"); got != "k" {
		t.Errorf("nil: %q", got)
	}
	if got := new(Texts).Text("fr", "k"); got != "k" {
		t.Errorf("zero: %q", got)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	t.Parallel()
	texts := load(t, hello)
	choice := texts.entries["greeting"].choice
	for i := range 3 * maxKnown {
		texts.Text(fmt.Sprintf("fr;q=0.%03d", i%1000+i/1000), "greeting")
		texts.Text(fmt.Sprintf("x%d, fr", i), "greeting")
		if len(choice.known) > maxKnown {
			t.Fatalf("it remembers %d headers", len(choice.known))
		}
	}
	long := "fr" + strings.Repeat(", de", maxHeader)
	if got := texts.Text(long, "greeting"); got != "Bonjour" {
		t.Errorf("for a long header: %q", got)
	}
	if _, ok := choice.known[long]; ok {
		t.Error("it remembers a long header")
	}
}

func TestKeysWithTheSameLanguagesShareTheirChoice(t *testing.T) {
	t.Parallel()
	texts := load(t, "a: {default: A, fr: B}\nb: {fr: D, default: C}\nc: {en: E, fr: F}\n")
	a, b, c := texts.entries["a"].choice, texts.entries["b"].choice, texts.entries["c"].choice
	if a != b || a == c {
		t.Errorf("a and b share: %v; a and c share: %v", a == b, a == c)
	}
}

func TestManyMayAskAtOnce(t *testing.T) {
	t.Parallel()
	texts := load(t, hello)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 500 {
				if got := texts.Text(fmt.Sprintf("x%d, fr;q=0.5", i+worker), "farewell"); got != "Au revoir" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestAKnownHeaderCostsNoMemory(t *testing.T) {
	texts := load(t, hello)
	if n := testing.AllocsPerRun(100, func() { texts.Text("de, fr;q=0.8", "greeting") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkText(b *testing.B) {
	texts, err := Load(resources(hello))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			texts.Text("de, fr;q=0.8", "greeting")
		}
	})
	b.Run("New", func(b *testing.B) {
		b.ReportAllocs()
		c := texts.entries["greeting"].choice
		for b.Loop() {
			c.make(parseAccept("de, fr;q=0.8"))
		}
	})
}
