package publicapi_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"m3o/internal/auth"
	"m3o/internal/fault"
	"m3o/internal/publicapi"
	"m3o/internal/publicapi/publicapiapi"
)

type secrets = map[string]publicapiapi.Secret

func armed(credentials secrets) publicapiapi.API {
	api := pets()
	api.Credentials = credentials
	return api
}

// header is what the gateway is told to send for an API. A gateway has the newest secret
// of the catalogue and no other.
func (h *house) header(s publicapiapi.Service, name string) (header secrets, broken string) {
	h.t.Helper()
	c, err := s.Snapshot(auth.AsService(h.t.Context(), "gateway"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range c.APIs {
		if r.Name != name {
			continue
		}
		keys, err := publicapiapi.NewKeyring(h.secret)
		if err != nil {
			h.t.Fatal(err)
		}
		if header, err = keys.Open(name, r.Header); err != nil {
			h.t.Fatal(err)
		}
		return header, r.Broken
	}
	h.t.Fatalf("%s is not on sale", name)
	return nil, ""
}

func (h *house) update(s publicapiapi.Service, api publicapiapi.API) {
	h.t.Helper()
	if err := s.Update(h.admin(), api); err != nil {
		h.t.Fatal(err)
	}
}

func TestCredentialsAreForTheGatewayOnly(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, armed(secrets{"authorization": "Bearer sesame", "X-Key": "k"}))
		if got, broken := h.header(s, "pets"); got["Authorization"] != "Bearer sesame" || got["X-Key"] != "k" || broken != "" {
			t.Errorf("the gateway gets %s %s", encoded(t, got), broken)
		}
		for who, ctx := range map[string]context.Context{"gateway": auth.AsService(t.Context(), "gateway"), "nobody": t.Context(), "admin": h.admin(), "keys": auth.AsService(t.Context(), "keys")} {
			if c, err := s.Snapshot(ctx); err != nil || strings.Contains(encoded(t, c), "sesame") {
				t.Errorf("%s is sent them, %v", who, err)
			}
		}
		api, err := s.Get(h.admin(), "pets", "")
		if err != nil || len(api.Credentials) != 2 || api.Credentials["Authorization"] != publicapiapi.Masked {
			t.Errorf("an admin sees %s, %v", encoded(t, api.Credentials), err)
		}
		listed, err := s.List(h.customer())
		if err != nil || listed[0].Credentials != nil {
			t.Errorf("a customer sees %s, %v", encoded(t, listed[0].Credentials), err)
		}
	})
}

func TestCredentialsAreSealedInTheStore(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, armed(secrets{"Authorization": "Bearer sesame"}))
		var stored string
		if err := h.db.QueryRow(t.Context(), `SELECT credentials FROM publicapi WHERE name = $1`, "pets").Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(stored, "Authorization") || strings.Contains(stored, "sesame") || strings.Contains(stored, "QmVhcmVyIHNlc2FtZ") {
			t.Errorf("stored as %s", stored)
		}
	})
}

func TestUpdateKeepsReplacesAndRemovesCredentials(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, armed(secrets{"A": "1", "B": "2", "C": "3"}))
		h.update(s, publicapiapi.API{Name: "pets", Icon: "x"})
		if got, _ := h.header(s, "pets"); len(got) != 3 {
			t.Errorf("not kept: %s", encoded(t, got))
		}
		h.update(s, publicapiapi.API{Name: "pets", Credentials: secrets{"a": "", "B": publicapiapi.Masked, "C": "4", "D": "5"}})
		if got, _ := h.header(s, "pets"); !same(t, got, secrets{"B": "2", "C": "4", "D": "5"}) {
			t.Errorf("after an update %s", encoded(t, got))
		}
		h.publish(s, armed(secrets{"B": publicapiapi.Masked}))
		if got, _ := h.header(s, "pets"); !same(t, got, secrets{"B": "2"}) {
			t.Errorf("after Publish with one kept %s", encoded(t, got))
		}
		h.publish(s, pets())
		if got, _ := h.header(s, "pets"); len(got) != 0 {
			t.Errorf("after Publish without any %s", encoded(t, got))
		}
	})
}

