package app_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/app"
	"m3o/internal/app/apptest"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
)

// place is where a system keeps its data.
type place struct{ data, url string }

func (p place) config() app.Config {
	return app.Config{Data: p.data, DB: p.url, Log: slog.New(slog.DiscardHandler), Now: time.Now}
}

func (p place) start(t *testing.T) *apptest.System {
	t.Helper()
	return apptest.Start(t, apptest.Data(p.data), apptest.Postgres(p.url))
}

// places make an empty place on each engine.
var places = map[string]func(t *testing.T) place{
	"sqlite": func(t *testing.T) place { return place{data: t.TempDir()} },
	"postgres": func(t *testing.T) place {
		d := dbtest.Postgres(t)
		url := dbtest.Config(t, d).URL
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		return place{t.TempDir(), url}
	},
}

// records is how many calls of a customer are recorded.
func records(s *apptest.System, token string) (n int) {
	for cursor, more := "", true; more; more = cursor != "" {
		var page struct {
			Records    []struct{}
			NextCursor string `json:"next_cursor"`
		}
		s.Must("/usage/list-records", token, map[string]any{"limit": 1000, "cursor": cursor}, &page)
		n, cursor = n+len(page.Records), page.NextCursor
	}
	return n
}

// A system is backed up while calls go on, and restored elsewhere: every call that was answered before is there, each
// was paid once, and the ledger adds up.
func TestASystemIsWhatItWasAfterARestore(t *testing.T) {
	t.Parallel()
	for from, source := range places {
		for to, target := range places {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				here := source(t)
				s := here.start(t)
				jane := s.SignUp("jane@example.com")
				key, _ := s.Key(jane.Token)
				var answered atomic.Int64
				var enough atomic.Bool
				var callers sync.WaitGroup
				for range 2 {
					callers.Go(func() {
						for !enough.Load() {
							switch a := s.Call(key, "helloworld/call", map[string]string{"name": "Jane"}); a.Status {
							case http.StatusOK:
								answered.Add(1)
							case http.StatusTooManyRequests:
							default:
								t.Errorf("%d %s", a.Status, a.Body)
								return
							}
						}
					})
				}
				s.Await("some calls", func() bool { return answered.Load() > 100 })
				before := answered.Load()
				file := filepath.Join(t.TempDir(), "backup")
				if _, err := app.Backup(t.Context(), here.config(), file, nil); err != nil {
					t.Fatal(err)
				}
				enough.Store(true)
				callers.Wait()

				there := target(t)
				done, err := app.Restore(t.Context(), there.config(), file, false, nil)
				if err != nil {
					t.Fatal(err)
				}
				if done.Engine != from || !done.NeedsSecret || len(done.Kept) > 0 {
					t.Errorf("it says %+v", done)
				}
				if reopened := count(t, there, `SELECT COUNT(*) FROM outbox WHERE published_at IS NULL`); reopened == 0 {
					t.Error("no event is published again: a transport may count one as taken that was not when the backup was made")
				}
				restored := there.start(t)
				n := int64(records(restored, jane.Token))
				if n < before || n > answered.Load() {
					t.Errorf("%d calls are recorded; %d were answered before the backup and %d in all", n, before, answered.Load())
				}
				restored.Await("each call to be paid once", func() bool { return restored.Balance(jane.Token) == 1_000_000-10*n })
				if a := restored.Call(key, "helloworld/call", map[string]string{"name": "Jane"}); a.Status != http.StatusOK {
					t.Errorf("the key: %d %s", a.Status, a.Body)
				}
				restored.AdminToken()
				restored.Stop()
				addsUp(t, there)
			})
		}
	}
}

