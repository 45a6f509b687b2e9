package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// errForbidden refuses an address that is not on the public internet.
var errForbidden = errors.New("the address is not on the public internet, and its network is not allowed")

// dialer opens connections to one server.
type dialer struct {
	address string // host:port
	timeout time.Duration
	allowed []netip.Prefix
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tls.Config // nil over http://
}

func newDialer(c Config, limits Limits) dialer {
	d := dialer{address: addressOf(c), timeout: limits.Dial, allowed: c.Allowed, dial: c.Dial}
	if c.Base.Scheme == "https" {
		d.tls = tlsConfig(c)
	}
	if d.dial == nil {
		d.dial = (&net.Dialer{Resolver: c.Resolver, Control: d.control}).DialContext
	}
	return d
}

// addressOf is host:port of the base.
func addressOf(c Config) string {
	port := c.Base.Port()
	switch {
	case port != "":
	case c.Base.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(c.Base.Hostname(), port)
}

// control sees every address after the name is resolved and before anything is sent.
// A net.Dialer goes on with the next address when one is refused.
func (d dialer) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read the address %s: %w", address, err)
	}
	if !MayDial(to.Addr(), d.allowed) {
		return errForbidden
	}
	return nil
}

// connect opens a connection; secure is raw when there is no TLS. Over TLS the server
// chooses one of protocols.
func (d dialer) connect(ctx context.Context, protocols ...string) (raw, secure net.Conn, err error) {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	raw, err = d.dial(limited, "tcp", d.address)
	if err != nil {
		return nil, nil, settle(ctx, err)
	}
	if err = d.look(raw); err == nil && d.tls == nil {
		return raw, raw, nil
	}
	if err == nil {
		secure, err = d.handshake(limited, raw, protocols)
	}
	if err != nil {
		_ = raw.Close()
		return nil, nil, settle(ctx, err)
	}
	return raw, secure, nil
}

// look holds a connection to the rule of control once more, for a dial of somebody else's.
func (d dialer) look(raw net.Conn) error {
	to, ok := raw.RemoteAddr().(*net.TCPAddr)
	if ok && !MayDial(to.AddrPort().Addr(), d.allowed) {
		return errForbidden
	}
	return nil
}

func (d dialer) handshake(ctx context.Context, raw net.Conn, protocols []string) (net.Conn, error) {
	config := d.tls.Clone()
	config.NextProtos = protocols
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("agree on TLS: %w", err)
	}
	return secure, nil
}

// The versions of HTTP that a server may choose.
const (
	undecided int32 = iota
	http1
	http2
)

// decide lets a server over TLS choose, unless it has done so. A connection that comes
// of it waits for a call.
func (t *Target) decide(ctx context.Context) error {
	if t.version.Load() != undecided {
		return nil
	}
	c, err := t.pool.get(ctx, false)
	if errors.Is(err, errHTTP2) {
		return nil
	}
	if err == nil {
		t.version.CompareAndSwap(undecided, http1)
		t.pool.put(c)
	}
	return err
}

// open opens a connection for HTTP/1.1, or fails with errHTTP2 when the server is free
// to choose and chooses that.
func (t *Target) open(ctx context.Context) (*conn, error) {
	t.counts.dials.Add(1)
	protocols := []string{"h2", "http/1.1"}
	if t.version.Load() != undecided {
		protocols = protocols[1:]
	}
	raw, secure, err := t.dialer.connect(ctx, protocols...)
	if err != nil {
		return nil, err
	}
	if c, ok := secure.(*tls.Conn); ok && c.ConnectionState().NegotiatedProtocol == "h2" {
		t.version.Store(http2)
		_ = raw.Close()
		return nil, errHTTP2
	}
	return newConn(raw, secure), nil
}
