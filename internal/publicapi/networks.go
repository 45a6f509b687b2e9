package publicapi

import (
	"net/netip"
	"net/url"
	"strings"

	"m3o/internal/fault"
)

// checkNetwork refuses an address that the gateway would not call. Names are looked up by whoever calls them, each time.
func (s *Service) checkNetwork(target string) error {
	address, ok := literalOf(target)
	if !ok || s.reachable(address) {
		return nil
	}
	return fault.BadField("api.target", "%s is not an address of the public internet: the operator must allow its network first", address)
}

// literalOf is the address that a target is written with, false when that is a name
// or a service.
func literalOf(target string) (netip.Addr, bool) {
	u, err := url.Parse(target)
	if err != nil || !isHTTP(target) {
		return netip.Addr{}, false
	}
	host, _, _ := strings.Cut(u.Hostname(), "%")
	address, err := netip.ParseAddr(strings.TrimSuffix(host, "."))
	return address.Unmap(), err == nil
}
