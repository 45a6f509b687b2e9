package natsbus_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protowire"
)

// earlier writes packets as builds did that knew no numbers of calls: a kind, fields, a body.
type earlier []byte

func (b earlier) number(field protowire.Number, n uint64) earlier {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

func (b earlier) text(field protowire.Number, text string) earlier {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

func (b earlier) packet(kind byte, body string) []byte {
	return append(protowire.AppendBytes([]byte{kind}, b), body...)
}

func TestAnEarlierBuildAnswersAtTheSubjectOfTheCall(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	caller := p.process()
	nc := p.stranger(`{"kind":"serve","process":"prc_stranger","serve":1,"replica":"r1","endpoints":[{"host":"one.test","port":443,"method":"ANY","path":"/"}]}`)
	_, err := nc.Subscribe(p.config.Prefix+".call.prc_stranger", func(m *nats.Msg) {
		_ = m.Respond(earlier(nil).number(40, http.StatusOK).packet('a', "in "))
		_ = m.Respond(earlier(nil).number(2, 1).packet('d', "two pieces"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is answered", func() bool { return ask(t.Context(), caller).Body.String() == "in two pieces" })
}

func TestAnEarlierBuildIsAnsweredWhereItListens(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	nc := p.stranger(`{"kind":"beat","process":"prc_stranger"}`)
	notes, err := nc.SubscribeSync(p.config.Prefix + ".roster.all")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	p.serve(p.process(), "r1", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	var home struct {
		Kind, Process string
		Serve         uint64
	}
	for home.Kind != "serve" {
		m, err := notes.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(m.Data, &home); err != nil {
			t.Fatal(err)
		}
	}
	open := earlier(nil).number(2, 1).number(10, home.Serve).number(12, 5_000_000).text(20, "POST").text(21, "https").text(22, "one.test").text(23, "/")
	answer, err := nc.Request(p.config.Prefix+".call."+home.Process, open.packet('o', "body"), patience)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(answer.Data); text[0] != 'a' || text[len(text)-4:] != "body" {
		t.Errorf("got %q", text)
	}
}
