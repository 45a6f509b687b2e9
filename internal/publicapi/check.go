package publicapi

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"unicode/utf8"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

var apiName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// keysPath is no API's name: /v1/api/keys/… is where keys are made.
const keysPath = "api"

// check holds an API that comes in to all rules and works it out. What is wrong
// is fault.Invalid and names the field.
func (s *Service) check(ctx context.Context, api publicapiapi.API) (*entry, error) {
	if !apiName.MatchString(api.Name) || api.Name == keysPath {
		return nil, fault.BadField("api.name", "must be lower-case letters, digits and dashes, begin with a letter, have at most 63 characters and not be %q", keysPath)
	}
	if err := checkTexts(api); err != nil {
		return nil, err
	}
	if err := checkCredentials(api); err != nil {
		return nil, err
	}
	e, err := s.build(api)
	if err != nil {
		return nil, err
	}
	if err := e.document.validate(ctx); err != nil {
		return nil, err
	}
	if err := s.checkNetwork(api.Target); err != nil {
		return nil, err
	}
	if err := e.checkChecks(); err != nil {
		return nil, err
	}
	return e, e.document.checkExamples(api.ExamplesJSON)
}

func checkTexts(api publicapiapi.API) error {
	const document = 4 << 20
	if len(api.OpenAPIJSON) > largestDocument {
		return fault.BadField("api.open_api_json", "must have at most %d bytes", largestDocument)
	}
	for _, text := range []struct {
		field, value string
		most         int
	}{
		{"api.display_name", api.DisplayName, 100},
		{"api.description", api.Description, 20000},
		{"api.category", api.Category, 50},
		{"api.icon", api.Icon, 500},
		{"api.owner_id", api.OwnerID, 100},
		{"api.target", api.Target, 2000},
		{"api.postman_json", api.PostmanJSON, document},
		{"api.examples_json", api.ExamplesJSON, document},
	} {
		if utf8.RuneCountInString(text.value) > text.most {
			return fault.BadField(text.field, "must have at most %d characters", text.most)
		}
	}
	var collection map[string]json.RawMessage
	if api.PostmanJSON != "" && json.Unmarshal([]byte(api.PostmanJSON), &collection) != nil {
		return fault.BadField("api.postman_json", "is not a JSON object")
	}
	return nil
}

// example is an example of a call in M3O's examples JSON, which has a list of
// them for each endpoint.
type example struct {
	Title   string          `json:"title"`
	Request json.RawMessage `json:"request"`
}

// checkExamples holds the examples to the document: each names an endpoint, and
// its request is one that the endpoint takes.
func (d *document) checkExamples(text string) error {
	if text == "" {
		return nil
	}
	var given map[string][]example
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		return fault.BadField("api.examples_json", "is not a JSON object with a list of examples for each endpoint")
	}
	for key, examples := range given {
		e, ok := d.find(key)
		if !ok {
			return fault.BadField("api.examples_json."+key, "names no endpoint of the document, which has %s", d.names())
		}
		for i, example := range examples {
			field := fmt.Sprintf("api.examples_json.%s[%d].request", key, i)
			if err := d.checkRequest(e, field, example.Request); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *document) checkRequest(e *endpoint, field string, request json.RawMessage) error {
	if len(request) == 0 {
		request = json.RawMessage(`{}`)
	}
	var value map[string]any
	if err := json.Unmarshal(request, &value); err != nil || value == nil {
		return fault.BadField(field, "must be a JSON object")
	}
	if e.request == nil {
		return nil
	}
	if err := d.openAPI.ValidateSchemaJSON(e.request, value); err != nil {
		return fault.BadField(field, "does not fit the document: %s", firstLine(err))
	}
	return nil
}