func TestCredentialsAreRefusedByFieldAndNeverQuoted(t *testing.T) {
	s, h := quick(t)
	long := publicapiapi.Secret(strings.Repeat("s", 8193))
	for _, c := range []struct {
		field string
		given secrets
	}{
		{"api.credentials.Host", secrets{"Host": "sesame"}},
		{"api.credentials.transfer-encoding", secrets{"transfer-encoding": "sesame"}},
		{"api.credentials.M3O-Customer-Id", secrets{"M3O-Customer-Id": "sesame"}},
		{"api.credentials.m3o_key", secrets{"m3o_key": "sesame"}},
		{"api.credentials.A", secrets{"A": "sesame\r\nX: y"}},
		{"api.credentials.A", secrets{"A": " sesame"}},
		{"api.credentials.A", secrets{"A": "sésame"}},
		{"api.credentials.A", secrets{"A": long}},
		{"api.credentials.A", secrets{"A": publicapiapi.Masked}},
		{"api.credentials.a", secrets{"A": "sesame", "a": "sesame"}},
		{"api.credentials", secrets{"A B": "sesame"}},
		{"api.credentials", secrets{"": "sesame"}},
	} {
		err := s.Publish(h.admin(), armed(c.given))
		wantFault(t, err, fault.Invalid, c.field)
		if strings.Contains(fmt.Sprint(err), "sesame") {
			t.Errorf("it quotes: %v", err)
		}
	}
	api := publicapiapi.API{Name: "helloworld", Credentials: secrets{"A": "sesame"}}
	wantFault(t, s.Publish(h.admin(), api), fault.Invalid, "api.credentials")
	h.publish(s, armed(secrets{"A": "sesame"}))
	wantFault(t, s.Update(h.admin(), publicapiapi.API{Name: "pets", Target: "service:pets"}), fault.Invalid, "api.credentials")
}

func TestWithoutASecretNoCredentialIsStored(t *testing.T) {
	s, h := quick(t)
	h.secret = nil
	bare := h.service(compiled())
	wantFault(t, bare.Publish(h.admin(), armed(secrets{"A": "sesame"})), fault.Invalid, "api.credentials.A")
	h.publish(bare, pets())
	h.publish(s, pets())
}

func TestASecretOfAnotherSizeIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := publicapi.New(publicapi.Deps{Secret: []byte("short")}); err == nil || !strings.Contains(err.Error(), "32 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestAnAPIWhoseCredentialsCannotBeOpenedIsBroken(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		h.publish(s, armed(secrets{"A": "sesame"}))
		var logged bytes.Buffer
		h.log = slog.New(slog.NewTextHandler(&logged, nil))
		h.secret = bytes.Repeat([]byte{9}, 32)
		other := h.service(compiled())
		h.header(other, "pets")
		h.publish(other, weather())
		if got, broken := h.header(other, "pets"); len(got) != 0 || broken == "" {
			t.Errorf("it would be called with %s, %q", encoded(t, got), broken)
		}
		if n := strings.Count(logged.String(), "cannot be called"); n != 1 || strings.Contains(logged.String(), "sesame") {
			t.Errorf("logged %d times: %s", n, &logged)
		}
		if api, err := other.Get(h.admin(), "pets", ""); err != nil || api.Credentials["A"] != publicapiapi.Masked {
			t.Errorf("%+v, %v", api, err)
		}
		h.update(other, publicapiapi.API{Name: "pets", Credentials: secrets{"A": "again"}})
		if got, broken := h.header(other, "pets"); got["A"] != "again" || broken != "" {
			t.Errorf("mended it is %s, %q", encoded(t, got), broken)
		}
	})
}

func TestAFormerSecretStillOpensAndAChangeSealsAnew(t *testing.T) {
	s, h := quick(t)
	h.publish(s, armed(secrets{"A": "sesame"}))
	h.former, h.secret = [][]byte{h.secret}, bytes.Repeat([]byte{9}, 32)
	both := h.service(compiled())
	if got, broken := h.header(both, "pets"); got["A"] != "sesame" || broken != "" {
		t.Errorf("%s, %q", encoded(t, got), broken)
	}
	h.update(both, publicapiapi.API{Name: "pets", Icon: "x"})
	h.former = nil
	if got, broken := h.header(h.service(compiled()), "pets"); got["A"] != "sesame" || broken != "" {
		t.Errorf("sealed anew it is %s, %q", encoded(t, got), broken)
	}
}

// Who can write to the store must not have one API's credential sent to another's
// target, nor in another header.
func TestACredentialIsBoundToItsAPIAndHeader(t *testing.T) {
	s, h := quick(t)
	h.publish(s, armed(secrets{"A": "sesame"}))
	h.publish(s, weather())
	for _, change := range []string{
		`UPDATE publicapi SET revision = revision + 100, credentials = (SELECT p.credentials FROM publicapi p WHERE p.name = 'pets') WHERE name = 'weather'`,
		`UPDATE publicapi SET revision = revision + 100, credentials = REPLACE(credentials, '"A"', '"B"') WHERE name = 'pets'`,
		`UPDATE publicapi_version SET version = version + 1`,
	} {
		if _, err := h.db.Exec(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"weather", "pets"} {
		if got, broken := h.header(s, name); len(got) != 0 || broken == "" {
			t.Errorf("%s: %s, %q", name, encoded(t, got), broken)
		}
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	api := armed(secrets{"A": "sesame"})
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "secret", api.Credentials["A"], "api", api)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q %x", api, api, api, api.Credentials, api.Credentials["A"], api.Credentials["A"]), logged.String()} {
		if strings.Contains(text, "sesame") || strings.Contains(text, "736573616d65") {
			t.Errorf("printed: %s", text)
		}
	}
}
