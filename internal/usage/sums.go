package usage

import (
	"time"

	"m3o/internal/money"
	"m3o/internal/usage/usageapi"
)

// charge is what calls on one lease add up to.
type charge struct {
	calls  int64
	amount money.Micros
}

type dayKey struct{ customerID, day, service, endpoint string }

type monthKey struct{ customerID, month string }

// sums is what a batch of calls adds to the counters.
type sums struct {
	days    map[dayKey]int64
	free    map[monthKey]int64
	quotas  map[string]int64             // by quota lease
	charges map[string]map[string]charge // by customer, then by lease of money
}

func sum(calls []usageapi.Call) (sums, error) {
	s := sums{days: map[dayKey]int64{}, free: map[monthKey]int64{}, quotas: map[string]int64{}, charges: map[string]map[string]charge{}}
	for _, call := range calls {
		s.days[dayKey{call.CustomerID, call.Time.UTC().Format(time.DateOnly), call.Service, call.Endpoint}]++
		if call.Free {
			s.free[monthKey{call.CustomerID, month(call.Time)}]++
		}
		for _, lease := range call.Quotas {
			s.quotas[lease]++
		}
		leases := s.charges[call.CustomerID]
		if leases == nil {
			leases = map[string]charge{}
			s.charges[call.CustomerID] = leases
		}
		c := leases[call.Lease]
		amount, err := c.amount.Add(call.Price)
		if err != nil {
			return sums{}, err
		}
		leases[call.Lease] = charge{calls: c.calls + 1, amount: amount}
	}
	return s, nil
}
