package split

import (
	"context"
	"math/rand/v2"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// deliveries: every fact that a load states is delivered twice more, late and in any order, and changes no total.
func (d *deployment) deliveries(t *testing.T, m *market) {
	if d.nats == nil {
		t.Skip("the memory bus has no wire at which a delivery could be repeated")
	}
	conn, err := natsgo.Connect("nats://" + d.nats.address().Name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	facts := overhear(t, conn, js)
	l := d.begin(t)
	eventually(t, spendLimit, "the poor shopper to spend everything", func() bool { return l.poor.count() >= poorCalls })
	l.stop()
	d.check(t, m, l.rich, l.poor)
	all := facts()
	for range 2 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, f := range all {
			if _, err := js.PublishMsg(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, startLimit, "the repeated facts to be taken", func() bool { return taken(t, js) })
	d.check(t, m, l.rich, l.poor)
	t.Logf("%d facts were delivered twice more", len(all))
}

// overhear collects all facts from now on, without the id by which JetStream would refuse them a second time.
func overhear(t *testing.T, conn *natsgo.Conn, js jetstream.JetStream) (facts func() []*natsgo.Msg) {
	t.Helper()
	heard := make(chan *natsgo.Msg, 100_000)
	each(t, js, func(s jetstream.Stream) {
		for _, subject := range s.CachedInfo().Config.Subjects {
			if _, err := conn.ChanSubscribe(subject, heard); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() (all []*natsgo.Msg) {
		for len(heard) > 0 {
			f := <-heard
			f.Header.Del(jetstream.MsgIDHeader)
			all = append(all, &natsgo.Msg{Subject: f.Subject, Header: f.Header, Data: f.Data})
		}
		if len(all) == 0 {
			t.Fatal("no fact was stated")
		}
		return all
	}
}

// taken says whether every consumer has taken everything that there is.
func taken(t *testing.T, js jetstream.JetStream) (all bool) {
	t.Helper()
	all = true
	each(t, js, func(s jetstream.Stream) {
		consumers := s.ListConsumers(t.Context())
		for c := range consumers.Info() {
			all = all && c.NumPending == 0 && c.NumAckPending == 0
		}
		if err := consumers.Err(); err != nil {
			t.Fatal(err)
		}
	})
	return all
}

// each visits the streams.
func each(t *testing.T, js jetstream.JetStream, visit func(jetstream.Stream)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		s, err := js.Stream(ctx, info.Config.Name)
		if err != nil {
			t.Fatal(err)
		}
		visit(s)
	}
	if err := streams.Err(); err != nil {
		t.Fatal(err)
	}
}
