package dbtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"m3o/internal/db"
	"m3o/migrations"
)

const (
	// leftoverAge is when a database with our prefix belongs to a run that died.
	leftoverAge = 6 * time.Hour
	testConns   = 8
	// noSuchDatabase is SQLSTATE invalid_catalog_name.
	noSuchDatabase = "3D000"
)

// Postgres is a fresh database on the server of M3O_TEST_POSTGRES, dropped with the test. Without a server the test is
// skipped, or fails when M3O_TEST_REQUIRE is 1.
func Postgres(t testing.TB) *db.DB {
	t.Helper()
	server := os.Getenv("M3O_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("M3O_TEST_REQUIRE") == "1" {
			t.Fatal("M3O_TEST_POSTGRES is not set, and M3O_TEST_REQUIRE wants it")
		}
		t.Skip("M3O_TEST_POSTGRES is not set")
	}
	name := "m3o_test_" + stamp()
	if err := copyTemplate(server, name); err != nil {
		t.Fatalf("make a test database: %v", err)
	}
	t.Cleanup(func() {
		if err := run(server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	return open(t, db.Config{URL: withName(server, name), Conns: testConns})
}

// run connects for one statement, so that no connection outlives the tests (goleak would find it).
func run(server, query string) error {
	ctx := context.Background()
	d, err := db.Open(ctx, db.Config{URL: server})
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = d.Exec(ctx, query)
	return err
}

// template is the database that tests copy: found or made by the first test that needs it.
var template struct {
	sync.Mutex
	name string
}

// copyTemplate makes the database name. A test binary with other migrations takes a template as old as leftoverAge for
// abandoned, so one that is gone is made again.
func copyTemplate(server, name string) error {
	for tries := 0; ; tries++ {
		from, err := findTemplate(server)
		if err != nil {
			return err
		}
		err = run(server, "CREATE DATABASE "+name+" TEMPLATE "+from)
		var pg *pgconn.PgError
		if tries > 2 || !errors.As(err, &pg) || pg.Code != noSuchDatabase {
			return err
		}
		forgetTemplate(from)
	}
}

func findTemplate(server string) (string, error) {
	template.Lock()
	defer template.Unlock()
	if template.name != "" {
		return template.name, nil
	}
	ctx := context.Background()
	admin, err := db.Open(ctx, db.Config{URL: server})
	if err != nil {
		return "", err
	}
	defer admin.Close()
	name, err := ensureTemplate(ctx, admin, server)
	if err != nil {
		return "", err
	}
	template.name = name
	return name, dropLeftovers(ctx, admin, name)
}

func forgetTemplate(name string) {
	template.Lock()
	defer template.Unlock()
	if template.name == name {
		template.name = ""
	}
}

// ensureTemplate finds or makes the template of exactly these migrations; test binaries share it. The advisory lock
// lasts as long as its transaction, in which nothing else happens.
func ensureTemplate(ctx context.Context, admin *db.DB, server string) (string, error) {
	hash, err := fingerprint(migrations.FS)
	if err != nil {
		return "", err
	}
	var name string
	err = admin.Tx(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(4730211)"); err != nil {
			return err
		}
		const find = `SELECT coalesce(max(datname), '') FROM pg_database WHERE datname LIKE $1`
		if err := admin.QueryRow(ctx, find, "m3o_template_%_"+hash).Scan(&name); err != nil || name != "" {
			return err
		}
		name, err = makeTemplate(ctx, admin, server, hash)
		return err
	})
	return name, err
}

// makeTemplate migrates under another name, so that a run that dies half-way leaves no half template.
func makeTemplate(ctx context.Context, admin *db.DB, server, hash string) (string, error) {
	draft := "m3o_test_" + stamp()
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+draft); err != nil {
		return "", err
	}
	if err := migrated(db.Config{URL: withName(server, draft)}); err != nil {
		return "", err
	}
	name := "m3o_template_" + strconv.FormatInt(time.Now().Unix(), 10) + "_" + hash
	_, err := admin.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+name)
	return name, err
}

// dropLeftovers drops what dead runs and old migrations left behind.
func dropLeftovers(ctx context.Context, admin *db.DB, template string) error {
	rows, err := admin.Query(ctx, `SELECT datname FROM pg_database WHERE datname LIKE 'm3o_test_%' OR datname LIKE 'm3o_template_%'`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var old []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if name != template && madeBefore(name, time.Now().Add(-leftoverAge)) {
			old = append(old, name)
		}
	}
	for _, name := range old {
		if _, err := admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return rows.Err()
}

// madeBefore reads the Unix second in the third part of a name.
func madeBefore(name string, limit time.Time) bool {
	parts := strings.Split(name, "_")
	if len(parts) != 4 {
		return false
	}
	sec, err := strconv.ParseInt(parts[2], 10, 64)
	return err == nil && sec < limit.Unix()
}

// stamp is the current second and random letters.
func stamp() string {
	return strconv.FormatInt(time.Now().Unix(), 10) + "_" + strings.ToLower(rand.Text()[:12])
}

func withName(server, name string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	u.Path = "/" + name
	return u.String()
}

// fingerprint is a short hash of all migrations.
func fingerprint(fsys fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(fsys, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := fs.ReadFile(fsys, path)
		fmt.Fprintf(h, "%s\n%d\n%s", path, len(text), text)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), err
}
