package natsbus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"m3o/internal/bus"
	natsbus "m3o/internal/bus/nats"
	"m3o/internal/bus/nats/natstest"
)

// access is a way in: what the server wants, what gets in, and what does not.
type access struct {
	server func(*server.Options)
	right  natsbus.Config
	wrong  natsbus.Config
}

func TestWaysIn(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T) access{
		"Password": func(*testing.T) access {
			return access{func(o *server.Options) { o.Username, o.Password = "m3o", "secret" },
				natsbus.Config{User: "m3o", Password: "secret"}, natsbus.Config{User: "m3o", Password: "guess"}}
		},
		"Token": func(*testing.T) access {
			return access{func(o *server.Options) { o.Authorization = "secret" }, natsbus.Config{Token: "secret"}, natsbus.Config{}}
		},
		"NKey": nkey, "Credentials": credentials, "TLS": tlsAccess,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := make(t)
			s := natstest.Start(t, a.server)
			a.right.URL, a.wrong.URL = s.URL, s.URL
			b := open(t, a.right)
			stop := b.Subscribe("customers", "g", func(context.Context, bus.Event) error { return nil })
			stop()
			began := time.Now()
			limited, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			other, err := natsbus.Open(limited, a.wrong)
			if err == nil {
				_ = other.Close()
				t.Fatal("whoever may not got in")
			}
			if strings.Contains(err.Error(), "guess") || time.Since(began) > 10*time.Second {
				t.Errorf("it took %v to say %v", time.Since(began), err)
			}
		})
	}
}

func TestOnlyOneWayInIsTaken(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]natsbus.Config{
		"2 ways":      {URL: "nats://127.0.0.1:1", User: "a", Token: "b"},
		"needs its":   {URL: "nats://127.0.0.1:1", TLSCert: "a.pem"},
		"NKey seed":   {URL: "nats://127.0.0.1:1", NKeyFile: "/nowhere"},
		"letters":     {URL: "nats://127.0.0.1:1", Prefix: "a.b"},
		"127.0.0.1:1": {URL: "nats://user:secret@127.0.0.1:1"},
	} {
		limited, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := natsbus.Open(limited, c); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func nkey(t *testing.T) access {
	pair, stranger := must(nkeys.CreateUser())(t), must(nkeys.CreateUser())(t)
	return access{
		func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: must(pair.PublicKey())(t)}} },
		natsbus.Config{NKeyFile: write(t, "user.nk", must(pair.Seed())(t))},
		natsbus.Config{NKeyFile: write(t, "user.nk", must(stranger.Seed())(t))},
	}
}

func credentials(t *testing.T) access {
	operator, account, user := must(nkeys.CreateOperator())(t), must(nkeys.CreateAccount())(t), must(nkeys.CreateUser())(t)
	claims := jwt.NewOperatorClaims(must(operator.PublicKey())(t))
	trusted := must(jwt.DecodeOperatorClaims(must(claims.Encode(operator))(t)))(t)
	accountClaims := jwt.NewAccountClaims(must(account.PublicKey())(t))
	accountClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	system := jwt.NewAccountClaims(must(must(nkeys.CreateAccount())(t).PublicKey())(t)) // JetStream wants one
	resolver := &server.MemAccResolver{}
	for _, one := range []*jwt.AccountClaims{accountClaims, system} {
		if err := resolver.Store(one.Subject, must(one.Encode(operator))(t)); err != nil {
			t.Fatal(err)
		}
	}
	file := func(signer nkeys.KeyPair) string {
		token := must(jwt.NewUserClaims(must(user.PublicKey())(t)).Encode(signer))(t)
		return write(t, "user.creds", must(jwt.FormatUserConfig(token, must(user.Seed())(t)))(t))
	}
	return access{
		func(o *server.Options) {
			o.TrustedOperators, o.AccountResolver, o.SystemAccount = []*jwt.OperatorClaims{trusted}, resolver, system.Subject
		},
		natsbus.Config{CredsFile: file(account)}, natsbus.Config{CredsFile: file(must(nkeys.CreateAccount())(t))},
	}
}

// tlsAccess is a server that shows a certificate and wants one.
func tlsAccess(t *testing.T) access {
	authority := newCertificate(t, nil)
	own, client := newCertificate(t, authority), newCertificate(t, authority)
	pool := x509.NewCertPool()
	pool.AddCert(authority.certificate)
	ca := write(t, "ca.pem", authority.pem)
	return access{
		func(o *server.Options) {
			o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{must(tls.X509KeyPair(own.pem, own.key))(t)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
		},
		natsbus.Config{TLSCA: ca, TLSCert: write(t, "cert.pem", client.pem), TLSKey: write(t, "key.pem", client.key)},
		natsbus.Config{TLSCA: ca},
	}
}

type certificate struct {
	certificate *x509.Certificate
	private     *ecdsa.PrivateKey
	pem, key    []byte
}

// newCertificate is signed by an authority; by itself, and one, when there is none.
func newCertificate(t *testing.T, by *certificate) *certificate {
	t.Helper()
	c := &certificate{private: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)}
	c.certificate = &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "m3o test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: by == nil,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if by == nil {
		by = c
	}
	raw := must(x509.CreateCertificate(rand.Reader, c.certificate, by.certificate, &c.private.PublicKey, by.private))(t)
	c.certificate = must(x509.ParseCertificate(raw))(t)
	key := must(x509.MarshalPKCS8PrivateKey(c.private))(t)
	c.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	c.key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	return c
}
