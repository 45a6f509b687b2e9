package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats-server/v2/server"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/migrations"
)

func now() time.Time { return time.Now().UTC() }

// deployment is one process whose data directory is empty.
func deployment(t *testing.T) Config {
	t.Helper()
	return Config{Data: t.TempDir(), Bus: "memory", Migrations: migrations.FS, Version: "v1", Now: now}
}

// seen is what was found of a part at a level, one finding a line.
func seen(findings []Finding, part string, level Level) string {
	var lines []string
	for _, f := range findings {
		if strings.HasPrefix(f.Part, part) && f.Level == level {
			lines = append(lines, f.What)
		}
	}
	return strings.Join(lines, "\n")
}

// wants fails when a text is not found of a part at a level, or there is no advice to it.
func wants(t *testing.T, findings []Finding, part string, level Level, text string) {
	t.Helper()
	if !strings.Contains(seen(findings, part, level), text) {
		t.Errorf("%s, %s: no %q in %+v", part, level, text, findings)
	}
	for _, f := range findings {
		if f.Level == Fail && f.Mend == "" {
			t.Errorf("nobody says how to mend %+v", f)
		}
	}
}

// fine fails when anything but ok is found.
func fine(t *testing.T, findings []Finding) {
	t.Helper()
	for _, f := range findings {
		if f.Level != OK {
			t.Errorf("%+v", f)
		}
	}
}

func TestNothingIsWrongBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	c := deployment(t)
	c.Data = filepath.Join(c.Data, "none")
	findings := Examine(t.Context(), c)
	fine(t, findings)
	wants(t, findings, "data directory", OK, "the first start makes it")
	wants(t, findings, "database", OK, "there is none yet")
	c.Bus, c.NATS.NKeyFile = "nats://127.0.0.1:1", "none" // it is another's to look at that
	wants(t, Examine(t.Context(), c), "database", OK, "right where only gateways run")
}

// withStore is a deployment over a database of the engine.
func withStore(t *testing.T, d *db.DB) Config {
	t.Helper()
	c := deployment(t)
	where := dbtest.Config(t, d)
	if c.DB = where.URL; c.DB != "" {
		return c
	}
	c.Data = filepath.Dir(where.Path)
	if err := os.Symlink(where.Path, filepath.Join(c.Data, "m3o.db")); err != nil {
		t.Fatal(err)
	}
	return c
}

func do(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	if _, err := d.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func TestAHealthyDatabaseIsFine(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		findings := Examine(t.Context(), withStore(t, d))
		fine(t, findings)
		wants(t, findings, "schema", OK, "up to date")
		wants(t, findings, "ledger", OK, "adds up to 0")
	})
}

func TestWhatIsWrongInTheBooksIsFound(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := withStore(t, d)
		hourAgo := db.Micro(now().Add(-time.Hour))
		do(t, d, `INSERT INTO ledger_accounts (owner, name, balance) VALUES ('cus_1', 'available', 7)`)
		do(t, d, `INSERT INTO ledger_leases (id, customer_id, holder, amount, posted, expires_at, closed) VALUES ('l', 'cus_1', 'gw', 10, 4, $1, FALSE)`, hourAgo)
		do(t, d, `INSERT INTO outbox (id, event_id, seq, source, topic, type, type_name, key, part, only_group, data, created_at) VALUES ('e', 'e', $1, 's', 't', 1, 'T', 'k', 0, '', $2, 1)`, hourAgo, []byte("{}")) // a replay of something old
		do(t, d, `INSERT INTO dead_letters (id, event_id, grp, source, topic, type, type_name, key, data, created_at, error, tries, died_at)
			VALUES ('d', 'e', 'balance', 's', 't', 1, 'T', 'k', $1, 1, 'no such lease', 3, 1)`, []byte("{}"))
		do(t, d, `INSERT INTO leases (name, holder, until) VALUES ('ticker:a', 'host', $1)`, db.Micro(now().Add(1000*time.Hour)))
		do(t, d, `INSERT INTO emails (id, recipient, subject, body, created_at, status, tries, next_at) VALUES ('m', 'x', 'x', 'x', $1, 'failed', 10, 0)`, hourAgo)
		findings := Examine(t.Context(), c)
		wants(t, findings, "ledger", Fail, "the accounts add up to 7 micro-dollars")
		wants(t, findings, "ledger", Fail, "1 accounts are not the sum")
		wants(t, findings, "money leases", Fail, "6 micro-dollars of customers are held")
		wants(t, findings, "outbox", Fail, "1 events wait to be taken, the oldest for 1h0m")
		wants(t, findings, "dead letters", Warn, "such as balance: no such lease")
		wants(t, findings, "leadership", Fail, "ticker:a by host")
		wants(t, findings, "emails", Warn, "1 mails")
		if !Failed(findings) {
			t.Error("it is said to be fine")
		}
	})
}

