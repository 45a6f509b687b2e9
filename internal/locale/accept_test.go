package locale

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

func TestWeights(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"q=1": 1000, "q=1.": 1000, "q=1.000": 1000, "q=0": 0, "q=0.": 0, "q=0.5": 500, " Q=0.05\t": 50, "q=0.999": 999, "q= 0.25": 250,
		"": -1, "q": -1, "q=": -1, "q=.5": -1, "q=1.001": -1, "q=2": -1, "q=-1": -1, "q=0.1234": -1, "q=0.a": -1, "q=+1": -1, "q=NaN": -1, "v=1": -1, "q=0.5;q=1": -1,
	} {
		got, ok := parseWeight(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d %v, want %d", text, got, ok, want)
		}
	}
}

func TestOnlyTheFirstRangesAreRead(t *testing.T) {
	t.Parallel()
	if got := parseAccept(strings.Repeat("de,", 10*maxRanges)); len(got) != maxRanges {
		t.Errorf("%d ranges were read", len(got))
	}
	if got := parseAccept(strings.Repeat(",", maxRanges) + "de"); len(got) != 0 {
		t.Errorf("empty elements are not counted: %v", got)
	}
}

func FuzzParseAccept(f *testing.F) {
	for _, seed := range []string{"", "*", "de, fr;q=0.8", "fr-CA,fr;q=0.9,en-US;q=0.8,*;q=0", "x-own, i-klingon;q=1.000", "zh-Hant-TW-u-co-stroke;q=0,zh", ";;q=,-", "\xff;q=0"} {
		f.Add(seed)
	}
	texts, err := Load(resources(hello))
	if err != nil {
		f.Fatal(err)
	}
	known := []string{"Hello (default)", "Hello", "Bonjour", "Olá"}
	f.Fuzz(func(t *testing.T, header string) {
		ranges := parseAccept(header)
		if len(ranges) > maxRanges {
			t.Errorf("%d ranges", len(ranges))
		}
		last := 1000
		for _, r := range ranges {
			if r.weight < 0 || r.weight > last {
				t.Errorf("weight %d after %d", r.weight, last)
			}
			if last = r.weight; r.any == (r.tag != language.Und) {
				t.Errorf("%v is neither a language nor any", r)
			}
		}
		if got := texts.Text(header, "greeting"); !slices.Contains(known, got) {
			t.Errorf("got %q", got)
		}
	})
}
