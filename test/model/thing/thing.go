package thing

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"m3o/internal/fault"
	"m3o/test/model/thing/thingapi"
)

// ErrSentinel is an error that callers may want to recognise; over a bus they do by its
// code and id.
var ErrSentinel = fault.New(fault.Conflict, "the very same").WithID("thing.sentinel")

// Service is the service.
type Service struct {
	settings
	waits    waits
	released chan struct{}
	release  sync.Once
}

// New makes the service; it reads no configuration and has no metrics.
func New() (*Service, error) {
	s, err := newSettings(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("thing: %w", err)
	}
	return &Service{settings: s, released: make(chan struct{})}, nil
}

// Release lets every Hang return. It may be called twice.
func (s *Service) Release() { s.release.Do(func() { close(s.released) }) }

// Add adds two numbers.
func (s *Service) Add(ctx context.Context, x int, y int) (sum int, err error) { return x + y, nil }

// Echo is a function.
func (s *Service) Echo(ctx context.Context, foo string) (echo string, err error) { return foo, nil }

// Distance is how far the person is from the origin.
func (s *Service) Distance(ctx context.Context, p thingapi.Person) (d float64, err error) {
	return math.Hypot(p.X, p.Y), nil
}

// Say is a function.
func (s *Service) Say(ctx context.Context, text string) (r string, err error) { return text, nil }

// SayBody is a function.
func (s *Service) SayBody(ctx context.Context, text string) (r string, err error) { return text, nil }

// Place is a function.
func (s *Service) Place(ctx context.Context, id string, n int) (gotID string, gotN int, err error) {
	return id, n, nil
}

// File is a function.
func (s *Service) File(ctx context.Context, dir string, rest string) (gotDir string, gotRest string, err error) {
	return dir, rest, nil
}

// Unnamed is a function.
func (s *Service) Unnamed(ctx context.Context, path1 string, path2 string) (one string, two string, err error) {
	return path1, path2, nil
}

// Mixed takes one argument from the path and the others from the body.
func (s *Service) Mixed(ctx context.Context, id string, note string, count int) (all string, err error) {
	return fmt.Sprintf("%s %s %d", id, note, count), nil
}

// Numbers is a function.
func (s *Service) Numbers(ctx context.Context, i int, i8 int8, i16 int16, i32 int32, i64 int64, u uint, u8 uint8, u16 uint16, u32 uint32, u64 uint64, f32 float32, f64 float64, ok bool, octet byte) (all thingapi.Numbers, err error) {
	return thingapi.Numbers{I: i, I8: i8, I16: i16, I32: i32, I64: i64, U: u, U8: u8, U16: u16, U32: u32, U64: u64, F32: f32, F64: f64, OK: ok, Octet: octet}, nil
}

// NumbersBody is a function.
func (s *Service) NumbersBody(ctx context.Context, i int, i8 int8, i16 int16, i32 int32, i64 int64, u uint, u8 uint8, u16 uint16, u32 uint32, u64 uint64, f32 float32, f64 float64, ok bool, octet byte) (all thingapi.Numbers, err error) {
	return s.Numbers(ctx, i, i8, i16, i32, i64, u, u8, u16, u32, u64, f32, f64, ok, octet)
}

// NumbersPath is a function.
func (s *Service) NumbersPath(ctx context.Context, i int, i8 int8, i16 int16, i32 int32, i64 int64, u uint, u8 uint8, u16 uint16, u32 uint32, u64 uint64, f32 float32, f64 float64, ok bool, octet byte) (all thingapi.Numbers, err error) {
	return s.Numbers(ctx, i, i8, i16, i32, i64, u, u8, u16, u32, u64, f32, f64, ok, octet)
}

// Shapes is a function.
func (s *Service) Shapes(ctx context.Context, at time.Time, span time.Duration, raw []byte, tags []string, counts map[string]int, list []int, flags []bool, times []time.Time, spans []time.Duration, grid [][]int, person thingapi.Person, maybe *thingapi.Person, people []thingapi.Person, byName map[string]*thingapi.Person, loose any, count *int) (all thingapi.Shapes, err error) {
	return thingapi.Shapes{
		At: at, Span: span, Raw: raw, Tags: tags, Counts: counts, List: list, Flags: flags, Times: times, Spans: spans, Grid: grid,
		Person: person, Maybe: maybe, People: people, ByName: byName, Loose: loose, Count: count,
	}, nil
}

// ShapesBody is a function.
func (s *Service) ShapesBody(ctx context.Context, at time.Time, span time.Duration, raw []byte, tags []string, counts map[string]int, list []int, flags []bool, times []time.Time, spans []time.Duration, grid [][]int, person thingapi.Person, maybe *thingapi.Person, people []thingapi.Person, byName map[string]*thingapi.Person, loose any, count *int) (all thingapi.Shapes, err error) {
	return s.Shapes(ctx, at, span, raw, tags, counts, list, flags, times, spans, grid, person, maybe, people, byName, loose, count)
}

