package usage

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/billing/billingapi"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/money"
	"m3o/internal/page"
	"m3o/internal/recall"
	"m3o/internal/usage/usageapi"
	"m3o/pkg/events/proto/requests"
)

// quotaTTL is how long a gateway may hold a part of an allowance.
const quotaTTL = time.Minute

// restEvery is after how many customers recording makes way for requests.
const restEvery = 4

// Deps is what the service needs.
type Deps struct {
	DB      *db.DB
	Bus     bus.Bus
	Outbox  *outbox.Outbox
	Config  config.Source
	Metrics prometheus.Registerer
	Log     *slog.Logger
	Now     func() time.Time
	Billing billingapi.Service
	Durable bool // what is recorded is on the disk before Record returns, since the journal it comes from is
}

// Service is the usage service.
type Service struct {
	settings
	db      *db.DB
	outbox  *outbox.Outbox
	trigger usageapi.MulticastTrigger
	log     *slog.Logger
	now     func() time.Time
	billing billingapi.Service
	durable bool
	askings recall.Askings // of the other gateways, by customer and allowance
}

// New makes the service.
func New(d Deps) (*Service, error) {
	set, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, err
	}
	return &Service{settings: set, db: d.DB, outbox: d.Outbox, trigger: usageapi.NewMulticastTrigger(d.Bus), log: d.Log, now: d.Now, billing: d.Billing, durable: d.Durable}, nil
}

// Read implements usageapi.Service.
func (s *Service) Read(ctx context.Context, customerID string, detail bool) (map[string]usageapi.Usage, int64, error) {
	customerID, err := s.readable(ctx, customerID)
	if err != nil {
		return nil, 0, err
	}
	tier, err := s.billing.TierOf(auth.AsService(ctx, usageapi.Host), customerID)
	if err != nil {
		return nil, 0, err
	}
	used, err := freeUsed(ctx, s.db, customerID, month(s.now()))
	if err != nil {
		return nil, 0, err
	}
	days, err := listDays(ctx, s.db, customerID, "", "9999")
	if err != nil {
		return nil, 0, err
	}
	return byAPI(days, detail), max(tier.FreeCalls-used, 0), nil
}

// byAPI groups days, which come in order, into M3O's form.
func byAPI(days []dayRow, detail bool) map[string]usageapi.Usage {
	usage := map[string]usageapi.Usage{}
	add := func(name string, day dayRow) {
		u := usage[name]
		u.APIName = day.service
		if n := len(u.Records); n > 0 && u.Records[n-1].Date == day.day {
			u.Records[n-1].Requests += day.requests
		} else {
			u.Records = append(u.Records, usageapi.Day{Date: day.day, Requests: day.requests})
		}
		usage[name] = u
	}
	for _, day := range days {
		add(day.service, day)
		if detail {
			add(day.service+"$"+day.endpoint, day)
		}
	}
	return usage
}

// ReadMonthlyTotal implements usageapi.Service.
func (s *Service) ReadMonthlyTotal(ctx context.Context, customerID string, detail bool) (int64, map[string]usageapi.Count, error) {
	customerID, err := s.readable(ctx, customerID)
	if err != nil {
		return 0, nil, err
	}
	from, to := monthBounds(s.now())
	days, err := listDays(ctx, s.db, customerID, from, to)
	if err != nil {
		return 0, nil, err
	}
	total, endpoints := int64(0), map[string]usageapi.Count{}
	for _, day := range days {
		total += day.requests
		if detail {
			endpoints[day.service+"$"+day.endpoint] += usageapi.Count(day.requests)
		}
	}
	return total, endpoints, nil
}

// ListRecords implements usageapi.Service.
func (s *Service) ListRecords(ctx context.Context, customerID string, limit int, cursor string) ([]usageapi.Record, string, error) {
	limit, err := page.Limit(limit)
	if err != nil {
		return nil, "", err
	}
	after, err := page.Parse(cursor)
	if err != nil {
		return nil, "", err
	}
	customerID, err = s.readable(ctx, customerID)
	if err != nil {
		return nil, "", err
	}
	records, err := listRecords(ctx, s.db, customerID, after, limit+1)
	if err != nil || len(records) <= limit {
		return records, "", err
	}
	records = records[:limit]
	last := records[limit-1]
	return records, page.Cursor{Time: db.Micro(last.Time), ID: last.RequestID}.String(), nil
}

// readable is the customer that the caller may read, every answered call recorded.
func (s *Service) readable(ctx context.Context, customerID string) (string, error) {
	customerID, err := auth.Own(ctx, customerID)
	if err != nil {
		return "", err
	}
	return customerID, s.flush(ctx, customerID)
}

