package rpc

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// RegisterMetrics registers the metrics of a replica, each with the labels service,
// ver and id. A nil registerer is one that nobody reads.
func RegisterMetrics(registerer prometheus.Registerer, replica Replica, metrics ...prometheus.Collector) error {
	if registerer == nil {
		return nil
	}
	labeled := prometheus.WrapRegistererWith(prometheus.Labels{"service": replica.Host, "ver": replica.Version, "id": replica.ID}, registerer)
	var failed []error
	for _, metric := range metrics {
		if err := labeled.Register(metric); err != nil {
			failed = append(failed, fmt.Errorf("register a metric of %s: %w", replica.Host, err))
		}
	}
	return errors.Join(failed...)
}

// Count adds to a counter. A counter never falls: less than zero is an error and
// changes nothing.
func Count(counter prometheus.Counter, by float64) error {
	if !(by >= 0) {
		return fmt.Errorf("a counter cannot change by %v: it never falls", by)
	}
	counter.Add(by)
	return nil
}

// Adjust adds to a gauge, or takes from it.
func Adjust(gauge prometheus.Gauge, by float64) error {
	gauge.Add(by)
	return nil
}
