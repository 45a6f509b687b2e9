package upstream_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"

	"m3o/internal/upstream"
)

func TestOnlyThePublicInternetIsDialled(t *testing.T) {
	t.Parallel()
	refused := []string{
		"0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.1.1",
		"198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1",
		"3fff::1", "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "100::1", "4000::1", "5f00::1",
	}
	public := []string{"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a00::1", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8"}
	for _, address := range refused {
		if upstream.MayDial(netip.MustParseAddr(address), nil) {
			t.Errorf("%s may be dialled", address)
		}
	}
	for _, address := range public {
		if !upstream.MayDial(netip.MustParseAddr(address), nil) {
			t.Errorf("%s may not be dialled", address)
		}
	}
	allowed := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for address, may := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "fd12::1": true, "192.168.1.1": false, "fc00::1": false, "127.0.0.1": false} {
		if upstream.MayDial(netip.MustParseAddr(address), allowed) != may {
			t.Errorf("%s may be dialled: %v", address, !may)
		}
	}
	if upstream.MayDial(netip.Addr{}, nil) {
		t.Error("no address may be dialled")
	}
}

func TestLoopbackIsRefusedUnlessAllowed(t *testing.T) {
	t.Parallel()
	server := answers(t, empty)
	port := server.address[strings.LastIndex(server.address, ":"):]
	for _, base := range []string{server.address, "http://localhost" + port, "http://[::ffff:127.0.0.1]" + port, "http://0.0.0.0" + port} {
		target := newTarget(t, base, func(c *upstream.Config) { c.Allowed = nil })
		wantProblem(t, ask(t, target, "GET", "/", "", nil), 502, unreached)
	}
	hooked := newTarget(t, server.address, func(c *upstream.Config) { c.Allowed, c.Dial = nil, (&net.Dialer{}).DialContext })
	wantProblem(t, ask(t, hooked, "GET", "/", "", nil), 502, unreached)
	if w := ask(t, newTarget(t, server.address, nil), "GET", "/", "", nil); w.Code != 200 {
		t.Errorf("got %d", w.Code)
	}
}

// names answers every question for an IPv4 address with addresses, and the others with none.
func names(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = server.Close(); <-ended })
	go func() {
		defer close(ended)
		question := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(question)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(resolved(question[:n], addresses), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// resolved is a DNS answer (RFC 1035 section 4).
func resolved(question []byte, addresses []string) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5
	if binary.BigEndian.Uint16(question[end-4:]) != 1 { // A
		addresses = nil
	}
	answer := append([]byte(nil), question[:end]...)
	binary.BigEndian.PutUint16(answer[2:], 0x8180)
	binary.BigEndian.PutUint16(answer[6:], uint16(len(addresses)))
	copy(answer[8:12], []byte{0, 0, 0, 0})
	for _, address := range addresses {
		ip := netip.MustParseAddr(address).As4()
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		answer = append(answer, ip[:]...)
	}
	return answer
}

func TestOfANamesAddressesOnlyThoseAllowedAreDialled(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 1)
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		r := request(in)
		reached <- r.Host
		_, _ = c.Write([]byte(empty))
	})
	port := server.address[strings.LastIndex(server.address, ":"):]
	target := newTarget(t, "http://api.example"+port, func(c *upstream.Config) {
		c.Resolver = names(t, "127.0.0.2", "10.255.255.1", "127.0.0.1")
		c.Allowed = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	if w := ask(t, target, "GET", "/", "", nil); w.Code != 200 || <-reached != "api.example"+port {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	inside := newTarget(t, "http://api.example"+port, func(c *upstream.Config) {
		c.Resolver, c.Allowed = names(t, "127.0.0.1", "10.255.255.1"), nil
	})
	wantProblem(t, ask(t, inside, "GET", "/", "", nil), 502, unreached)
	if n := server.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
