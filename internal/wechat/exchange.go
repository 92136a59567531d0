package wechat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	maxReplyBytes  = 64 << 10
	startBodyBytes = 1 << 10
	startReply     = 512
)

var (
	errReplyTooLarge = errors.New("answer is too long")
	errStatus        = errors.New("unexpected status")
	errTimeout       = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
)

// exchange is one request and its answer, with buffers that are used again. It is shared with the transport, which may
// still be reading a request body when the call has returned (after a timeout, say): references are counted, and the
// last to leave gives it back to the pool.
type exchange struct {
	request []byte // the JSON to send; not changed once the call has begun
	reply   []byte
	// maxReply is how long the answer may be, in bytes: maxReplyBytes unless the caller says more.
	maxReply int

	started atomic.Bool  // the transport has begun to read the request body
	refs    atomic.Int32 // the call, and each body not yet closed
	first   requestBody
	rewind  func() (io.ReadCloser, error)
	release func(*exchange) // gives it back to the pool of its client
}

func newExchange(release func(*exchange)) *exchange {
	x := &exchange{
		request: make([]byte, 0, startBodyBytes),
		reply:   make([]byte, 0, startReply),
		release: release,
	}
	x.rewind = x.rewound
	return x
}

// rewound is GetBody: the transport found a connection dead before it took a byte, and starts over on another.
func (x *exchange) rewound() (io.ReadCloser, error) {
	x.started.Store(false)
	x.refs.Add(1)
	return &requestBody{x: x}, nil
}

// leave gives up one reference.
func (x *exchange) leave() {
	if x.refs.Add(-1) == 0 {
		x.release(x)
	}
}

// requestBody reads the request of its exchange and notes that it was asked to.
type requestBody struct {
	x      *exchange
	off    int
	closed atomic.Bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.x.started.Store(true)
	if b.off >= len(b.x.request) {
		return 0, io.EOF
	}
	n := copy(p, b.x.request[b.off:])
	b.off += n
	return n, nil
}

func (b *requestBody) Close() error {
	if b.closed.CompareAndSwap(false, true) {
		b.x.leave()
	}
	return nil
}

// begin takes an exchange for one call. The caller fills request, calls roundTrip, reads reply and calls leave, in
// that order, each once.
func (c *Client) begin() *exchange {
	x, ok := c.exchanges.Get().(*exchange)
	if !ok {
		x = newExchange(c.recycle)
	}
	x.request, x.reply, x.maxReply = x.request[:0], x.reply[:0], maxReplyBytes
	x.started.Store(false)
	x.refs.Store(1)
	return x
}

func (c *Client) recycle(x *exchange) {
	if cap(x.request) > maxReplyBytes || cap(x.reply) > maxReplyBytes {
		return // a rare giant must not stay in the pool
	}
	c.exchanges.Put(x)
}

// roundTrip sends x.request, which a GET has none of, and fills x.reply. nil means status 200 and a whole body within the
// limit. It goes to the transport directly: a client would follow redirects, and copy the request to do so.
func (c *Client) roundTrip(ctx context.Context, prepared *http.Request, x *exchange) (time.Duration, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()

	req := prepared.WithContext(ctx)
	if req.Method != http.MethodGet {
		x.first.x, x.first.off = x, 0
		x.first.closed.Store(false)
		x.refs.Add(1)
		req.Body, req.GetBody, req.ContentLength = &x.first, x.rewind, int64(len(x.request))
	}

	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return time.Since(begun), err
	}
	x.reply, err = readReply(resp.Body, x.reply, x.maxReply)
	closeErr := resp.Body.Close()
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("%w %d", errStatus, resp.StatusCode)
	case closeErr != nil:
		err = closeErr
	}
	return time.Since(begun), err
}

// readReply appends the whole body to dst and returns it, or an error once the body passes limit bytes. Reading to the
// end is what lets the connection be used again.
func readReply(body io.Reader, dst []byte, limit int) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := body.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst, errReplyTooLarge
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, fmt.Errorf("read answer: %w", err)
		}
	}
}
