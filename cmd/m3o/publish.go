package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

type publishCmd struct {
	File        string   `arg:"" help:"OpenAPI document (3.0 or 3.1), YAML or JSON."`
	Target      string   `placeholder:"URL" help:"Where the API is served; else the document's first server."`
	Name        string   `placeholder:"NAME" help:"The API's name in /v1/NAME; else made of the document's title."`
	Description string   `placeholder:"TEXT" help:"Else the document's."`
	Category    string   `placeholder:"TEXT" help:"Else the document's first tag."`
	Price       []string `sep:"none" placeholder:"ENDPOINT=MICROS" help:"Micro-dollars a call of 'POST /x', of an operationId, or of '*' for all others."`
	Quota       []string `sep:"none" placeholder:"ENDPOINT=CALLS" help:"Free calls a month."`
	Timeout     []string `sep:"none" placeholder:"ENDPOINT=TIME" help:"Time budget, such as '*=30s'."`
	Metering    string   `placeholder:"JSON" help:"What prices are for, such as '{\"POST /x\": {\"by\": \"header\", \"maximum\": 1000}}'."`
	Validate    bool     `help:"Hold requests to the document before they are forwarded."`
	Credential  []string `sep:"none" placeholder:"HEADER=VALUE" help:"Header sent to the target; 'Authorization=env:PETS_TOKEN' takes it from a variable."`
	Server      string   `default:"http://localhost:8080" env:"M3O_ADDRESS" placeholder:"URL" help:"Where m3o runs."`
	Token       string   `env:"M3O_TOKEN" placeholder:"TOKEN" help:"Access token of an admin; else --email and --password log in."`
	Email       string   `env:"M3O_ADMIN_EMAIL" placeholder:"EMAIL" help:"Who logs in."`
	Password    string   `env:"M3O_ADMIN_PASSWORD" placeholder:"PASSWORD" help:"With which password."`
	DryRun      bool     `help:"Print the request, without its credentials, and send nothing."`
}

// offer is what /publicapi/Publish takes.
type offer struct {
	Name        string            `json:"name"`
	DisplayName string            `json:"display_name,omitempty"`
	Description string            `json:"description,omitempty"`
	Category    string            `json:"category,omitempty"`
	Target      string            `json:"target"`
	Pricing     map[string]int64  `json:"pricing,omitempty"`
	Quotas      map[string]int64  `json:"quotas,omitempty"`
	Timeouts    map[string]string `json:"timeouts,omitempty"`
	Metering    json.RawMessage   `json:"metering,omitempty"`
	Validate    bool              `json:"validate,omitempty"`
	Credentials map[string]string `json:"credentials,omitempty"`
	OpenAPIJSON string            `json:"open_api_json"`
}

// Run puts an API on sale and shows how it is called.
func (c *publishCmd) Run(ctx context.Context, s streams) error {
	o, err := c.offer()
	if err != nil {
		return err
	}
	if c.DryRun {
		return dryRun(s.out, o)
	}
	m := &session{server: strings.TrimSuffix(c.Server, "/"), token: c.Token}
	if err := m.login(ctx, c.Email, c.Password); err != nil {
		return err
	}
	if err := m.call(ctx, "/publicapi/Publish", map[string]any{"api": o}, nil); err != nil {
		return err
	}
	return m.show(ctx, s.out, o.Name)
}

// offer is what the file and the flags say.
func (c *publishCmd) offer() (o offer, err error) {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return o, fmt.Errorf("the document cannot be read: %w", err)
	}
	document, err := documentJSON(text)
	if err != nil {
		return o, fmt.Errorf("%s: %w", c.File, err)
	}
	if o, err = described(document); err != nil {
		return o, fmt.Errorf("%s: %w", c.File, err)
	}
	o.Name, o.Description, o.Category = cmp.Or(c.Name, o.Name), cmp.Or(c.Description, o.Description), cmp.Or(c.Category, o.Category)
	if o.Target, o.Validate = cmp.Or(c.Target, o.Target), c.Validate; o.Target == "" {
		return o, errors.New("--target is needed: the document names no server")
	}
	if o.Name == "" {
		return o, errors.New("--name is needed: the document has no title to make one of")
	}
	if c.Metering != "" {
		if o.Metering = json.RawMessage(c.Metering); !json.Valid(o.Metering) {
			return o, errors.New("--metering is not valid JSON")
		}
	}
	return o, errors.Join(c.terms(&o), c.secrets(&o))
}

