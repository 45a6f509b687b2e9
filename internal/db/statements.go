package db

import (
	"context"
	"database/sql"
	"sync"
	"time"
)

// The bounds of the prepared statements: how many are kept, after how many uses,
// and how long preparing one may wait for the connection.
const (
	statementsKept = 256
	statementUses  = 2
	statementWait  = 30 * time.Second
)

// statements keeps what the connection that writes to SQLite has prepared: its
// parser is most of the cost of a small statement. A text that comes again is
// prepared between transactions, by a goroutine of its own, since a transaction
// holds the only connection; until then it is parsed each time. (pgx keeps
// prepared statements by itself.) A nil *statements keeps nothing.
type statements struct {
	pool *sql.DB

	mu     sync.Mutex
	uses   map[string]int
	ready  map[string]*sql.Stmt
	closed bool
	begun  sync.WaitGroup
	cancel context.CancelFunc
	ctx    context.Context
}

func newStatements(pool *sql.DB) *statements {
	s := &statements{pool: pool, uses: map[string]int{}, ready: map[string]*sql.Stmt{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// get is the prepared statement of a text, nil when there is none (yet).
func (s *statements) get(query string) *sql.Stmt {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.ready[query]; found != nil || s.closed || len(s.uses) >= statementsKept && s.uses[query] == 0 {
		return found
	}
	if s.uses[query]++; s.uses[query] == statementUses {
		s.begun.Go(func() { s.prepare(query) })
	}
	return nil
}

// prepare waits for the connection. A text that cannot be prepared stays as it
// is: running it says why.
func (s *statements) prepare(query string) {
	ctx, cancel := context.WithTimeout(s.ctx, statementWait)
	defer cancel()
	prepared, err := s.pool.PrepareContext(ctx, query)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[query] = prepared
}

// close waits for what is being prepared; the statements end with their pool.
func (s *statements) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.begun.Wait()
}