// Moments is a function.
func (s *Service) Moments(ctx context.Context, at time.Time, span time.Duration, raw []byte) (gotAt time.Time, gotSpan time.Duration, gotRaw []byte, err error) {
	return at, span, raw, nil
}

// Body multiplies each number by k.
func (s *Service) Body(ctx context.Context, httpRequestBody []int, k int) (httpResponseBody []int, err error) {
	for _, n := range httpRequestBody {
		httpResponseBody = append(httpResponseBody, n*k)
	}
	return httpResponseBody, nil
}

// Status is a function.
func (s *Service) Status(ctx context.Context, code int) (note string, httpStatusCode int, err error) {
	return fmt.Sprintf("as you wish: %d", code), code, nil
}

// Made is a function.
func (s *Service) Made(ctx context.Context, httpRequestBody thingapi.Person, code int) (httpResponseBody *thingapi.Person, httpStatusCode int, err error) {
	return &httpRequestBody, code, nil
}

// Document is a function.
func (s *Service) Document(ctx context.Context, name string) (httpResponseBody any, err error) {
	return map[string]any{"name": name, "<&>": []int{1, 2}}, nil
}

// Nothing is a function.
func (s *Service) Nothing(ctx context.Context) (err error) { return nil }

// Fail fails in the way that is named.
func (s *Service) Fail(ctx context.Context, how string) (n int, err error) { return 0, failure(how) }

// FailQuietly is a function.
func (s *Service) FailQuietly(ctx context.Context, how string) (err error) { return failure(how) }

// failure is the error that is called so; nil for none.
func failure(how string) error {
	switch how {
	case "":
		return nil
	case "teapot":
		return fault.New(fault.Invalid, "short and stout").WithStatus(418)
	case "plain":
		return errors.New("disk on fire")
	case "wrapped":
		return fmt.Errorf("save the thing: %w", fault.New(fault.Gone, "it is away"))
	case "sentinel":
		return fmt.Errorf("find the thing: %w", ErrSentinel)
	case "fields":
		return fault.BadField("how", "is too telling").With("price", 5).After(3 * time.Second)
	case "panic":
		panic("at the disco")
	}
	return fault.New(fault.Code(how), "it is %s", how)
}

// Who is a function.
func (s *Service) Who(ctx context.Context) (replica string, err error) { return s.Replica().ID, nil }

// WhoAll is a function.
func (s *Service) WhoAll(ctx context.Context) (replica string, err error) { return s.Replica().ID, nil }

// WhoBut is the replica that answers; the one that is named fails.
func (s *Service) WhoBut(ctx context.Context, failing string) (replica string, err error) {
	if failing == s.Replica().ID {
		return "", fault.New(fault.Forbidden, "not me")
	}
	return s.Replica().ID, nil
}

// WhoAt is a function.
func (s *Service) WhoAt(ctx context.Context, id string) (replica string, err error) {
	return s.Replica().ID, nil
}

// Wait waits that long, unless its context ends before.
func (s *Service) Wait(ctx context.Context, span time.Duration) (waited time.Duration, err error) {
	return s.waits.wait(ctx, span)
}

// WaitHere waits at the replica that is named, and nowhere else.
func (s *Service) WaitHere(ctx context.Context, replica string, span time.Duration) (who string, err error) {
	if replica == s.Replica().ID {
		_, err = s.waits.wait(ctx, span)
	}
	return s.Replica().ID, err
}

// Hang waits until the service is released, whatever its context says.
func (s *Service) Hang(ctx context.Context) (n int, err error) {
	s.waits.begin()
	<-s.released
	return 0, nil
}

// Ended says how many waits have begun and how many contexts have ended below one, and
// how long the last of those had run.
func (s *Service) Ended(ctx context.Context) (began int, ended int, ranFor time.Duration, err error) {
	began, ended, ranFor = s.waits.read()
	return began, ended, ranFor, nil
}

// Greeting greets in the caller's language.
func (s *Service) Greeting(ctx context.Context) (text string, err error) {
	return s.Text(ctx, "greeting"), nil
}

// Count is a function.
func (s *Service) Count(ctx context.Context, n int, failAt int, gap time.Duration, send func(thingapi.CountOut) error) (err error) {
	for i := 1; i <= n; i++ {
		if i == failAt {
			return fault.New(fault.Conflict, "enough at %d", i)
		}
		if err := send(thingapi.CountOut{I: i}); err != nil {
			return err
		}
		if _, err := s.waits.wait(ctx, gap); err != nil {
			return err
		}
	}
	return nil
}
