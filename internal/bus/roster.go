package bus

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// roster is who serves what: read without a lock, changed by copying. Its zero
// value is empty.
type roster struct {
	mu    sync.Mutex
	sites atomic.Pointer[map[string]*site] // by lower-case host
}

// site is the site of a host, nil when nobody serves it. Its case does not matter.
func (r *roster) site(host string) *site {
	if sites := r.sites.Load(); sites != nil {
		return (*sites)[strings.ToLower(host)]
	}
	return nil
}

// add puts a replica with its endpoints under their hosts and under its own
// addresses, all at once.
func (r *roster) add(one *replica, endpoints []Endpoint) (remove func()) {
	added := map[string][]*server{}
	for i := range endpoints {
		s, host := &server{&endpoints[i], one}, strings.ToLower(endpoints[i].Host)
		added[host] = append(added[host], s)
		direct := strings.ToLower(one.name) + "." + host
		added[direct] = append(added[direct], s)
	}
	r.change(func(sites map[string]*site) {
		for host, servers := range added {
			sites[host] = r.newSite(host, append(sites[host].all(), servers...))
		}
	})
	return func() {
		r.change(func(sites map[string]*site) {
			for host := range added {
				sites[host] = r.newSite(host, slices.DeleteFunc(sites[host].all(), func(s *server) bool { return s.replica == one }))
				if len(sites[host].servers) == 0 {
					delete(sites, host)
				}
			}
		})
	}
}

// change replaces the sites by a copy that to has changed.
func (r *roster) change(to func(map[string]*site)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sites := map[string]*site{}
	if old := r.sites.Load(); old != nil {
		sites = maps.Clone(*old)
	}
	to(sites)
	r.sites.Store(&sites)
}
