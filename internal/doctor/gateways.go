package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// gateways looks at each gateway from outside, and whether they are of one version.
func (e *examination) gateways(ctx context.Context) {
	versions := map[string][]string{}
	for _, address := range e.Gateways {
		if version := e.gateway(ctx, strings.TrimSuffix(address, "/")); version != "" {
			versions[version] = append(versions[version], address)
		}
	}
	if len(versions) > 1 {
		var said []string
		for _, version := range slices.Sorted(maps.Keys(versions)) {
			said = append(said, fmt.Sprintf("%s at %s", version, strings.Join(versions[version], ", ")))
		}
		e.warn("gateways", "that is right while they are replaced one after the other: bring the rest up to date", "they are of %d versions: %s", len(versions), strings.Join(said, "; "))
	}
	for version := range versions {
		if len(versions) == 1 && version != e.Version {
			e.warn("gateways", "examine a deployment by its own version, which knows its schema", "they are m3o %s, and this is %s", version, e.Version)
		}
	}
}

// gateway looks at one, and says which version it is.
func (e *examination) gateway(ctx context.Context, address string) (version string) {
	part := "gateway " + withoutPasswords(address)
	asked := e.Now()
	said, err := e.ask(ctx, address+"/readyz")
	if err != nil {
		e.fail(part, "look whether it runs, and whether this machine reaches it", "it does not answer: %s", oneLine(err))
		return ""
	}
	answered := e.Now()
	var ready struct{ Components map[string]string }
	if err := json.Unmarshal(said.body, &ready); err != nil || len(ready.Components) == 0 {
		e.fail(part, "name the address of a gateway, not of something else", "%s, which is not how m3o answers", said.status)
		return ""
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(ready.Components)) {
		if state := ready.Components[name]; state != "ready" {
			missing = append(missing, name+" "+state)
		}
	}
	if len(missing) > 0 {
		e.fail(part, "its log says why; it takes no calls until then", "it is not ready: %s", strings.Join(missing, ", "))
	} else {
		e.ok(part, "ready")
	}
	if theirs, err := http.ParseTime(said.date); err == nil {
		e.clock(part, theirs.Add(dateGrain/2), asked, answered, dateGrain/2)
	}
	return e.version(ctx, part, address)
}

// dateGrain is how exact the header Date is.
const dateGrain = time.Second

// version is what a gateway says in its document.
func (e *examination) version(ctx context.Context, part, address string) string {
	var document struct {
		Info struct{ Version string }
	}
	if err := e.get(ctx, address+"/openapi.json", &document); err != nil {
		e.warn(part, "", "its version cannot be read: %s", oneLine(err))
		return ""
	}
	e.ok(part, "m3o %s", document.Info.Version)
	return document.Info.Version
}

// answer is what somebody said over HTTP.
type answer struct {
	status, date string
	body         []byte
}

// ask reads an answer, whatever its status.
func (e *examination) ask(ctx context.Context, address string) (said answer, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return said, err
	}
	resp, err := e.http.Do(r)
	if err != nil {
		return said, err
	}
	defer func() { _ = resp.Body.Close() }()
	said.status, said.date = resp.Status, resp.Header.Get("Date")
	said.body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return said, err
}
