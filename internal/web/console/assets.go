package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

// staticPrefix is where static files are served, each under "HASH-NAME": what is at a path never changes.
const staticPrefix = "/console/static/"

//go:embed static/*.css static/*.js static/*.svg static/vendor/*/*.css static/vendor/*/*.js
var staticFiles embed.FS

// assets serves the static files.
type assets struct {
	byName map[string]*asset // "console.css"
	byPath map[string]*asset // "1f2e3d4c-console.css"
}

// asset is one static file. It is compressed when it is first asked for.
type asset struct {
	path, mime string
	plain      []byte
	zipped     func() []byte
}

func newAssets() (*assets, error) {
	a := &assets{byName: map[string]*asset{}, byPath: map[string]*asset{}}
	err := fs.WalkDir(staticFiles, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := staticFiles.ReadFile(file)
		if err != nil {
			return err
		}
		name := path.Base(file)
		sum := sha256.Sum256(data)
		f := &asset{path: hex.EncodeToString(sum[:4]) + "-" + name, mime: mime.TypeByExtension(path.Ext(name)), plain: data}
		f.zipped = sync.OnceValue(func() []byte { return zip(data) })
		if a.byName[name] != nil {
			return fmt.Errorf("there are two files %q", name)
		}
		a.byName[name], a.byPath[f.path] = f, f
		return nil
	})
	return a, err
}

func zip(data []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is in range
	_, _ = z.Write(data)                                  // a buffer takes all
	_ = z.Close()
	return b.Bytes()
}

// url is the path of a static file.
func (a *assets) url(name string) (string, error) {
	f, ok := a.byName[name]
	if !ok {
		return "", fmt.Errorf("there is no static file %q", name)
	}
	return staticPrefix + f.path, nil
}

// ServeHTTP answers with a file, which may be kept for ever.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.byPath[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.mime)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.zipped()
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone
	}
}
