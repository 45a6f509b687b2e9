package limit

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// gcra is the script that takes from limits in Redis.
//
//go:embed gcra.lua
var gcra string

// How Redis is asked.
const (
	askers     = 4    // round trips at a time
	batchSize  = 512  // questions that share one
	lineLength = 2048 // questions that may wait: one round of all askers. Who finds the line full is not held up
	complain   = int64(time.Second)
)

// ask is a question to Redis: one call for whoever waits, or more of a budget.
type ask struct {
	claims pair
	fewest int64
	most   int64
	lease  *Bucket // gets what is granted; nil: somebody waits for answered

	answered chan struct{}
	grants   [2]grant
	err      error
}

// ask takes n calls from both limits or from neither and waits for the answer.
func (s *Shared) ask(ctx context.Context, claims pair, n int64) ([2]grant, error) {
	a := &ask{claims: claims, fewest: n, most: n, answered: make(chan struct{}, 1)}
	if s.away.Load() || !s.enqueue(a) {
		return a.grants, ErrAway
	}
	select {
	case <-a.answered:
		return a.grants, a.err
	case <-ctx.Done():
		return [2]grant{}, fmt.Errorf("wait for the shared rate limits: %w", ctx.Err())
	case <-s.ended:
		return [2]grant{}, ErrAway
	}
}

// enqueue puts a question into the line, if there is room.
func (s *Shared) enqueue(a *ask) bool {
	select {
	case s.line <- a:
		return true
	default:
		return false
	}
}

// serve asks Redis for what waits in the line, together.
func (s *Shared) serve(ctx context.Context) {
	batch := make([]*ask, 0, batchSize)
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-s.line:
			batch = append(batch[:0], first)
		}
		for len(batch) < batchSize && len(s.line) > 0 {
			select {
			case next := <-s.line:
				batch = append(batch, next)
			default: // another asker was faster
			}
		}
		s.answer(ctx, batch)
		clear(batch)
	}
}

// answer asks Redis, unless it is away meanwhile, and tells those who asked.
func (s *Shared) answer(ctx context.Context, batch []*ask) {
	err := ErrAway
	if !s.away.Load() {
		if err = s.put(ctx, batch); err != nil {
			s.lose(ctx, err)
		}
	}
	for _, a := range batch {
		s.tell(a, err)
	}
}

// tell answers one question. err is why none of its round trip could be.
func (s *Shared) tell(a *ask, err error) {
	switch {
	case err != nil:
		a.err = ErrAway
	case a.err != nil:
		s.complain(a.err)
		a.err = ErrAway
	}
	if a.lease != nil {
		a.lease.leased(s.now().UnixNano(), a.grants[0], a.err)
		return
	}
	a.answered <- struct{}{}
}

// put puts questions to Redis in one round trip. When they have to be put again, what was
// taken by the first try is lost, on the strict side, and what was to be given back is
// not given twice.
func (s *Shared) put(ctx context.Context, batch []*ask) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.timeout.Load()))
	defer cancel()
	err := s.pipe(ctx, batch)
	if isDead(ctx, err) {
		err = s.pipe(ctx, slices.DeleteFunc(slices.Clone(batch), func(a *ask) bool { return a.most < 0 }))
	}
	if err != nil {
		return err
	}
	unread := slices.DeleteFunc(slices.Clone(batch), func(a *ask) bool { return a.err == nil || !redis.HasErrorPrefix(a.err, "NOSCRIPT") })
	if len(unread) == 0 {
		return nil
	}
	if err := s.client.ScriptLoad(ctx, gcra).Err(); err != nil {
		return fmt.Errorf("give Redis the script: %w", err)
	}
	return s.pipe(ctx, unread)
}

// isDead says whether an error is that of a connection which turned out to be dead. That
// is no reason to refuse anybody: the next one may live.
func isDead(ctx context.Context, err error) bool {
	var answered redis.Error
	var slow net.Error
	if err == nil || ctx.Err() != nil || errors.As(err, &answered) {
		return false
	}
	return !errors.As(err, &slow) || !slow.Timeout()
}

// pipe is one round trip. Its error is that of the connection; what Redis answers to a
// question, an error too, is the question's.
func (s *Shared) pipe(ctx context.Context, batch []*ask) error {
	if len(batch) == 0 {
		return nil
	}
	pipe := s.client.Pipeline()
	commands := make([]*redis.Cmd, len(batch))
	for i, a := range batch {
		keys, args := s.words(a)
		commands[i] = pipe.EvalSha(ctx, s.script, keys, args...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		var answered redis.Error
		if !errors.As(err, &answered) {
			return fmt.Errorf("ask Redis: %w", err)
		}
	}
	for i, a := range batch {
		a.err = a.read(commands[i])
	}
	return nil
}

// words are the script's keys and arguments for a question.
func (s *Shared) words(a *ask) (keys []string, args []any) {
	for _, c := range a.claims {
		if c.Rate > 0 {
			keys = append(keys, s.key(c.Bucket))
			args = append(args, c.Rate, a.fewest, a.most)
		}
	}
	return keys, args
}

// key is a limit's name in Redis. What is in braces puts all limits of an owner on one
// node of a cluster.
func (s *Shared) key(b *Bucket) string {
	if b.part == "" {
		return s.prefix + "{" + b.owner + "}"
	}
	return s.prefix + "{" + b.owner + "}" + b.part
}

// read reads the script's answer.
func (a *ask) read(command *redis.Cmd) error {
	numbers, err := command.Int64Slice()
	if err != nil {
		return err
	}
	for i, c := range a.claims {
		if c.Rate <= 0 {
			continue
		}
		if len(numbers) < 3 {
			return errors.New("the answer of the script is too short")
		}
		a.grants[i] = grant{taken: numbers[0], remaining: numbers[1], wait: numbers[2]}
		numbers = numbers[3:]
	}
	return nil
}

// complain logs that Redis answers with errors, once a second.
func (s *Shared) complain(err error) {
	now, last := s.now().UnixNano(), s.complained.Load()
	if now-last >= complain && s.complained.CompareAndSwap(last, now) {
		s.log.Error("Redis refuses to hold rate limits", "error", err)
	}
}