func (s *Service) flush(ctx context.Context, customerID string) error {
	if err := s.trigger.OnFlush(ctx, customerID).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "calls are waiting to be recorded: try again in a moment").After(time.Second)
	}
	return nil
}

// Record implements usageapi.Service. It needs no idempotency key: a request id
// is recorded once. It is as durable as the journal that the calls come from.
func (s *Service) Record(ctx context.Context, calls []usageapi.Call) ([]string, error) {
	var refused []string
	var recorded int
	err := s.db.Batch(s.strength(ctx), func(tx *db.Tx) (err error) {
		refused, recorded, err = s.record(ctx, tx, calls)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.IncrementRecordedCalls(recorded)
	return refused, nil
}

// strength is that of the journal which the calls come from: what that can give back
// after a crash of the machine, the store need not have on the disk yet.
func (s *Service) strength(ctx context.Context) context.Context {
	if s.durable {
		return ctx
	}
	return db.Relaxed(ctx)
}

// record does it in an order that every batch keeps, so that two of them cannot
// wait for each other: leases, calls, counters, the fact.
func (s *Service) record(ctx context.Context, tx *db.Tx, calls []usageapi.Call) (refused []string, recorded int, err error) {
	closed, err := lockLeases(ctx, tx, calls)
	if err != nil {
		return nil, 0, err
	}
	var open []usageapi.Call
	batch := byCustomer(calls)
	for i, customerID := range sorted(batch) {
		if i%restEvery == 0 {
			db.Rest() // nobody waits for a record, and somebody may wait for an answer
		}
		fresh, err := unseen(ctx, tx, customerID, batch[customerID])
		if err != nil {
			return nil, 0, err
		}
		from := len(open)
		for _, call := range fresh {
			if closed[call.Lease] {
				refused = append(refused, call.RequestID)
			} else {
				open = append(open, call)
			}
		}
		if err := insertCalls(ctx, tx, customerID, open[from:]); err != nil {
			return nil, 0, err
		}
	}
	if len(open) == 0 {
		return refused, 0, nil
	}
	db.Rest()
	sums, err := sum(open)
	if err != nil {
		return nil, 0, err
	}
	if err := addCounters(ctx, tx, sums); err != nil {
		return nil, 0, err
	}
	return refused, len(open), s.announce(ctx, tx, open, sums)
}

// announce states what was recorded, one fact a customer: what each lease was
// charged, and M3O's single form when the customer made a single call.
func (s *Service) announce(ctx context.Context, tx *db.Tx, calls []usageapi.Call, sums sums) error {
	for _, customerID := range sorted(sums.charges) {
		event := &requests.Event{Type: requests.EventType_EventTypeRequest, CustomerId: customerID, Time: db.Micro(s.now())}
		for _, lease := range sorted(sums.charges[customerID]) {
			c := sums.charges[customerID][lease]
			event.Charges = append(event.Charges, &requests.Charge{Lease: lease, Calls: c.calls, Amount: int64(c.amount)})
		}
		event.Request = single(calls, customerID)
		if err := s.outbox.Add(ctx, tx, usageapi.Host, requests.Topic, customerID, event); err != nil {
			return err
		}
	}
	return nil
}

// single is the one call of a customer, nil when there are several.
func single(calls []usageapi.Call, customerID string) *requests.Request {
	var found *requests.Request
	for _, call := range calls {
		if call.CustomerID != customerID {
			continue
		}
		if found != nil {
			return nil
		}
		price := strconv.FormatInt(int64(call.Price), 10)
		if call.Free {
			price = "free"
		}
		found = &requests.Request{
			UserId: customerID, Namespace: "micro", ApiKeyId: call.KeyID, Url: "/v1/" + call.Service + "/" + endpointPath(call.Endpoint),
			ApiName: call.Service, EndpointName: call.Endpoint, Price: price,
		}
	}
	return found
}

// endpointPath is an endpoint's part of the path: "Helloworld.Call" is called at …/call.
func endpointPath(endpoint string) string {
	_, name, found := strings.Cut(endpoint, ".")
	if !found {
		name = endpoint
	}
	return strings.ToLower(name)
}

// errElsewhere says that others hold some of the allowance.
var errElsewhere = errors.New("other gateways hold a part of the allowance")

// LeaseQuota implements usageapi.Service.
func (s *Service) LeaseQuota(ctx context.Context, r usageapi.QuotaRequest) (lease usageapi.QuotaLease, err error) {
	switch {
	case r.LeaseID == "":
		return lease, fault.BadField("leaseID", "must name the lease to be granted")
	case r.Want <= 0:
		return lease, fault.BadField("want", "must be above zero")
	}
	asking := s.askings.For(r.CustomerID + " " + r.Name)
	defer asking.End()
	for {
		err := s.db.Tx(db.Relaxed(ctx), func(tx *db.Tx) (err error) {
			lease, err = s.leaseQuota(ctx, tx, r, asking)
			return err
		})
		switch {
		case err == nil:
			return lease, nil
		case !errors.Is(err, errElsewhere):
			return usageapi.QuotaLease{}, err
		}
		err = asking.Again(ctx, func(ctx context.Context) {
			if err := s.trigger.OnQuotaRecall(ctx, r.CustomerID, r.Name, r.Holder).Err(); err != nil {
				s.log.WarnContext(ctx, "not every gateway has given back what it can", "customer", r.CustomerID, "allowance", r.Name, "error", err)
			}
		})
		if err != nil {
			return usageapi.QuotaLease{}, err
		}
	}
}

// leaseQuota grants what is left, errElsewhere if that is nothing and others may have
// some. Of what several want, one leaves half to the others.
func (s *Service) leaseQuota(ctx context.Context, tx *db.Tx, r usageapi.QuotaRequest, asking *recall.Asking) (usageapi.QuotaLease, error) {
	now := s.now()
	_, monthEnd := monthTimes(now)
	lease := usageapi.QuotaLease{Expires: now.Add(quotaTTL).Truncate(time.Microsecond)}
	if lease.Expires.After(monthEnd) {
		lease.Expires = monthEnd
	}
	used, err := lockAllowance(ctx, tx, r.CustomerID, r.Name, now)
	if err != nil {
		return usageapi.QuotaLease{}, err
	}
	others, err := unusedByOthers(ctx, tx, r, now)
	if err != nil {
		return usageapi.QuotaLease{}, err
	}
	lease.Elsewhere = others > 0
	if units, expires, err := granted(ctx, tx, r, now); err != nil || units > 0 {
		lease.ID, lease.Granted, lease.Expires = r.LeaseID, units, expires
		return lease, err
	}
	left := max(r.Limit-used, 0)
	switch {
	case left == 0 && !asking.InVain(others):
		return usageapi.QuotaLease{}, errElsewhere
	case left == 0:
		return lease, nil
	case others > 0 || asking.Shared():
		left -= left / 2
	}
	lease.ID, lease.Granted = r.LeaseID, min(r.Want, left)
	return lease, insertQuotaLease(ctx, tx, r, month(now), lease)
}

// KeepQuota implements usageapi.Service. Keeping the same again changes nothing
// but the expiry.
func (s *Service) KeepQuota(ctx context.Context, units map[string]int64) (time.Time, error) {
	out, err := idempotency.Tx(db.Relaxed(ctx), s.db, func(tx *db.Tx) (usageapi.KeepQuotaOut, error) {
		out := usageapi.KeepQuotaOut{Expires: s.now().Add(quotaTTL)}
		return out, keepQuotaLeases(ctx, tx, units, out.Expires)
	})
	return out.Expires, err
}

// Charged implements usageapi.Service.
func (s *Service) Charged(ctx context.Context, customerID string, leases []string) (map[string]int64, error) {
	if err := s.flush(ctx, customerID); err != nil {
		return nil, err
	}
	return charged(ctx, s.db, leases)
}

// CloseLease implements usageapi.Service. Closing again says the same.
func (s *Service) CloseLease(ctx context.Context, leaseID string) (int64, error) {
	var total money.Micros
	err := s.db.Batch(ctx, func(tx *db.Tx) (err error) {
		total, err = closeLease(ctx, tx, leaseID)
		return err
	})
	return int64(total), err
}

// month names the UTC month of a time.
func month(t time.Time) string { return t.UTC().Format("2006-01") }

// monthTimes are the first moments of the UTC month of t and of the next one.
func monthTimes(t time.Time) (from, to time.Time) {
	t = t.UTC()
	from = time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	return from, from.AddDate(0, 1, 0)
}

// monthBounds are the days of the UTC month of t as [from, to).
func monthBounds(t time.Time) (from, to string) {
	a, b := monthTimes(t)
	return a.Format(time.DateOnly), b.Format(time.DateOnly)
}

// endpointOf is the endpoint that an allowance counts; empty for the tier's free calls.
func endpointOf(allowance string) string {
	_, endpoint, _ := strings.Cut(allowance, ":")
	return endpoint
}

// sorted are the keys of a map in order: two batches take their locks alike.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