// terms reads the flags that name endpoints.
func (c *publishCmd) terms(o *offer) (err error) {
	if o.Pricing, err = amounts("--price", c.Price); err != nil {
		return err
	}
	if o.Quotas, err = amounts("--quota", c.Quota); err != nil {
		return err
	}
	o.Timeouts = map[string]string{}
	for _, text := range c.Timeout {
		key, value, err := pair("--timeout", text)
		if err != nil {
			return err
		}
		o.Timeouts[key] = value
	}
	return nil
}

func amounts(flag string, list []string) (map[string]int64, error) {
	found := map[string]int64{}
	for _, text := range list {
		key, value, err := pair(flag, text)
		if err != nil {
			return nil, err
		}
		if found[key], err = strconv.ParseInt(value, 10, 64); err != nil {
			return nil, fmt.Errorf("%s %s: %s is not a whole number", flag, text, value)
		}
	}
	return found, nil
}

// pair takes 'POST /x=100' apart.
func pair(flag, text string) (key, value string, err error) {
	i := strings.LastIndexByte(text, '=')
	if i < 1 {
		return "", "", fmt.Errorf("%s %s: write it like '%s POST /x=…'", flag, text, flag)
	}
	return strings.TrimSpace(text[:i]), strings.TrimSpace(text[i+1:]), nil
}

// secrets reads the credentials. What is wrong never quotes one.
func (c *publishCmd) secrets(o *offer) error {
	o.Credentials = map[string]string{}
	for _, text := range c.Credential {
		header, value, found := strings.Cut(text, "=")
		if !found || header == "" {
			return errors.New("--credential: write it like 'Authorization=env:PETS_TOKEN'")
		}
		if variable, from := strings.CutPrefix(value, "env:"); from {
			if value = os.Getenv(variable); value == "" {
				return fmt.Errorf("--credential %s: the variable %s is not set", header, variable)
			}
		}
		o.Credentials[header] = value
	}
	return nil
}

// described is what a document says of its API.
func described(document []byte) (offer, error) {
	var d struct {
		OpenAPI string `json:"openapi"`
		Swagger string `json:"swagger"`
		Info    struct {
			Title, Summary, Description string
		}
		Tags    []struct{ Name string }
		Servers []struct{ URL string }
	}
	if err := json.Unmarshal(document, &d); err != nil || d.OpenAPI == "" {
		if d.Swagger != "" {
			return offer{}, errors.New("is Swagger 2.0: convert it to OpenAPI 3 first")
		}
		return offer{}, errors.New("is not an OpenAPI document: it has no openapi: 3.x")
	}
	o := offer{Name: slug(d.Info.Title), DisplayName: d.Info.Title, Description: cmp.Or(d.Info.Description, d.Info.Summary), OpenAPIJSON: string(document)}
	if len(d.Tags) > 0 {
		o.Category = d.Tags[0].Name
	}
	if len(d.Servers) > 0 && strings.HasPrefix(d.Servers[0].URL, "http") && !strings.Contains(d.Servers[0].URL, "{") {
		o.Target = d.Servers[0].URL
	}
	return o, nil
}

// slug makes a name of a title: "Swagger Petstore" is swagger-petstore.
func slug(title string) string {
	words := strings.FieldsFunc(strings.ToLower(title), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	name := strings.TrimLeft(strings.Join(words, "-"), "0123456789-")
	return strings.TrimRight(name[:min(len(name), 63)], "-")
}

// dryRun prints the request as it would be sent, but for the credentials.
func dryRun(w io.Writer, o offer) error {
	for header := range o.Credentials {
		o.Credentials[header] = "********"
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{"api": o})
}

// session calls m3o for an admin.
type session struct{ server, token string }

// login gets a token, unless there is one.
func (m *session) login(ctx context.Context, email, password string) error {
	if m.token != "" {
		return nil
	}
	if email == "" || password == "" {
		return errors.New("publish needs an admin: set M3O_TOKEN, or --email and --password")
	}
	var out struct {
		Token struct {
			AccessToken string `json:"access_token"`
		}
	}
	if err := m.call(ctx, "/customers/Login", map[string]string{"email": email, "password": password}, &out); err != nil {
		return fmt.Errorf("the login failed: %w", err)
	}
	m.token = out.Token.AccessToken
	return nil
}

// call posts to a function; out may be nil.
func (m *session) call(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.server+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("--server %s is not a URL such as http://localhost:8080", m.server)
	}
	r.Header.Set("Content-Type", "application/json")
	if m.token != "" {
		r.Header.Set("Authorization", "Bearer "+m.token)
	}
	return m.do(r, out)
}