// count is the one number that a query answers.
func count(t *testing.T, p place, query string) (n int64) {
	t.Helper()
	c := db.Config{URL: p.url}
	if p.url == "" {
		c.Path = filepath.Join(p.data, "m3o.db")
	}
	d, err := db.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if err := d.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func addsUp(t *testing.T, p place) {
	t.Helper()
	if total := count(t, p, `SELECT CAST(SUM(balance) AS BIGINT) FROM ledger_accounts`); total != 0 {
		t.Errorf("the ledger adds up to %d", total)
	}
	const differing = `
		SELECT COUNT(*) FROM ledger_accounts a WHERE a.balance <>
		(SELECT CAST(COALESCE(SUM(e.amount), 0) AS BIGINT) FROM ledger_entries e WHERE e.owner = a.owner AND e.account = a.name)`
	if wrong := count(t, p, differing); wrong != 0 {
		t.Errorf("%d accounts are not the sum of their entries", wrong)
	}
	if dead := count(t, p, `SELECT COUNT(*) FROM dead_letters`); dead != 0 {
		t.Errorf("%d events could not be handled", dead)
	}
}

// What waited in the journal of a process that was killed is recorded by the system that is restored.
func TestTheJournalIsRestoredToo(t *testing.T) {
	t.Parallel()
	here := place{data: t.TempDir()}
	s := here.start(t)
	jane := s.SignUp("jane@example.com")
	key, _ := s.Key(jane.Token)
	for range 3 {
		s.Call(key, "helloworld/call", map[string]string{"name": "Jane"})
	}
	journal := filepath.Join(here.data, "journal")
	waiting, err := os.ReadFile(onlyFile(t, filepath.Join(journal, "calls_*.log"))) // before they are recorded
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	forget(t, here)
	if err := os.WriteFile(filepath.Join(journal, "calls_killed.log"), waiting, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	about, err := app.Backup(t.Context(), here.config(), file, nil)
	if err != nil || len(about.Journal.Served) != 3 {
		t.Fatalf("%d calls wait, %v", len(about.Journal.Served), err)
	}
	there := place{data: t.TempDir()}
	if _, err := app.Restore(t.Context(), there.config(), file, false, nil); err != nil {
		t.Fatal(err)
	}
	if restored := there.start(t); records(restored, jane.Token) != 3 {
		t.Errorf("%d calls are recorded, want 3", records(restored, jane.Token))
	}
	if _, err := app.Restore(t.Context(), here.config(), file, false, nil); err == nil || !strings.Contains(err.Error(), "3 calls that are not recorded") {
		t.Errorf("over a journal: %v", err)
	}
	done, err := app.Restore(t.Context(), here.config(), file, true, nil)
	if err != nil || len(done.Kept) != 2 {
		t.Errorf("with force: %+v %v", done.Kept, err)
	}
}

func onlyFile(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v %v", pattern, files, err)
	}
	return files[0]
}

// forget takes the records of the calls out of the database, as if it had never heard of them.
func forget(t *testing.T, p place) {
	t.Helper()
	d, err := db.Open(t.Context(), db.Config{Path: filepath.Join(p.data, "m3o.db")})
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{`DELETE FROM usage_packs`, `DELETE FROM usage_marks`, `DELETE FROM usage_days`} {
		if _, err := d.Exec(t.Context(), query); err != nil {
			t.Error(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestARestoreSparesWhatRuns(t *testing.T) {
	t.Parallel()
	here := place{data: t.TempDir()}
	s := here.start(t)
	file := filepath.Join(t.TempDir(), "backup")
	if _, err := app.Backup(t.Context(), here.config(), file, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Restore(t.Context(), here.config(), file, true, nil); err == nil || !strings.Contains(err.Error(), "another m3o is using") {
		t.Errorf("under a running system: %v", err)
	}
	s.Stop()
	if _, err := app.Restore(t.Context(), here.config(), file, false, nil); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("over a database: %v", err)
	}
	for name, c := range map[string]app.Config{file: here.config(), filepath.Join(t.TempDir(), "new"): {Data: t.TempDir()}} {
		if _, err := app.Backup(t.Context(), c, name, nil); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("a backup of %s to %s: %v", c.Data, name, err)
		}
	}
}
