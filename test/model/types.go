package model

import (
	"context"
	"math"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/test/model/thing/thingapi"
)

// types shows that a value of every type arrives as it was sent, at either end of its
// range, in a query, a body, a form and a path.
func (s suite) types(t *testing.T) {
	for name, sent := range numbers() {
		s.check(t, "R15/NumbersOfEveryWidth/"+name, func(t *testing.T, p *plane) {
			client := p.client()
			for where, call := range map[string]numbersCall{"query": client.Numbers, "body": client.NumbersBody, "path": client.NumbersPath} {
				got, err := call(t.Context(), sent.I, sent.I8, sent.I16, sent.I32, sent.I64, sent.U, sent.U8, sent.U16, sent.U32, sent.U64, sent.F32, sent.F64, sent.OK, sent.Octet)
				if diff := cmp.Diff(sent, got); diff != "" || err != nil {
					t.Errorf("%s: %v %s", where, err, diff)
				}
			}
		})
	}
	s.check(t, "R15/NumbersInAForm", func(t *testing.T, p *plane) {
		p.thing()
		form := url.Values{"i64": {"-9223372036854775808"}, "u64": {"18446744073709551615"}, "u8": {"255"}, "f64": {"1e-3"}, "ok": {"true"}, "octet": {"7"}}
		want := `"i64":-9223372036854775808,"u":0,"u8":255,"u16":0,"u32":0,"u64":18446744073709551615,"f32":0,"f64":0.001,"ok":true,"octet":7}`
		contains(t, p.send(request{"POST", "https://thing.test/numbers-body", asForm, form.Encode()}), 200, want)
	})
	for name, sent := range shapes() {
		s.check(t, "R18/ValuesOfEveryShape/"+name, func(t *testing.T, p *plane) {
			client := p.client()
			for where, call := range map[string]shapesCall{"query": client.Shapes, "body": client.ShapesBody} {
				got, err := call(t.Context(), sent.At, sent.Span, sent.Raw, sent.Tags, sent.Counts, sent.List, sent.Flags, sent.Times, sent.Spans, sent.Grid, sent.Person, sent.Maybe, sent.People, sent.ByName, sent.Loose, sent.Count)
				if diff := cmp.Diff(sent, got); diff != "" || err != nil {
					t.Errorf("%s: %v %s", where, err, diff)
				}
			}
			at, span, raw, err := client.Moments(t.Context(), sent.At, sent.Span, sent.Raw)
			if !at.Equal(sent.At) || span != sent.Span || string(raw) != string(sent.Raw) || err != nil {
				t.Errorf("path: %s %s %q %v", at, span, raw, err)
			}
		})
	}
}

type numbersCall func(ctx context.Context, i int, i8 int8, i16 int16, i32 int32, i64 int64, u uint, u8 uint8, u16 uint16, u32 uint32, u64 uint64, f32 float32, f64 float64, ok bool, octet byte) (thingapi.Numbers, error)

type shapesCall func(ctx context.Context, at time.Time, span time.Duration, raw []byte, tags []string, counts map[string]int, list []int, flags []bool, times []time.Time, spans []time.Duration, grid [][]int, person thingapi.Person, maybe *thingapi.Person, people []thingapi.Person, byName map[string]*thingapi.Person, loose any, count *int) (thingapi.Shapes, error)

func numbers() map[string]thingapi.Numbers {
	return map[string]thingapi.Numbers{
		"Zero": {},
		"Largest": {
			I: math.MaxInt, I8: math.MaxInt8, I16: math.MaxInt16, I32: math.MaxInt32, I64: math.MaxInt64,
			U: math.MaxUint, U8: math.MaxUint8, U16: math.MaxUint16, U32: math.MaxUint32, U64: math.MaxUint64,
			F32: math.MaxFloat32, F64: math.MaxFloat64, OK: true, Octet: 255,
		},
		"Smallest": {
			I: math.MinInt, I8: math.MinInt8, I16: math.MinInt16, I32: math.MinInt32, I64: math.MinInt64,
			F32: -math.MaxFloat32, F64: -math.MaxFloat64,
		},
		"BeyondAFloat": {I: 1<<53 + 1, I64: 1<<53 + 1, U64: 1<<53 + 1, F32: math.SmallestNonzeroFloat32, F64: math.SmallestNonzeroFloat64, OK: true},
	}
}

func shapes() map[string]thingapi.Shapes {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 5400))
	person := thingapi.Person{X: -1.5, Y: 1e300, Name: `a "b" & c`, Tags: []string{"null", ""}, Home: &thingapi.Home{Street: "S/T", Number: -1}}
	seven := 7
	return map[string]thingapi.Shapes{
		"Nothing": {At: time.Time{}},
		"Full": {
			At: at, Span: -90*time.Second - time.Nanosecond, Raw: []byte{0, 255, '/', '+', '='}, Tags: []string{"a", "b,c", "", "null", "[1]"},
			Counts: map[string]int{"a": 1, "b.c": -2, "d[e]": 3, "": 4}, List: []int{3, 1, 2}, Flags: []bool{true, false}, Times: []time.Time{at, at.Add(time.Hour)},
			Spans: []time.Duration{time.Second, 0}, Grid: [][]int{{1, 2}, {}, {3}}, Person: person, Maybe: &person, People: []thingapi.Person{person, {}},
			ByName: map[string]*thingapi.Person{"me": &person, "nobody": nil}, Loose: map[string]any{"a": []any{1.0, "x", nil, true}}, Count: &seven,
		},
		"OneOfEach": {
			Raw: []byte("x"), Tags: []string{"[1,2]"}, Counts: map[string]int{"null": 0}, List: []int{5}, Flags: []bool{false}, Times: []time.Time{at},
			Spans: []time.Duration{time.Hour}, Grid: [][]int{{}}, People: []thingapi.Person{{}}, ByName: map[string]*thingapi.Person{"a": {}}, Loose: "5", Count: new(int),
		},
		"Empty": {
			Raw: []byte{}, Tags: []string{}, Counts: map[string]int{}, List: []int{}, Flags: []bool{}, Times: []time.Time{}, Spans: []time.Duration{}, Grid: [][]int{},
			People: []thingapi.Person{}, ByName: map[string]*thingapi.Person{}, Loose: "", Maybe: &thingapi.Person{},
		},
		"Many": {Tags: many(2000, strconv.Itoa), List: many(2000, func(i int) int { return i * i })},
	}
}

func many[T any](n int, of func(int) T) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = of(i)
	}
	return list
}
