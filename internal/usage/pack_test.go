package usage

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/money"
	"m3o/internal/page"
	"m3o/internal/usage/usageapi"
)

// anyCall draws calls that often share their texts and moments.
func anyCall(t *rapid.T, id string) usageapi.Call {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "key_1", "demo", "Demo.Paid"}), rapid.String())
	return usageapi.Call{
		RequestID: id, CustomerID: "cus_a", KeyID: text.Draw(t, "key"), Service: text.Draw(t, "service"), Endpoint: text.Draw(t, "endpoint"),
		Lease: text.Draw(t, "lease"), Status: rapid.IntRange(100, 599).Draw(t, "status"), Price: money.Micros(rapid.Int64Range(0, math.MaxInt64).Draw(t, "price")),
		Duration: time.Duration(rapid.Int64Range(-1000, math.MaxInt64/1000).Draw(t, "took")) * time.Microsecond,
		Time:     db.Time(rapid.Int64Range(-1_000_000, 1_000_000).Draw(t, "time")),
	}
}

func TestWhatIsPackedIsUnpacked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.StringMatching(`req_00[0-9]{3}`)), 1, 40).Draw(t, "ids")
		calls := make([]usageapi.Call, len(ids))
		for i, id := range ids {
			calls[i] = anyCall(t, id)
		}
		slices.SortFunc(calls, inOrder)
		got, err := unpack("cus_a", pack(calls))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(calls, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAPackCostsFewBytesACall(t *testing.T) {
	t.Parallel()
	calls := make([]usageapi.Call, 500)
	for i := range calls {
		calls[i] = usageapi.Call{
			RequestID: fmt.Sprintf("req_06f7k2c9v0%016d", i*7919), KeyID: "key_06f7k2c9v00000000000000000", Service: "helloworld", Endpoint: "Helloworld.Call",
			Lease: "lse_06f7k2c9v00000000000000000", Status: 200, Price: 10, Duration: 20 * time.Microsecond, Time: time.UnixMicro(1_800_000_000_000_000 + int64(i)*50),
		}
	}
	if size := len(pack(calls)) / len(calls); size > 40 {
		t.Errorf("a call takes %d bytes", size)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{packVersion, 1})
	f.Add(pack([]usageapi.Call{{RequestID: "req_1", KeyID: "k", Price: 1, Time: time.UnixMicro(5)}, {RequestID: "req_2", KeyID: "k", Status: 200}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		calls, err := unpack("cus_a", data)
		if err != nil {
			return
		}
		again, err := unpack("cus_a", pack(calls))
		if err != nil || !cmp.Equal(calls, again) && !bytes.Equal(data, pack(again)) {
			t.Fatalf("%v after %v (%v)", again, calls, err)
		}
	})
}

// Batches come as gateways send them: late, again, in parts. Whatever they are, each call
// is there once, and any page of the list is that of a plain sorted list.
func TestRecordsAreThoseOfAPlainList(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			customerID := fmt.Sprint("cus_", n)
			var model []usageapi.Call
			start := time.Date(2026, 3, 31, 22, 30, 0, 0, time.UTC)
			var pool []usageapi.Call
			for i := range rapid.IntRange(1, 30).Draw(rt, "calls") {
				at := start.Add(time.Duration(rapid.Int64Range(0, 7200).Draw(rt, "second")) * time.Second)
				pool = append(pool, usageapi.Call{RequestID: fmt.Sprintf("req_%02d", i), CustomerID: customerID, Price: 1, Time: at})
			}
			for range rapid.IntRange(1, 6).Draw(rt, "batches") {
				batch := rapid.SliceOfN(rapid.SampledFrom(pool), 1, 20).Draw(rt, "batch")
				if err := d.Tx(t.Context(), func(tx *db.Tx) error {
					fresh, err := unseen(t.Context(), tx, customerID, byCustomer(batch)[customerID])
					if err != nil {
						return err
					}
					return insertCalls(t.Context(), tx, customerID, fresh)
				}); err != nil {
					rt.Fatal(err)
				}
				model = append(model, batch...)
			}
			want := byCustomer(model)[customerID]
			slices.Reverse(want)
			limit := rapid.IntRange(1, 12).Draw(rt, "limit")
			var got []string
			for cursor := (page.Cursor{}); ; {
				records, err := listRecords(t.Context(), d, customerID, cursor, limit)
				if err != nil {
					rt.Fatal(err)
				}
				if len(records) == 0 {
					break
				}
				for _, r := range records {
					got = append(got, r.RequestID)
				}
				last := records[len(records)-1]
				cursor = page.Cursor{Time: db.Micro(last.Time), ID: last.RequestID}
			}
			var ids []string
			for _, c := range want {
				ids = append(ids, c.RequestID)
			}
			if diff := cmp.Diff(ids, got); diff != "" {
				rt.Fatal(diff)
			}
		})
	})
}

func TestAPackIsWithinAnHourAndAThousandCalls(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 31, 23, 59, 59, 0, time.UTC)
	calls := make([]usageapi.Call, 2500)
	for i := range calls {
		calls[i].Time = at.Add(time.Duration(i) * time.Millisecond)
	}
	var sizes []int
	for rest := calls; len(rest) > 0; {
		n := packable(rest)
		sizes, rest = append(sizes, n), rest[n:]
	}
	if want := []int{1000, 1000, 500}; !slices.Equal(sizes, want) {
		t.Errorf("packs of %v calls", sizes)
	}
	calls[1].Time = at.Add(time.Second) // April
	if n := packable(calls); n != 1 {
		t.Errorf("a pack of %d calls crosses the hour", n)
	}
}

func TestAPriceBelowZeroIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := total([]usageapi.Call{{Price: 5}, {Price: -1}}); err == nil {
		t.Error("it was added up")
	}
	if _, err := total([]usageapi.Call{{Price: math.MaxInt64}, {Price: 1}}); err == nil {
		t.Error("the sum overflowed")
	}
}
