package publicapi

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// merged are the credentials stored for an API with those that are given: an empty
// one removes, Masked keeps, any other replaces. What stays is sealed under the newest
// key where it can be opened.
func mergedCredentials(k *publicapiapi.Keyring, api string, stored map[string]publicapiapi.Sealed, given map[string]publicapiapi.Secret) (map[string]publicapiapi.Sealed, error) {
	next := map[string]publicapiapi.Sealed{}
	for header, s := range stored {
		next[header] = k.Renewed(api, header, s)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		header, field := http.CanonicalHeaderKey(name), "api.credentials."+name
		switch _, there := next[header]; {
		case given[name] == "":
			delete(next, header)
		case given[name] == publicapiapi.Masked && !there:
			return nil, fault.BadField(field, "is not stored, so it cannot be kept: write it out")
		case given[name] == publicapiapi.Masked:
		case !k.CanSeal():
			return nil, fault.BadField(field, "cannot be stored: this system has no secret to seal it under")
		default:
			next[header] = k.Seal(api, header, given[name])
		}
	}
	return next, nil
}

// kept are those of the stored credentials that a new whole takes over: the ones that
// it names.
func kept(stored map[string]publicapiapi.Sealed, given map[string]publicapiapi.Secret) map[string]publicapiapi.Sealed {
	found := map[string]publicapiapi.Sealed{}
	for name := range given {
		header := http.CanonicalHeaderKey(name)
		if s, ok := stored[header]; ok {
			found[header] = s
		}
	}
	return found
}

var (
	headerName  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
	headerValue = regexp.MustCompile(`^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$`)
)

// reserved are the headers that belong to the connection, or to m3o.
func reserved() []string {
	return []string{
		"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Te", "Trailer", "Expect",
		"Traceparent", "Tracestate",
	}
}

// checkCredentials holds credentials to what a header may be. What is wrong never
// quotes one.
func checkCredentials(api publicapiapi.API) error {
	const most, longest = 20, 8192
	if len(api.Credentials) > most {
		return fault.BadField("api.credentials", "must be at most %d", most)
	}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(api.Credentials)) {
		field, header, value := "api.credentials."+name, http.CanonicalHeaderKey(name), api.Credentials[name]
		switch {
		case !headerName.MatchString(name):
			return fault.BadField("api.credentials", "must name headers: one of the names is none")
		case slices.Contains(reserved(), header) || strings.HasPrefix(strings.ReplaceAll(header, "_", "-"), "M3o-"):
			return fault.BadField(field, "is a header that the gateway sets")
		case seen[header]:
			return fault.BadField(field, "names a header a second time")
		case value != "" && (len(value) > longest || !headerValue.MatchString(string(value))):
			return fault.BadField(field, "must be printable ASCII without spaces around it, at most %d characters", longest)
		}
		seen[header] = true
	}
	return nil
}

// sealedFor are the credentials to store with an API of that target.
func sealedFor(k *publicapiapi.Keyring, api publicapiapi.API, stored map[string]publicapiapi.Sealed) (map[string]publicapiapi.Sealed, error) {
	next, err := mergedCredentials(k, api.Name, stored, api.Credentials)
	if err == nil && len(next) > 0 && !isHTTP(api.Target) {
		return nil, fault.BadField("api.credentials", "are sent to http:// and https:// targets only: remove them with empty texts")
	}
	return next, err
}

// auditedNames tells the trail which credentials a change was about.
func auditedNames(given map[string]publicapiapi.Secret) string {
	return strings.Join(slices.Sorted(maps.Keys(given)), " ")
}

// unlock sees to it that the gateways can open the credentials of an entry. Calls of an
// API whose credentials cannot be opened are refused, since they would be made without.
func unlock(k *publicapiapi.Keyring, e *entry, stored map[string]publicapiapi.Sealed) error {
	e.masked, e.header = map[string]publicapiapi.Secret{}, map[string]publicapiapi.Sealed{}
	for header, sealed := range stored {
		e.masked[header], e.header[header] = publicapiapi.Masked, k.Renewed(e.api.Name, header, sealed)
	}
	if _, err := k.Open(e.api.Name, e.header); err != nil {
		e.broken, e.header = "its credentials cannot be opened: publish them again, or give this system the secret that they were sealed under", nil
		return err
	}
	return nil
}
