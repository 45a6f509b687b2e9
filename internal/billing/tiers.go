package billing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"m3o/internal/billing/billingapi"
	"m3o/internal/money"
)

// tierDocument is a tier as the configuration writes it. A member that is left out
// is 0; a cap that is left out is none.
type tierDocument struct {
	Price     money.Micros     `json:"price"`
	FreeCalls int64            `json:"free_calls"`
	Rate      int              `json:"rate"`
	Caps      map[string]int64 `json:"caps"`
}

// parseTiers reads the tiers. An error names the tier and the member.
func parseTiers(text string) (map[string]billingapi.Tier, error) {
	var documents map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &documents); err != nil {
		return nil, fmt.Errorf("the tiers are not a JSON object: %w", err)
	}
	if _, ok := documents[billingapi.Free]; !ok {
		return nil, fmt.Errorf("there is no tier %q, which every customer begins with", billingapi.Free)
	}
	tiers := map[string]billingapi.Tier{}
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		tier, err := parseTier(name, documents[name])
		if err != nil {
			return nil, fmt.Errorf("tier %q: %w", name, err)
		}
		tiers[name] = tier
	}
	if tiers[billingapi.Free].Price != 0 {
		return nil, fmt.Errorf("tier %q: price: must be 0", billingapi.Free)
	}
	return tiers, nil
}

func parseTier(name string, text json.RawMessage) (billingapi.Tier, error) {
	var d tierDocument
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return billingapi.Tier{}, readable(err)
	}
	switch {
	case name == "":
		return billingapi.Tier{}, errors.New("a tier needs a name")
	case d.Price < 0:
		return billingapi.Tier{}, errors.New("price: must not be negative")
	case d.FreeCalls < 0:
		return billingapi.Tier{}, errors.New("free_calls: must not be negative")
	case d.Rate < 0:
		return billingapi.Tier{}, errors.New("rate: must not be negative; 0 is no limit")
	}
	caps := map[string]int64{}
	for _, endpoint := range slices.Sorted(maps.Keys(d.Caps)) {
		lower := strings.ToLower(endpoint)
		if _, twice := caps[lower]; twice {
			return billingapi.Tier{}, fmt.Errorf("caps: %s is there twice", endpoint)
		}
		if d.Caps[endpoint] < 0 {
			return billingapi.Tier{}, fmt.Errorf("caps: %s: must not be negative; 0 is none allowed", endpoint)
		}
		caps[lower] = d.Caps[endpoint]
	}
	return billingapi.Tier{ID: name, Price: d.Price, FreeCalls: d.FreeCalls, Rate: d.Rate, Caps: caps}, nil
}

// readable names the member of a JSON error without Go's types.
func readable(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return fmt.Errorf("%s: does not take the JSON %s that is there", kind.Field, kind.Value)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}
