package console

import (
	"context"
	"net/http"
	"time"

	"minipush/internal/web/auth"
)

const (
	// streamLife is how long one stream lasts: then the browser comes again, and is asked again who it is.
	streamLife = 10 * time.Minute
	// streamBeat is how often a stream that has nothing to say shows that it is there, so that no proxy takes it for dead.
	streamBeat = 15 * time.Second
	// streamStall is how long a viewer may take nothing before it is dropped.
	streamStall = 10 * time.Second
)

// EndStreams ends the open streams: the daemon stops, and waits for requests in flight.
func (k *Console) EndStreams() { k.live.end() }

// streamTask writes the progress of a task as server-sent events, until the page must be made anew, the viewer is gone or too slow, or
// the daemon stops:
//
//	figures  {"html": the figures in the viewer's language, "point": [milliseconds on the wall, messages a second]}
//	history  the points so far, before the first figures
//	reload   the task is in another phase than the page was made for
//	end      nothing of the task moves
func (k *Console) streamTask(w http.ResponseWriter, r *http.Request, c *call) error {
	v, leave, ok := k.live.join(c.task.ID)
	if !ok {
		return auth.ErrThrottled
	}
	defer leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // a proxy must not collect it
	s := &stream{w: w, conn: http.NewResponseController(w)}
	_ = s.conn.SetReadDeadline(time.Time{}) // the server would take its passing for the end of the request; a connection without deadlines is a test's
	k.streamTo(r.Context(), s, v, c.lang, c.value("phase"))
	return nil
}

func (k *Console) streamTo(ctx context.Context, s *stream, v *viewer, lang, made string) {
	life, beat := time.NewTimer(streamLife), time.NewTicker(streamBeat)
	defer life.Stop()
	defer beat.Stop()
	s.send([]byte("retry: 3000\n\n"))
	s.send(v.first)
	for s.err == nil {
		select {
		case <-ctx.Done():
			return
		case <-k.live.ended:
			return
		case <-life.C:
			return
		case <-beat.C:
			s.send([]byte(": \n\n"))
		case u := <-v.updates:
			switch {
			case made != "" && u.phase != made:
				s.send(event("reload", []byte("{}")))
				return
			case !u.live:
				s.send(event("end", []byte("{}")))
				return
			}
			s.send(u.messages[lang])
		}
	}
}

// stream writes events; after an error it writes nothing more.
type stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
	err  error
}

func (s *stream) send(message []byte) {
	if s.err != nil || len(message) == 0 {
		return
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(streamStall)) // as above
	if _, s.err = s.w.Write(message); s.err == nil {
		s.err = s.conn.Flush()
	}
}