func (m *session) do(r *http.Request, out any) error {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("m3o at %s cannot be reached: %w", m.server, errors.Unwrap(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 400 {
		return refused(resp)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("the answer of m3o at %s is not what was expected: %w", m.server, err)
	}
	return nil
}

// onSale is an endpoint as the catalogue shows it.
type onSale struct {
	Name, Method, Path string
	Price              int64 `json:",string"`
}

// metering is what a price is for.
type metering struct {
	By  string
	Per int64 `json:",string"`
}

// String is empty when the price is for a call.
func (m metering) String() string {
	noun := map[string]string{"bytes_out": "bytes", "header": "units"}[m.By]
	switch per := max(1, m.Per); {
	case noun == "":
		return ""
	case per == 1:
		return " a " + strings.TrimSuffix(noun, "s")
	default:
		return fmt.Sprintf(" for %d %s", per, noun)
	}
}

// show prints what is on sale now, and how to call it.
func (m *session) show(ctx context.Context, w io.Writer, name string) error {
	var shown struct {
		Summary struct{ Endpoints []onSale }
		API     struct{ Metering map[string]metering }
	}
	if err := m.call(ctx, "/publicapi/explore/api", map[string]string{"name": name}, &shown); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "METHOD\tPATH\tPRICE\tENDPOINT")
	for _, e := range shown.Summary.Endpoints {
		fmt.Fprintf(table, "%s\t%s\t$%d.%06d%s\t%s\n", e.Method, e.Path, e.Price/1_000_000, e.Price%1_000_000, shown.API.Metering[e.Name], e.Name)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	line, err := m.firstCall(ctx, name, shown.Summary.Endpoints)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nWith an API key in M3O_API_TOKEN:\n%s\n", line)
	return err
}

// sampleCall is a call as the Postman collection of an API has it.
type sampleCall struct {
	Name    string
	Request struct {
		Method string
		URL    struct {
			Raw      string
			Variable []struct{ Key, Value string }
		}
		Body *struct{ Raw string }
	}
}

// firstCall is a command that calls the API: a GET that needs nothing when there is
// one, else the first endpoint.
func (m *session) firstCall(ctx context.Context, name string, endpoints []onSale) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.server+"/publicapi/postman/"+url.PathEscape(name), nil)
	if err != nil {
		return "", err
	}
	var collection struct{ Item []sampleCall }
	if err := m.do(r, &collection); err != nil {
		return "", err
	}
	if len(collection.Item) == 0 {
		return "", errors.New("the API has no endpoint")
	}
	first := collection.Item[0]
	for _, item := range collection.Item {
		if item.Request.Method == http.MethodGet && !strings.ContainsAny(strings.TrimPrefix(item.Request.URL.Raw, "{{baseUrl}}"), ":?") {
			first = item
			break
		}
	}
	return m.curl(first), nil
}

// curl is a call as a command for a shell.
func (m *session) curl(c sampleCall) string {
	address := c.Request.URL.Raw
	for _, v := range c.Request.URL.Variable {
		address = replaceSegment(address, ":"+v.Key, url.PathEscape(v.Value))
	}
	line := "curl " + quoted(strings.Replace(address, "{{baseUrl}}", m.server, 1)) + ` -H "Authorization: Bearer $M3O_API_TOKEN"`
	if c.Request.Method != http.MethodGet && (c.Request.Method != http.MethodPost || c.Request.Body == nil) {
		line += " -X " + c.Request.Method
	}
	if c.Request.Body != nil {
		var compact bytes.Buffer
		if json.Compact(&compact, []byte(c.Request.Body.Raw)) == nil {
			line += ` -H "Content-Type: application/json" -d ` + quoted(compact.String())
		}
	}
	return line
}

// replaceSegment replaces a whole segment of an address.
func replaceSegment(address, segment, value string) string {
	path, query, asked := strings.Cut(address, "?")
	segments := strings.Split(path, "/")
	for i := range segments {
		if segments[i] == segment {
			segments[i] = value
		}
	}
	if path = strings.Join(segments, "/"); asked {
		path += "?" + query
	}
	return path
}

// quoted is a text as one word of a shell.
func quoted(text string) string {
	if !strings.ContainsAny(text, " \t\n\"'\\$&;|<>()*?[]{}!`#~") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
