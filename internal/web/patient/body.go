// Package patient lets uploads and downloads of any length through, and none that stands still.
package patient

import (
	"io"
	"net/http"
	"time"
)

// Body gives each read of a body its own time.
type Body struct {
	body io.Reader
	conn *http.ResponseController
	// stall is how long a read may stand still, answer how long the answer may take once all is read.
	stall, answer time.Duration
}

// NewBody reads the body of r, which may have at most limit bytes; one that says that it has more is refused at once, with an
// *http.MaxBytesError. A read may stand still for stall, and the answer may take as long as answer after the last one.
func NewBody(w http.ResponseWriter, r *http.Request, limit int64, stall, answer time.Duration) (*Body, error) {
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	return &Body{body: http.MaxBytesReader(w, r.Body, limit), conn: http.NewResponseController(w), stall: stall, answer: answer}, nil
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	_ = b.conn.SetReadDeadline(time.Now().Add(b.stall)) // a connection without deadlines is a test's
	_ = b.conn.SetWriteDeadline(time.Now().Add(2 * b.stall))
	n, err := b.body.Read(p)
	if err != nil {
		b.Done()
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// Done takes the bound of the reads away: the rows may be worked on after the last byte has come. The answer has its own.
func (b *Body) Done() {
	_ = b.conn.SetReadDeadline(time.Time{})
	_ = b.conn.SetWriteDeadline(time.Now().Add(b.answer))
}
