package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// healthWithin is how long an m3o may take to say how it is.
const healthWithin = 4 * time.Second

type healthCmd struct {
	Listen string `default:":8080" env:"M3O_LISTEN" placeholder:"ADDR" help:"Address of the HTTP port, as serve has it."`
	Live   bool   `help:"Ask only whether the process lives, not whether it is ready."`
}

// Run asks, and fails when the answer is no.
func (c *healthCmd) Run(ctx context.Context, s streams) error {
	path := "/readyz"
	if c.Live {
		path = "/healthz"
	}
	address, err := loopback(c.Listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return fmt.Errorf("--listen %s is no address such as :8080", c.Listen)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("m3o at %s does not answer: %w", address, errors.Unwrap(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("m3o at %s broke off: %w", address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("m3o at %s is not ready: %s", address, missingParts(resp.StatusCode, body))
	}
	_, err = fmt.Fprintln(s.out, "ok")
	return err
}

// loopback is how this machine reaches a port that listens at an address.
func loopback(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("--listen %s is no address such as :8080", listen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port), nil
}

// missingParts names what /readyz says is not ready.
func missingParts(status int, body []byte) string {
	var answer struct {
		Components map[string]string
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Components) == 0 {
		return http.StatusText(status)
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(answer.Components)) {
		if state := answer.Components[name]; state != "ready" {
			missing = append(missing, name+" "+state)
		}
	}
	return strings.Join(missing, ", ")
}
