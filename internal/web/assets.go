package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

//go:embed assets/*
var assetFiles embed.FS

// assets serves the embedded files at /assets/{name}.
type assets map[string]asset

// asset is a file. One that is stored compressed (name.gz) is sent so to whoever
// takes it.
type asset struct {
	kind    string
	etag    string
	content []byte
	zipped  bool
}

func newAssets() (assets, error) {
	files, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, fmt.Errorf("list the assets: %w", err)
	}
	all := assets{}
	for _, file := range files {
		content, err := assetFiles.ReadFile("assets/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("read asset %s: %w", file.Name(), err)
		}
		name, zipped := strings.CutSuffix(file.Name(), ".gz")
		sum := sha256.Sum256(content)
		all[name] = asset{kind: kindOf(name), etag: hex.EncodeToString(sum[:8]), content: content, zipped: zipped}
	}
	return all, nil
}

func kindOf(name string) string {
	switch extension := path.Ext(name); extension {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".LICENSE":
		return "text/plain; charset=utf-8"
	default:
		return mime.TypeByExtension(extension)
	}
}

func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.only(chi.URLParam(r, "name")).ServeHTTP(w, r)
}

// only serves one asset.
func (a assets) only(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if file, ok := a[name]; ok {
			file.ServeHTTP(w, r)
			return
		}
		problem.Write(w, r, fault.New(fault.NotFound, "there is no asset %s", name).WithID("edge"))
	})
}

func (f asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("ETag", `"`+f.etag+`"`)
	if f.zipped {
		w.Header().Set("Vary", "Accept-Encoding")
		if !takesGzip(r.Header) {
			f.unzip(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("ETag", `"`+f.etag+`-gzip"`)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

// unzip sends a compressed file to a client that does not know gzip.
func (f asset) unzip(w http.ResponseWriter, r *http.Request) {
	unzipped, err := gzip.NewReader(bytes.NewReader(f.content))
	if err != nil {
		problem.Write(w, r, fmt.Errorf("unzip an asset: %w", err))
		return
	}
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, unzipped) // the only error is a client that has gone
	}
}
