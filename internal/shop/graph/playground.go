package graph

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"m3o/internal/fault"
)

//go:embed playground.html
var pageText string

//go:embed assets/*.gz assets/*.js assets/*.css assets/*.txt
var assetFiles embed.FS

// examples are the operations that the page has as tabs, in the order of their files.
//
//go:embed examples/*.graphql
var exampleFiles embed.FS

// policy is what the page may load: from us only. GraphiQL sets styles inline and keeps its pictures in its styles.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// playground is a page on which the API is tried out, with everything that it loads.
type playground struct {
	page   []byte
	assets map[string]asset
}

// asset is a file of the playground. Those of others are stored compressed.
type asset struct {
	kind    string
	etag    string
	content []byte
	zipped  bool
}

func newPlayground() (playground, error) {
	page, err := newPage()
	if err != nil {
		return playground{}, fmt.Errorf("make the playground: %w", err)
	}
	assets, err := readAssets()
	if err != nil {
		return playground{}, fmt.Errorf("make the playground: %w", err)
	}
	return playground{page, assets}, nil
}

// newPage is the page with the examples in it.
func newPage() ([]byte, error) {
	var queries []string
	err := eachFile(exampleFiles, "examples", func(name string, content []byte) {
		queries = append(queries, titled(string(content), strings.TrimSuffix(name[3:], ".graphql")))
	})
	if err != nil {
		return nil, err
	}
	t, err := template.New("playground").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var page bytes.Buffer
	err = t.Execute(&page, queries)
	return page.Bytes(), err
}

// titled gives an operation a name, which is its tab's title.
func titled(query, name string) string {
	for _, kind := range []string{kindQuery, kindMutation, kindSubscription} {
		query = strings.Replace(query, kind+" {", kind+" "+name+" {", 1)
	}
	return query
}

func readAssets() (map[string]asset, error) {
	all := map[string]asset{}
	err := eachFile(assetFiles, "assets", func(name string, content []byte) {
		name, zipped := strings.CutSuffix(name, ".gz")
		sum := sha256.Sum256(content)
		all[name] = asset{kind: mime.TypeByExtension(path.Ext(name)), etag: hex.EncodeToString(sum[:8]), content: content, zipped: zipped}
	})
	return all, err
}

// eachFile visits the files of an embedded folder in the order of their names.
func eachFile(files embed.FS, folder string, visit func(name string, content []byte)) error {
	return fs.WalkDir(files, folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(file)
		if err == nil {
			visit(path.Base(file), content)
		}
		return err
	})
}

// Playground shows the page.
func (s *Service) Playground(w http.ResponseWriter, r *http.Request) (err error) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	secure(w.Header())
	_, _ = w.Write(s.playground.page) // the only error is a client that has gone
	return nil
}

// Asset serves a file of the playground.
func (s *Service) Asset(w http.ResponseWriter, r *http.Request) (err error) {
	file, ok := s.playground.assets[r.PathValue("name")]
	if !ok {
		return fault.New(fault.NotFound, "the playground has no file %s", r.PathValue("name"))
	}
	return file.serve(w, r)
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

func (f asset) serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	secure(h)
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("ETag", `"`+f.etag+`"`)
	content := f.content
	if f.zipped {
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			h.Set("ETag", `"`+f.etag+`-gzip"`)
		} else {
			var err error
			if content, err = unzip(content); err != nil {
				return err
			}
		}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	return nil
}

func unzip(content []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("unzip a file of the playground: %w", err)
	}
	return io.ReadAll(r)
}
