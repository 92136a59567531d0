package patient

import (
	"io"
	"net/http"
	"time"
)

// maxPart is how much is written under one deadline: a slow reader gets as long for the end of a large file, which may be ready at once, as for
// its beginning.
const maxPart = 64 << 10

// Writer writes a download. Each part has its own time, however large the whole is.
type Writer struct {
	w     http.ResponseWriter
	conn  *http.ResponseController
	stall time.Duration
	begin func()
	begun bool
}

// NewWriter writes to w; a part may stand still for stall. begin is called before the first part, to set the headers.
func NewWriter(w http.ResponseWriter, stall time.Duration, begin func()) *Writer {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Time{}) // a connection without deadlines is a test's
	return &Writer{w: w, conn: conn, stall: stall, begin: begin}
}

// Begun says whether anything was written: from then on only a broken connection tells the client that the file is not whole.
func (d *Writer) Begun() bool { return d.begun }

// Write implements io.Writer.
func (d *Writer) Write(p []byte) (n int, err error) {
	if !d.begun {
		d.begun = true
		d.begin()
	}
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), maxPart)]
		_ = d.conn.SetWriteDeadline(time.Now().Add(d.stall))
		var written int
		written, err = d.w.Write(part)
		n += written
		p = p[written:]
	}
	return n, err //nolint:wrapcheck // as the connection says it
}

// Done gives the end of the answer, which the server sends, its own time.
func (d *Writer) Done() { _ = d.conn.SetWriteDeadline(time.Now().Add(d.stall)) }

// Download answers with a file that write writes. An error before its first byte is returned, for the caller to answer; one after it is given to
// broken, which breaks the connection off: only that tells the client that the file is not whole.
func Download(w http.ResponseWriter, stall time.Duration, contentType, name string, write func(io.Writer) error, broken func(error)) error {
	out := NewWriter(w, stall, func() {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
		h.Set("Cache-Control", "no-store")
	})
	err := write(out)
	if err != nil && out.Begun() {
		broken(err)
	}
	out.Done()
	return err
}
