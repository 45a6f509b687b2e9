package messenger

import (
	"context"
	"html/template"
	"net/http"
	"slices"

	"m3o/examples/messenger/messengerapi"
)

// home is the page, and nothing else writes it.
const home = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Messenger</title>
<h1>Messenger</h1>
<p>This page was made by the replica {{.Self}}. Load it again.
<h2>A call reaches one of them, in turn</h2>
<ul>{{range .Unicast}}<li>{{.}}{{end}}</ul>
<h2>A multicast call reaches all of them</h2>
<ul>{{range .Multicast}}<li>{{.}}{{end}}</ul>
<h2>A call to an address of its own reaches the very one</h2>
<ul>{{range .Direct}}<li>{{.}}{{end}}</ul>
`

// visit is what the page shows: who has answered.
type visit struct {
	Self                       string
	Unicast, Multicast, Direct []string
}

// Home shows a page on which this replica calls its like in all three ways.
func (s *Service) Home(w http.ResponseWriter, r *http.Request) (err error) {
	v, err := s.visit(r.Context())
	if err != nil {
		return err
	}
	page, err := template.New("home").Parse(home)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return page.Execute(w, v)
}

func (s *Service) visit(ctx context.Context) (v visit, err error) {
	v.Self = s.Replica().ID
	answers, err := s.all.RollCall(ctx).Wait()
	if err != nil {
		return v, err
	}
	for _, answer := range answers {
		v.Multicast = append(v.Multicast, answer.Replica)
	}
	slices.Sort(v.Multicast)
	for _, replica := range v.Multicast {
		_, one, err := s.one.Greet(ctx, "")
		if err != nil {
			return v, err
		}
		// The very one stands before its host's name.
		_, direct, err := s.one.ForHost(replica+"."+messengerapi.Host).Greet(ctx, "")
		if err != nil {
			return v, err
		}
		v.Unicast, v.Direct = append(v.Unicast, one), append(v.Direct, direct)
	}
	return v, nil
}
