package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"m3o/internal/app/apptest"
)

const petstore = `
openapi: 3.0.3
info:
  title: Swagger Petstore
  version: 1.0
  description: Sells pets.
servers:
  - url: https://pets.example.com/v1
tags: [{name: animals}]
paths:
  /pets:
    get:
      operationId: listPets
      responses: {200: {description: OK}}
    post:
      requestBody:
        content:
          application/json:
            schema: {type: object, properties: {name: {type: string, example: "Rex's"}, born: {type: string, default: 2020-01-02}}}
      responses: &ok {200: {description: OK}}
  /pets/{petId}:
    get:
      parameters: [{name: petId, in: path, required: true, schema: {type: integer, example: 7}}]
      responses: *ok
`

// published runs m3o publish on a document.
func published(t *testing.T, document string, args ...string) (out string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "openapi.yaml")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	var line struct {
		Publish publishCmd `cmd:""`
	}
	parser, err := kong.New(&line, kong.BindTo(t.Context(), (*context.Context)(nil)), kong.Bind(streams{&printed, &printed}))
	if err != nil {
		t.Fatal(err)
	}
	command, err := parser.Parse(append([]string{"publish", file}, args...))
	if err != nil {
		t.Fatal(err)
	}
	err = command.Run()
	return printed.String(), err
}

func TestPublishDryRunPrintsTheRequestWithoutItsCredentials(t *testing.T) {
	t.Parallel()
	out, err := published(t, petstore, "--dry-run", "--price", "POST /pets=100", "--price", "*=50", "--quota", "listPets=3", "--timeout", "GET /pets/{petId}=30s",
		"--credential", "Authorization=Bearer a=b", "--credential", "X-Path=env:PATH", "--validate", "--metering", `{"POST /pets":{"by":"header","maximum":9}}`)
	if err != nil {
		t.Fatal(err)
	}
	var request struct {
		API struct {
			offer
			Document string `json:"open_api_json"`
		}
	}
	if err := json.Unmarshal([]byte(out), &request); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	a := request.API
	if a.Name != "swagger-petstore" || a.Description != "Sells pets." || a.Category != "animals" || a.Target != "https://pets.example.com/v1" || !a.Validate ||
		a.Pricing["POST /pets"] != 100 || a.Pricing["*"] != 50 || a.Quotas["listPets"] != 3 || a.Timeouts["GET /pets/{petId}"] != "30s" {
		t.Errorf("%+v", a)
	}
	if len(a.Credentials) != 2 || strings.Contains(out, "Bearer a") || strings.Contains(out, os.Getenv("PATH")) {
		t.Errorf("it shows %s", out)
	}
	for _, part := range []string{`"version":"1.0"`, `"200":{`, `"default":"2020-01-02"`, `"example":7`} {
		if !strings.Contains(a.Document, part) {
			t.Errorf("the document has no %s: %s", part, a.Document)
		}
	}
}

func TestPublishSaysWhatIsWrongInASentence(t *testing.T) {
	t.Parallel()
	noServer := strings.Replace(petstore, "https://pets.example.com/v1", "/v1", 1)
	for name, c := range map[string]struct {
		document string
		args     []string
		want     string
	}{
		"NoAdmin":        {petstore, []string{"--token=", "--email=", "--password="}, "M3O_TOKEN"},
		"NoTarget":       {noServer, nil, "--target"},
		"NoTitle":        {strings.Replace(petstore, "Swagger Petstore", "42.0", 1), nil, "--name"},
		"BadPrice":       {petstore, []string{"--price=POST /pets=cheap"}, "not a whole number"},
		"PriceOfNothing": {petstore, []string{"--price=100"}, "write it like"},
		"BadTimeout":     {petstore, []string{"--timeout=30s"}, "write it like"},
		"BadMetering":    {petstore, []string{"--metering={"}, "--metering"},
		"NoVariable":     {petstore, []string{"--credential=Authorization=env:NO_SUCH_VARIABLE_HERE"}, "NO_SUCH_VARIABLE_HERE is not set"},
		"BadCredential":  {petstore, []string{"--credential=sesame"}, "--credential"},
		"NotADocument":   {"a: b", nil, "not an OpenAPI document"},
		"Swagger":        {`{"swagger":"2.0"}`, nil, "convert it"},
		"NotYAML":        {"a: [", nil, "neither JSON nor YAML"},
		"Empty":          {"", nil, "is empty"},
		"Endless":        {"a: &a [*a]", nil, ""},
		"Bomb":           {bomb(), nil, "larger than"},
		"Nobody":         {petstore, []string{"--server=http://127.0.0.1:1", "--token=x"}, "cannot be reached"},
		"BadServer":      {petstore, []string{"--server=:", "--token=x"}, "is not a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := published(t, c.document, c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "sesame") || out != "" {
				t.Errorf("%v, printed %q", err, out)
			}
		})
	}
}

// bomb is a small text whose aliases make a large document.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		name, of := string(rune('1'+i)), string(rune('0'+i))
		b.WriteString("a" + name + ": &a" + name + " [" + strings.TrimSuffix(strings.Repeat("*a"+of+", ", 10), ", ") + "]\n")
	}
	return b.String()
}

func TestPublishPutsADocumentOnSaleAndShowsHowToCallIt(t *testing.T) {
	t.Parallel()
	s := apptest.Start(t)
	login := []string{"--server", s.URL, "--email", apptest.AdminEmail, "--password", apptest.AdminPassword, "--name", "pets"}
	out, err := published(t, petstore, append(login, "--price", "post /pets=100", "--price", "*=50", "--metering", `{"POST /pets":{"by":"header","maximum":9},"listPets":{"by":"bytes_out","per":1000,"maximum":9}}`)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"/v1/pets/pets/{petId}", "$0.000100 a unit", "$0.000050 for 1000 bytes", "Pets.ListPets", "curl " + s.URL + `/v1/pets/pets -H "Authorization: Bearer $M3O_API_TOKEN"` + "\n"} {
		if !strings.Contains(out, part) {
			t.Errorf("it shows no %s: %s", part, out)
		}
	}
	if rows := strings.Fields(strings.Split(out, "\n")[1]); strings.Join(rows, " ") != "GET /v1/pets/pets/{petId} $0.000050 Pets.GetPetsPetId" {
		t.Errorf("the first row is %q", rows)
	}
	if _, err = published(t, petstore, append(login, "--price", "PUT /pets=1")...); err == nil || !strings.Contains(err.Error(), "api.pricing.PUT /pets") {
		t.Errorf("a wrong price: %v", err)
	}
	if _, err = published(t, petstore, "--server", s.URL, "--email", "eve@example.com", "--password", "wrong"); err == nil || !strings.Contains(err.Error(), "login failed: 401") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestACallIsACommandToPaste(t *testing.T) {
	t.Parallel()
	var c sampleCall
	text := `{"request":{"method":"PUT","url":{"raw":"{{baseUrl}}/v1/pets/pets/:id/x?a=%3Aid","variable":[{"key":"id","value":"a b"}]},"body":{"raw":"{\n \"name\": \"Rex's\"}"}}}`
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	m := &session{server: "http://localhost:8080"}
	want := `curl 'http://localhost:8080/v1/pets/pets/a%20b/x?a=%3Aid' -H "Authorization: Bearer $M3O_API_TOKEN" -X PUT -H "Content-Type: application/json" -d '{"name":"Rex'\''s"}'`
	if got := m.curl(c); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
