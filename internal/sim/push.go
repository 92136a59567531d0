package sim

import (
	"bytes"
	"container/heap"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	pushTimeout  = 5 * time.Second
	pushRetries  = 3
	pushRetryGap = 500 * time.Millisecond // what the platform waits is not documented
	maxPosts     = 16                     // at a time
	maxQueued    = 1_000_000
	maxPushReply = 4 << 10
)

// push is one event on its way to its receiver.
type push struct {
	due                   time.Time
	to                    *receiver
	kind, appID, openID   string
	item                  eventItem
	created               time.Time
	tries, repeats, order int64
}

// pushQueue is a heap: what is due first stands first, and of the same time what was put in first.
type pushQueue []*push

func (q pushQueue) Len() int      { return len(q) }
func (q pushQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q pushQueue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].order < q[j].order
}

// Push adds an element; heap calls it.
func (q *pushQueue) Push(x any) { *q = append(*q, x.(*push)) } //nolint:forcetypeassert // nothing else is put in

// Pop takes the last element; heap calls it.
func (q *pushQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}

// emit queues an event of an app, if the app has a receiver. after is the time of the event, counted from now. Sim.mu is
// held.
func (s *Sim) emit(a *app, kind, openID string, after time.Duration, item eventItem) {
	to := a.receiver
	if to == nil || len(s.pushes) >= maxQueued {
		return
	}
	after += time.Duration(to.DelayMS) * time.Millisecond
	s.enqueue(&push{
		due: time.Now().Add(after), to: to, kind: kind, appID: a.id, openID: openID, item: item,
		created: s.now().Add(after), repeats: int64(to.Repeat),
	})
}

// enqueue puts an event into the queue and wakes Push. Sim.mu is held.
func (s *Sim) enqueue(p *push) {
	s.pushOrder++
	p.order = s.pushOrder
	heap.Push(&s.pushes, p)
	select {
	case s.pushWake <- struct{}{}:
	default:
	}
}

// nextPush takes the first event that is due, or says how long to wait.
func (s *Sim) nextPush(now time.Time) (*push, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pushes) == 0 {
		return nil, time.Hour // emit wakes
	}
	if wait := s.pushes[0].due.Sub(now); wait > 0 {
		return nil, wait
	}
	p, _ := heap.Pop(&s.pushes).(*push)
	return p, 0
}

// Push posts the events of subscriptions to the callbacks of their apps until ctx ends: as long as the receiver does not answer
// 200 and "success" or nothing within 5 seconds, up to three times more. [Sim.Serve] runs it.
func (s *Sim) Push(ctx context.Context) {
	client := &http.Client{
		Timeout:       pushTimeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: maxPosts},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	var posts sync.WaitGroup
	defer posts.Wait()
	slots := make(chan struct{}, maxPosts)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p, wait := s.nextPush(time.Now())
		if p == nil {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-s.pushWake:
			case <-timer.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		posts.Go(func() {
			s.settle(p, p.post(ctx, client))
			<-slots
		})
	}
}

// post makes the request of an event and says whether it was taken.
func (p *push) post(ctx context.Context, client *http.Client) bool {
	message, err := p.to.encode(p.kind, p.appID, p.openID, p.created, p.item)
	if err != nil {
		return false
	}
	query, body, err := p.to.endpoint.Compose(message)
	if err != nil {
		return false
	}
	query.Set("openid", p.openID)
	joint := "?"
	if strings.Contains(p.to.URL, "?") {
		joint = "&"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.to.URL+joint+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "text/xml")
	if p.to.Format != "xml" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxPushReply))
	text := strings.TrimSpace(string(answer))
	return err == nil && resp.StatusCode == http.StatusOK && (text == "" || text == "success")
}

// settle counts an event that was taken, and queues what is to come again.
func (s *Sim) settle(p *push, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	again := *p
	again.due = time.Now()
	if taken {
		s.counts.events++
		if again.repeats--; again.repeats >= 0 {
			s.enqueue(&again)
		}
		return
	}
	again.due = again.due.Add(pushRetryGap)
	if again.tries++; again.tries > pushRetries {
		s.counts.eventsLost++
		return
	}
	s.enqueue(&again)
}
