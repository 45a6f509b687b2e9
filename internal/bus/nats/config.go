package natsbus

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"

	"m3o/internal/bus"
)

// Config is how to reach NATS, and what a Bus is made of.
type Config struct {
	// URL of one server or of several, with commas between them: nats://host:4222, tls://…
	URL string

	// Name of this process, such as "gateway-1": the connection's name in NATS, and in the log.
	// Default: "m3o".
	Name string

	// Who this process is to NATS, as the server wants it. At most one way: user and
	// password, a token, a file with the seed of an NKey, or one with a user's JWT and seed
	// (.creds).
	User, Password, Token, NKeyFile, CredsFile string

	// TLSCA is a file with the certificates (PEM) that the server's is trusted by, for
	// others than the system's; TLSCert and TLSKey are this process's own, for a server
	// that wants one. A server that asks for TLS gets it without any of them.
	TLSCA, TLSCert, TLSKey string

	// Prefix begins the names of all subjects and streams, so that several systems can
	// share one NATS. Letters, digits, - and _. Default: "m3o".
	Prefix string

	// Version is the build of this process. Others are told, and one that differs is logged
	// once. Builds side by side work.
	Version string

	// Replicas is how many servers keep each topic's events, for a NATS of several.
	// Default: 1.
	Replicas int

	// DeadLetter stores an event that is given up, as in bus.MemoryConfig.
	DeadLetter func(ctx context.Context, l bus.Letter) error

	// Backoff is how long to wait after each failed try of an event. Default: bus.Schedule().
	Backoff []time.Duration

	// Limit is how long one try may take until its context is cancelled. Default: 30 seconds.
	Limit time.Duration

	// Redelivery is after how long an event is given to another member of its group when the
	// one who has it died. Default: 10 seconds.
	Redelivery time.Duration

	// Now tells the time. Default: time.Now.
	Now func() time.Time

	// Away is told why a try of Open to reach NATS has failed, before the next one. Default: nobody is.
	Away func(err error)

	// Logger is told of lost connections, other builds, failed tries and dead letters.
	// Default: slog.Default().
	Logger *slog.Logger
}

const (
	openLimit  = 30 * time.Second       // for Open, when its context has no end
	retryPause = 250 * time.Millisecond // between two tries to reach NATS
	drainLimit = 10 * time.Second       // for what runs when the bus is closed
)

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// complete fills in the defaults.
func (c Config) complete() (Config, error) {
	if c.Prefix == "" {
		c.Prefix = "m3o"
	}
	if !plainName.MatchString(c.Prefix) {
		return c, fmt.Errorf("the prefix %q of subjects may have letters, digits, - and _ only", c.Prefix)
	}
	if c.Name == "" {
		c.Name = "m3o"
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.DeadLetter == nil {
		c.DeadLetter = func(context.Context, bus.Letter) error { return nil }
	}
	if c.Backoff == nil {
		c.Backoff = bus.Schedule()
	}
	if c.Limit == 0 {
		c.Limit = 30 * time.Second
	}
	if c.Redelivery == 0 {
		c.Redelivery = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Away == nil {
		c.Away = func(error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// options are those of the connection. It is tried again for ever, and nothing is kept for
// later while it is away.
func (c Config) options(b *Bus) ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name(c.Name), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.CustomReconnectDelay(reconnectDelay),
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(5 * time.Second), nats.DrainTimeout(drainLimit),
		nats.DisconnectErrHandler(b.onDisconnect), nats.ReconnectHandler(b.onReconnect), nats.ErrorHandler(b.onError),
		nats.ClosedHandler(func(*nats.Conn) { close(b.closed) }),
	}
	ways := 0
	if c.User != "" {
		options, ways = append(options, nats.UserInfo(c.User, c.Password)), ways+1
	}
	if c.Token != "" {
		options, ways = append(options, nats.Token(c.Token)), ways+1
	}
	if c.NKeyFile != "" {
		option, err := nats.NkeyOptionFromSeed(c.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the NKey seed in %s: %w", c.NKeyFile, err)
		}
		options, ways = append(options, option), ways+1
	}
	if c.CredsFile != "" {
		options, ways = append(options, nats.UserCredentials(c.CredsFile)), ways+1
	}
	if ways > 1 {
		return nil, fmt.Errorf("NATS is told in %d ways who this process is: keep one of user, token, NKey and credentials file", ways)
	}
	if c.TLSCA != "" {
		options = append(options, nats.RootCAs(c.TLSCA))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return nil, fmt.Errorf("a TLS certificate for NATS needs its key, and a key its certificate")
	}
	if c.TLSCert != "" {
		options = append(options, nats.ClientCert(c.TLSCert, c.TLSKey))
	}
	return options, nil
}

// reconnectDelay grows to two seconds, and differs so that a server which comes back is not
// asked by everybody at once.
func reconnectDelay(tries int) time.Duration {
	most := min(2*time.Second, 50*time.Millisecond<<min(tries, 6))
	return most/2 + rand.N(most/2)
}

// redacted is a URL for errors and logs.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "its URL"
	}
	return u.Redacted()
}