func TestASchemaThatIsAnotherIsFound(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]struct {
		level Level
		text  string
	}{
		`DROP INDEX customers_owner`:                                                                 {Fail, "index customers_owner"},
		`ALTER TABLE emails DROP COLUMN subject`:                                                     {Fail, "column emails.subject text"},
		`UPDATE migrations_usage SET version_id = 99 WHERE version_id = 1`:                           {Fail, "newer than this m3o in usage"},
		`DELETE FROM migrations_publicapi WHERE version_id = 2`:                                      {Warn, "migrations of publicapi are to be done"},
		`CREATE TABLE migrations_stranger AS SELECT * FROM migrations_usage`:                         {Fail, "newer than this m3o in stranger"},
		`INSERT INTO migrations_lock (name, holder, until) VALUES ('schema', 'x', 9000000000000000)`: {Warn, "a process migrates"},
	} {
		dbtest.Each(t, func(t *testing.T, d *db.DB) {
			c := withStore(t, d)
			do(t, d, change)
			findings := Examine(t.Context(), c)
			part := "schema"
			if strings.Contains(change, "migrations_lock") {
				part = "leadership"
			}
			wants(t, findings, part, want.level, want.text)
		})
	}
}

func TestARoleThatMayNotIsFound(t *testing.T) {
	t.Parallel()
	d := dbtest.Postgres(t)
	c := withStore(t, d)
	u, err := url.Parse(c.DB)
	if err != nil {
		t.Fatal(err)
	}
	role := strings.Replace(strings.TrimPrefix(u.Path, "/"), "test", "role", 1) // as unique as the database
	for _, query := range []string{
		`DROP ROLE IF EXISTS ` + role, `CREATE ROLE ` + role + ` LOGIN PASSWORD 'hush'`, `REVOKE ALL ON SCHEMA public FROM PUBLIC`,
		`GRANT USAGE ON SCHEMA public TO ` + role, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO ` + role,
	} {
		do(t, d, query)
	}
	t.Cleanup(func() {
		for _, query := range []string{`DROP OWNED BY ` + role, `DROP ROLE ` + role} {
			if _, err := d.Exec(context.WithoutCancel(t.Context()), query); err != nil {
				t.Error(err)
			}
		}
	})
	u.User = url.UserPassword(role, "hush")
	c.DB = u.String()
	findings := Examine(t.Context(), c)
	wants(t, findings, "database", Fail, "may not make tables")
	wants(t, findings, "database", Fail, "may not read and write audit, ")
}

func TestADatabaseThatIsAwayIsFound(t *testing.T) {
	t.Parallel()
	c := deployment(t)
	c.DB = "postgres://me:hush@127.0.0.1:1/m3o"
	findings := Examine(t.Context(), c)
	wants(t, findings, "database", Fail, "cannot reach the database at 127.0.0.1:1")
	if text := fmt.Sprint(findings); strings.Contains(text, "hush") {
		t.Errorf("it tells the password: %s", text)
	}
	damaged := deployment(t)
	if err := os.WriteFile(filepath.Join(damaged.Data, "m3o.db"), []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, Examine(t.Context(), damaged), "database", Fail, "cannot open")
}

func TestTheDataDirectoryIsLookedAt(t *testing.T) {
	t.Parallel()
	c := deployment(t)
	if err := os.WriteFile(filepath.Join(c.Data, "secret"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(c.Data, "secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(c.Data, ".m3o.db-draft-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	findings := Examine(t.Context(), c)
	wants(t, findings, "data directory", Warn, "may read secret")
	wants(t, findings, "data directory", Warn, "did not end")
	file := filepath.Join(c.Data, "secret")
	c.Data = file
	wants(t, Examine(t.Context(), c), "data directory", Fail, "is not a directory")
}

func TestCallsThatWaitInTheJournalAreFound(t *testing.T) {
	t.Parallel()
	c := deployment(t)
	journal := filepath.Join(c.Data, "journal")
	if err := os.Mkdir(journal, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(journal, "calls_1.log")
	text, err := os.ReadFile("testdata/journal.log")
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(text))
	wants(t, Examine(t.Context(), c), "journal", Warn, "2 served calls wait to be recorded")
	write(string(text) + "recorded\n")
	wants(t, Examine(t.Context(), c), "journal", OK, "no served call waits")
	write(strings.Replace(string(text), "cus_a", "cus_b", 1))
	wants(t, Examine(t.Context(), c), "journal", Fail, "is damaged")
}

func TestTheConfigurationIsRead(t *testing.T) {
	t.Parallel()
	c := deployment(t)
	c.Config = filepath.Join(c.Data, "config.yaml")
	if err := os.WriteFile(c.Config, []byte("general: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Secret = "abc"
	findings := Examine(t.Context(), c)
	wants(t, findings, "configuration", Fail, "config.yaml")
	wants(t, findings, "configuration", Fail, "64 hexadecimal digits")
	c.Secret, c.Bus = "", "nats://127.0.0.1:1"
	findings = Examine(t.Context(), c)
	wants(t, findings, "configuration", Fail, "M3O_SECRET is not set")
	wants(t, findings, "nats", Fail, "nats://127.0.0.1:1 cannot be used")
}

// natsServer starts a NATS; jetStream says whether with JetStream.
func natsServer(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: -1, HTTPHost: "127.0.0.1", HTTPPort: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true}
	change(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS does not start")
	}
	return s
}

func overNATS(t *testing.T, s *server.Server) Config {
	t.Helper()
	c := deployment(t)
	c.Bus, c.Secret = s.ClientURL(), strings.Repeat("0", 64)
	c.NATSMonitor = "http://" + s.MonitorAddr().String()
	return c
}

func TestNATSIsLookedAt(t *testing.T) {
	t.Parallel()
	good := overNATS(t, natsServer(t, func(*server.Options) {}))
	findings := Examine(t.Context(), good)
	fine(t, findings)
	wants(t, findings, "nats", OK, "may publish and subscribe")
	wants(t, findings, "jetstream", OK, "syncs before it acknowledges")
	good.NATSMonitor = ""
	wants(t, Examine(t.Context(), good), "jetstream", OK, "not seen by clients")
	good.NATSMonitor = "http://127.0.0.1:1"
	wants(t, Examine(t.Context(), good), "jetstream", Warn, "cannot be read")

	lazy := overNATS(t, natsServer(t, func(o *server.Options) { o.SyncAlways = false }))
	wants(t, Examine(t.Context(), lazy), "jetstream", Fail, "acknowledges before it syncs")

	without := overNATS(t, natsServer(t, func(o *server.Options) { o.JetStream = false }))
	wants(t, Examine(t.Context(), without), "jetstream", Fail, "cannot be used")

	small := overNATS(t, natsServer(t, func(o *server.Options) { o.MaxPayload = 1024 }))
	wants(t, Examine(t.Context(), small), "nats", Fail, "1024 bytes at most")
}

func TestWhoMayNotSpeakOnNATSIsFound(t *testing.T) {
	t.Parallel()
	s := natsServer(t, func(o *server.Options) {
		may := &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"m3o.>"}}}
		o.Users = []*server.User{{Username: "me", Password: "hush", Permissions: may}}
	})
	c := overNATS(t, s)
	findings := Examine(t.Context(), c)
	wants(t, findings, "nats", Fail, "cannot be used")
	c.NATS = NATS{User: "me", Password: "hush"}
	findings = Examine(t.Context(), c)
	wants(t, findings, "nats", Fail, "did not come back")
	c.NATS = NATS{CredsFile: filepath.Join(t.TempDir(), "none.creds")}
	wants(t, Examine(t.Context(), c), "nats", Fail, "none.creds")
	if text := fmt.Sprint(findings); strings.Contains(text, "hush") {
		t.Errorf("it tells the password: %s", text)
	}
}

func TestRedisIsLookedAt(t *testing.T) {
	t.Parallel()
	r := miniredis.RunT(t)
	c := deployment(t)
	c.Redis = "redis://" + r.Addr()
	wants(t, Examine(t.Context(), c), "redis", OK, "keys can be written")
	r.SetTime(time.Now().Add(time.Hour))
	wants(t, Examine(t.Context(), c), "redis", Fail, "ahead of this machine's")
	r.SetTime(time.Now().Add(-2 * time.Second))
	wants(t, Examine(t.Context(), c), "redis", Warn, "behind this machine's")
	r.RequireAuth("right")
	c.Redis = "redis://:hush@" + r.Addr()
	findings := Examine(t.Context(), c)
	wants(t, findings, "redis", Fail, "cannot be used")
	if text := fmt.Sprint(findings); strings.Contains(text, "hush") {
		t.Errorf("it tells the password: %s", text)
	}
	c.Redis = "http://hush"
	wants(t, Examine(t.Context(), c), "redis", Fail, "the URL cannot be read")
}

func TestTheRealRedisIsFine(t *testing.T) {
	t.Parallel()
	c := deployment(t)
	if c.Redis = os.Getenv("M3O_TEST_REDIS"); c.Redis == "" {
		if os.Getenv("M3O_TEST_REQUIRE") == "1" {
			t.Fatal("M3O_TEST_REDIS is not set, and M3O_TEST_REQUIRE wants it")
		}
		t.Skip("M3O_TEST_REDIS is not set")
	}
	findings := Examine(t.Context(), c)
	fine(t, findings)
	wants(t, findings, "redis", OK, "Redis ")
}

// gateway answers as one does.
func gatewayAt(t *testing.T, version string, ahead time.Duration, components map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		switch r.URL.Path {
		case "/readyz":
			_ = json.NewEncoder(w).Encode(map[string]any{"components": components})
		case "/openapi.json":
			_ = json.NewEncoder(w).Encode(map[string]any{"info": map[string]string{"version": version}})
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestGatewaysAreLookedAt(t *testing.T) {
	t.Parallel()
	ready := map[string]string{"server": "ready", "database": "ready"}
	c := deployment(t)
	c.Gateways = []string{gatewayAt(t, "v1", 0, ready), gatewayAt(t, "v1", 0, ready) + "/"}
	fine(t, Examine(t.Context(), c))

	c.Gateways[1] = gatewayAt(t, "v2", time.Minute, map[string]string{"server": "ready", "bus": "not ready"})
	findings := Examine(t.Context(), c)
	wants(t, findings, "gateways", Warn, "they are of 2 versions: v1 at ")
	wants(t, findings, "gateway http", Fail, "it is not ready: bus not ready")
	wants(t, findings, "gateway http", Fail, "ahead of this machine's")

	c.Gateways = []string{gatewayAt(t, "v2", 0, ready)}
	wants(t, Examine(t.Context(), c), "gateways", Warn, "they are m3o v2, and this is v1")
	c.Gateways = []string{"http://127.0.0.1:1"}
	wants(t, Examine(t.Context(), c), "gateway http", Fail, "does not answer")
	c.Gateways = []string{gatewayAt(t, "v1", 0, nil)}
	wants(t, Examine(t.Context(), c), "gateway http", Fail, "not how m3o answers")
}
