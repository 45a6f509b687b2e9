package upstream

import (
	"net/netip"
	"slices"
)

// notPublic are the networks that are not the public internet's, or nobody's in
// particular, from IANA's registries of special-purpose addresses (RFC 6890). Of
// IPv6, everything outside of 2000::/3 is not public either.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this host
	netip.MustParsePrefix("10.0.0.0/8"),      // private
	netip.MustParsePrefix("100.64.0.0/10"),   // shared by carriers
	netip.MustParsePrefix("127.0.0.0/8"),     // loopback
	netip.MustParsePrefix("169.254.0.0/16"),  // link-local, and the clouds' metadata
	netip.MustParsePrefix("172.16.0.0/12"),   // private
	netip.MustParsePrefix("192.0.0.0/24"),    // protocols
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // relays of 6to4
	netip.MustParsePrefix("192.168.0.0/16"),  // private
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("224.0.0.0/4"),     // multicast
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("2001::/23"),       // protocols, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("3fff::/20"),       // documentation
}

// carriers are the IPv6 networks whose addresses lead to an IPv4 address, and at which
// byte it stands: NAT64 (RFC 6052) and 6to4 (RFC 3056).
var carriers = []struct {
	network netip.Prefix
	at      int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

// MayDial says whether an address is on the public internet or in a network that is
// allowed. What an IPv4 address is, it is also behind IPv6.
func MayDial(a netip.Addr, allowed []netip.Prefix) bool {
	a = a.WithZone("").Unmap()
	if isIn(a, allowed) {
		return true
	}
	if inner, ok := embedded(a); ok {
		return isIn(inner, allowed) || isPublic(inner)
	}
	return isPublic(a)
}

func isPublic(a netip.Addr) bool {
	return a.IsValid() && !isIn(a, notPublic) && (a.Is4() || a.As16()[0]&0xe0 == 0x20)
}

func isIn(a netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// embedded is the IPv4 address that an IPv6 address leads to.
func embedded(a netip.Addr) (inner netip.Addr, ok bool) {
	for _, c := range carriers {
		if c.network.Contains(a) {
			bytes := a.As16()
			return netip.AddrFrom4([4]byte(bytes[c.at : c.at+4])), true
		}
	}
	return inner, false
}
