package idempotency_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
)

type issueOut struct {
	Key string
	N   int64
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func request(key, fingerprint string) idempotency.Request {
	return idempotency.Request{
		Key: key, Scope: "cus_1 keys.issue", Fingerprint: fingerprint,
		Answers: reflect.TypeFor[issueOut](),
		Now:     func() time.Time { return start },
	}
}

// issuer is a service with one mutating function.
type issuer struct {
	db   *db.DB
	runs atomic.Int64
}

func setup(t *testing.T, d *db.DB) *issuer {
	t.Helper()
	if _, err := d.Exec(t.Context(), `CREATE TABLE issued (n BIGINT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return &issuer{db: d}
}

func (s *issuer) issue(ctx context.Context) (issueOut, error) {
	return idempotency.Tx(ctx, s.db, func(tx *db.Tx) (issueOut, error) {
		n := s.runs.Add(1)
		_, err := tx.Exec(ctx, `INSERT INTO issued (n) VALUES ($1)`, n)
		return issueOut{Key: fmt.Sprintf("secret-%d", n), N: n}, err
	})
}

func (s *issuer) rows(t *testing.T, table string) (n int) {
	t.Helper()
	if err := s.db.QueryRow(context.Background(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTx_AnswersARepeatWithTheFirstAnswer(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := setup(t, d)
		replays := 0
		r := request("k1", "body")
		r.Replayed = func() { replays++ }
		ctx := idempotency.With(t.Context(), r)
		for i := range 3 {
			out, err := s.issue(ctx)
			if err != nil || out != (issueOut{Key: "secret-1", N: 1}) || replays != i {
				t.Fatalf("call %d: %v, %v, %d replays", i, out, err, replays)
			}
		}
		if n := s.rows(t, "issued"); n != 1 {
			t.Fatalf("%d rows issued", n)
		}
	})
}

func TestTx_KeepsKeysAndScopesApart(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := setup(t, d)
		other := request("k1", "body")
		other.Scope = "cus_2 keys.issue"
		shifted := request("1", "body")
		shifted.Scope += "k" // scope and key together are the same letters
		for i, r := range []idempotency.Request{request("k1", "body"), request("k2", "body"), other, shifted} {
			out, err := s.issue(idempotency.With(t.Context(), r))
			if err != nil || out.N != int64(i+1) {
				t.Fatalf("request %d: %v, %v", i, out, err)
			}
		}
	})
}

func TestTx_IsPlainWithoutAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := setup(t, d)
		foreign := request("k1", "body")
		foreign.Answers = reflect.TypeFor[string]() // the key of a function that calls this one
		for _, ctx := range []context.Context{
			t.Context(),
			idempotency.With(t.Context(), request("", "body")),
			idempotency.With(t.Context(), foreign),
		} {
			before := s.runs.Load()
			for range 2 {
				if _, err := s.issue(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if s.runs.Load() != before+2 {
				t.Fatal("a call was not executed")
			}
		}
		if n := s.rows(t, "idempotency"); n != 0 {
			t.Fatalf("%d answers stored", n)
		}
	})
}

func TestTx_RefusesAKeyUsedWithAnotherRequest(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := setup(t, d)
		if _, err := s.issue(idempotency.With(t.Context(), request("k1", "body"))); err != nil {
			t.Fatal(err)
		}
		out, err := s.issue(idempotency.With(t.Context(), request("k1", "another body")))
		if fault.CodeOf(err) != fault.Unprocessable || out != (issueOut{}) || s.runs.Load() != 1 {
			t.Fatalf("got %v, %v after %d runs", out, err, s.runs.Load())
		}
	})
}

func TestTx_StoresNothingWhenTheFunctionFails(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := setup(t, d)
		ctx := idempotency.With(t.Context(), request("k1", "body"))
		short := errors.New("balance is short")
		_, err := idempotency.Tx(ctx, d, func(tx *db.Tx) (issueOut, error) {
			_, err := tx.Exec(ctx, `INSERT INTO issued (n) VALUES (7)`)
			return issueOut{N: 7}, errors.Join(err, short)
		})
		if !errors.Is(err, short) || s.rows(t, "idempotency") != 0 || s.rows(t, "issued") != 0 {
			t.Fatalf("got %v, %d answers, %d rows", err, s.rows(t, "idempotency"), s.rows(t, "issued"))
		}
		if out, err := s.issue(ctx); err != nil || out.N != 1 {
			t.Fatalf("sent again: %v, %v", out, err)
		}
	})
}

func TestTx_ExecutesOnceOfManyAtTheSameTime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := setup(t, d)
		ctx := idempotency.With(t.Context(), request("k1", "body"))
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if out, err := s.issue(ctx); err != nil || out.Key == "" {
					t.Errorf("got %v, %v", out, err)
				}
			})
		}
		wg.Wait()
		if n := s.rows(t, "issued"); n != 1 {
			t.Fatalf("executed %d times", n)
		}
	})
}

func TestTx_SealsTheAnswerAndKeepsNoKey(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := setup(t, d)
		const key = "the-idempotency-key"
		ctx := idempotency.With(t.Context(), request(key, "body"))
		if _, err := s.issue(ctx); err != nil {
			t.Fatal(err)
		}
		var id, fingerprint string
		var answer []byte
		if err := d.QueryRow(t.Context(), `SELECT id, fingerprint, answer FROM idempotency`).Scan(&id, &fingerprint, &answer); err != nil {
			t.Fatal(err)
		}
		row := append([]byte(id+fingerprint), answer...)
		if len(answer) < 28 || bytes.Contains(row, []byte("secret")) || bytes.Contains(row, []byte(key)) {
			t.Fatalf("the row can be read: %q", row)
		}
		answer[len(answer)-1] ^= 1
		if _, err := d.Exec(t.Context(), `UPDATE idempotency SET answer = $1`, answer); err != nil {
			t.Fatal(err)
		}
		if out, err := s.issue(ctx); err == nil || out != (issueOut{}) {
			t.Fatalf("a forged answer was given out: %v, %v", out, err)
		}
	})
}

func TestTx_ForgetsAfterSevenDays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := setup(t, d)
		at := func(age time.Duration, fingerprint string) context.Context {
			r := request("k1", fingerprint)
			r.Now = func() time.Time { return start.Add(age) }
			return idempotency.With(t.Context(), r)
		}
		for _, step := range []struct {
			ctx  context.Context
			want int64
		}{
			{at(0, "body"), 1},
			{at(idempotency.Kept-time.Second, "body"), 1},
			{at(idempotency.Kept, "another body"), 2},
			{at(idempotency.Kept+time.Hour, "another body"), 2},
		} {
			if out, err := s.issue(step.ctx); err != nil || out.N != step.want {
				t.Fatalf("got %v, %v; want %d", out, err, step.want)
			}
		}
	})
}

func TestSweep_DeletesOnlyWhatIsOld(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := setup(t, d)
		if _, err := s.issue(idempotency.With(t.Context(), request("k1", "body"))); err != nil {
			t.Fatal(err)
		}
		if n, err := idempotency.Sweep(t.Context(), d, start.Add(idempotency.Kept-time.Second)); err != nil || n != 0 {
			t.Fatalf("a second too early: %d, %v", n, err)
		}
		if n, err := idempotency.Sweep(t.Context(), d, start.Add(idempotency.Kept)); err != nil || n != 1 || s.rows(t, "idempotency") != 0 {
			t.Fatalf("after seven days: %d, %v", n, err)
		}
	})
}
