package natsbus

import (
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"m3o/internal/auth"
)

func sample() *packet {
	return &packet{kind: kindOpen, number: 1 << 40, data: []byte("body"), last: true, length: 4, header: http.Header{"A": {"1", "", "2"}, "B": nil}, asking: asking{
		serve: 3, endpoint: 2, budget: 5_000_000, build: "v1", method: "POST", scheme: "https", host: "one.test:444", path: "/a/b", rawPath: "/a%2Fb", query: "c=d",
		hostHeader: "one.test", remote: "192.0.2.1:5", account: auth.Account{ID: "cus_1", Type: auth.TypeCustomer, Session: "ses_1"}, client: "192.0.2.1",
		request: "req_1", travels: []byte(`{"Depth":1}`),
	}}
}

// decoded is the packet in a message.
func decoded(message []byte) (f *packet, err error) {
	f = &packet{}
	err = f.decode(message)
	f.values = nil
	return f, err
}

func compare(t interface{ Error(...any) }, want, got *packet) {
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(packet{}, asking{})); diff != "" {
		t.Error(diff)
	}
}

func TestAPacketArrivesAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, want := range []*packet{
		sample(),
		{kind: kindAnswer, status: 418, header: http.Header{"X": {"y"}}, observed: [][]byte{[]byte("one"), []byte("two")}, data: []byte("x")},
		{kind: kindData, call: "m3o.answer.prc_1.a", data: []byte("piece")},
		{kind: kindCredit, call: "m3o.answer.prc_1.a", credit: 1 << 20},
		{kind: kindBroken, call: "m3o.answer.prc_1.a", fault: []byte("{}"), length: -1},
	} {
		got, err := decoded(want.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.data) == 0 {
			got.data = nil
		}
		compare(t, want, got)
		if n := addressee(want.append(nil)); n != want.number {
			t.Errorf("it is for %d, not %d", n, want.number)
		}
	}
}

func TestAnyHeaderArrives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		header := rapid.MapOfN(rapid.String(), rapid.SliceOfN(rapid.String(), 1, 3), 1, 10).Draw(t, "header")
		got, err := decoded((&packet{kind: kindAnswer, header: header}).append(nil))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, &packet{kind: kindAnswer, header: header, data: []byte{}}, got)
	})
}

func TestWhatANewerBuildAddsIsPassedOver(t *testing.T) {
	t.Parallel()
	head := sample().head(nil)
	head = protowire.AppendFixed64(protowire.AppendTag(head, 900, protowire.Fixed64Type), 7)
	head = protowire.AppendString(protowire.AppendTag(head, 901, protowire.BytesType), "new")
	head = protowire.AppendVarint(protowire.AppendTag(head, 902, protowire.VarintType), 7)
	got, err := decoded(assemble(nil, kindOpen, head, true, []byte("body")))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, sample(), got)
}

// FuzzDecode: nothing that comes over the wire breaks the process, and what can be read can be written.
func FuzzDecode(f *testing.F) {
	f.Add(sample().append(nil))
	f.Add((&packet{kind: kindAnswer, status: 200, header: http.Header{"X": {"y"}}}).append(nil))
	f.Add([]byte{})
	random := rand.NewChaCha8([32]byte{2})
	for range 10 {
		noise := make([]byte, 40)
		_, _ = random.Read(noise)
		f.Add(noise)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := decoded(b)
		if err != nil {
			return
		}
		again, err := decoded(first.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, first, again)
		if n := addressee(first.append(nil)); n != first.number {
			t.Errorf("it is for %d, not %d", n, first.number)
		}
		_ = addressee(b)
	})
}

func FuzzEscape(f *testing.F) {
	for _, text := range []string{"", "a b", "ü%", "%41", "a%", "\r\n\"", "\x00\x7f"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		escaped := escape(text)
		for _, c := range []byte(escaped) {
			if c <= ' ' || c >= 0x7f {
				t.Fatalf("%q has %q", escaped, c)
			}
		}
		if got := unescape(escaped); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	})
}
