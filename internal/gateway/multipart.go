package gateway

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"unicode/utf8"

	"m3o/internal/fault"
)

// addMultipart adds the parts of a multipart/form-data body (RFC 7578): fields as the
// schema types them, files as base64 text, as in M3O. A part that is no text is taken
// for a file, whatever it says.
func (p *parameters) addMultipart(from io.Reader, contentType string) error {
	_, settings, err := mime.ParseMediaType(contentType)
	if err != nil || settings["boundary"] == "" {
		return fault.Wrap(fault.Invalid, err, "The Content-Type of the multipart body names no boundary").WithID("v1")
	}
	parts := multipart.NewReader(from, settings["boundary"])
	fields, files := url.Values{}, url.Values{}
	for number := 1; ; number++ {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) && errors.Unwrap(err) == nil { // wrapped, it came too early
			break
		}
		if err != nil {
			return badPart(err, "Part %d of the multipart body is not well formed", number)
		}
		name := part.FormName()
		if name == "" {
			return badPart(nil, "Part %d of the multipart body has no name", number)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return badPart(err, "The part %q of the multipart body ends too early", name)
		}
		if part.FileName() != "" || !utf8.Valid(content) {
			files.Add(name, base64.StdEncoding.EncodeToString(content))
		} else {
			fields.Add(name, string(content))
		}
	}
	p.addValues(fields)
	p.addBytes(files)
	return nil
}

// badPart is the fault of a body that is no multipart body; one that is over the limit
// is that.
func badPart(cause error, format string, args ...any) error {
	if f := (*fault.Error)(nil); errors.As(cause, &f) {
		return f
	}
	return fault.Wrap(fault.Invalid, cause, format, args...).WithID("v1")
}
