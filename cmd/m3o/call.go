package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

type callCmd struct {
	Service  string `arg:"" help:"The API, such as helloworld."`
	Endpoint string `arg:"" help:"Its endpoint, such as call."`
	Body     string `arg:"" optional:"" default:"{}" help:"The request as JSON."`
	Token    string `name:"token" env:"M3O_API_TOKEN" placeholder:"KEY" help:"API key."`
	Address  string `default:"http://localhost:8080" env:"M3O_ADDRESS" placeholder:"URL" help:"Where m3o runs."`
}

// Run calls an API and prints what it answers as it comes.
func (c *callCmd) Run(ctx context.Context, s streams) error {
	if c.Token == "" {
		return errors.New("call needs an API key: set M3O_API_TOKEN, or --token")
	}
	if !json.Valid([]byte(c.Body)) {
		return errors.New("the request is not valid JSON")
	}
	target := strings.TrimSuffix(c.Address, "/") + "/v1/" + url.PathEscape(c.Service) + "/" + url.PathEscape(c.Endpoint)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(c.Body))
	if err != nil {
		return fmt.Errorf("--address %s is not a URL such as http://localhost:8080", c.Address)
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("m3o at %s cannot be reached: %w", c.Address, errors.Unwrap(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 400 {
		return refused(resp)
	}
	return printed(s.out, resp.Body)
}

// refused is an error answer in a sentence.
func refused(resp *http.Response) error {
	var problem struct {
		Detail, Instance string
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		problem.Detail = strings.TrimSpace(string(body))
	}
	return fmt.Errorf("%s: %s (request %s)", resp.Status, problem.Detail, cmp.Or(problem.Instance, resp.Header.Get("M3O-Request-Id")))
}

// printed copies an answer and ends it with a newline.
func printed(w io.Writer, body io.Reader) error {
	last := lastByte{Writer: w}
	if _, err := io.Copy(&last, body); err != nil {
		return fmt.Errorf("the answer broke off: %w", err)
	}
	if last.b == '\n' {
		return nil
	}
	_, err := fmt.Fprintln(w)
	return err
}

// lastByte remembers how a text ended.
type lastByte struct {
	io.Writer
	b byte
}

func (l *lastByte) Write(p []byte) (int, error) {
	if len(p) > 0 {
		l.b = p[len(p)-1]
	}
	return l.Writer.Write(p)
}
