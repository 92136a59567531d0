package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
)

// testLookout is a lookout over a task that sends ten a second.
func testLookout() (*lookout, *atomic.Int64) {
	reads := new(atomic.Int64)
	return &lookout{
		read: func(context.Context, int64) (store.Progress, error) {
			n := int(reads.Add(1))
			return store.Progress{State: push.TaskSending, Counts: push.Counts{Total: 1000, Sent: n * 10, Pending: 1000 - n*10}}, nil
		},
		write: func(f figures, samples []sample) (map[string][]byte, error) {
			return map[string][]byte{chinese: event("figures", []byte("{}"))}, nil
		},
		log: slog.New(slog.DiscardHandler), zone: time.UTC, tasks: map[int64]*watch{}, ended: make(chan struct{}),
	}, reads
}

func TestLookout_ReadsOnceASecondForAllAndNotAtAllForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, reads := testLookout()
		var leaves []func()
		for range 200 {
			_, leave, ok := l.join(7)
			require.True(t, ok)
			leaves = append(leaves, leave)
		}
		time.Sleep(10*time.Second + time.Millisecond) // in the bubble no time passes
		synctest.Wait()
		require.EqualValues(t, 11, reads.Load(), "once at the beginning, and once a second")
		for _, leave := range leaves {
			leave()
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		require.EqualValues(t, 11, reads.Load(), "nobody watches")
		require.Empty(t, l.tasks)
		require.Zero(t, l.viewers)
	})
}

func TestLookout_OneWhoTakesNothingHoldsNobodyUp_AndGetsTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := testLookout()
		slow, leaveSlow, _ := l.join(7)
		quick, leaveQuick, _ := l.join(7)
		for range 5 {
			<-quick.updates
			time.Sleep(time.Second)
		}
		synctest.Wait()
		newest := <-quick.updates
		require.Same(t, newest, <-slow.updates)
		late, leaveLate, _ := l.join(7)
		require.NotNil(t, late.first, "one who comes late gets the chart so far")
		require.Same(t, newest, <-late.updates)
		leaveSlow()
		leaveQuick()
		leaveLate()
		synctest.Wait()
	})
}

func TestLookout_EndsWithTheDaemon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, reads := testLookout()
		_, leave, _ := l.join(7)
		synctest.Wait()
		l.end()
		l.end()
		time.Sleep(time.Minute)
		require.LessOrEqual(t, reads.Load(), int64(2))
		leave()
		synctest.Wait()
	})
}

func TestLookout_AFailedReadIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := testLookout()
		well := l.read
		failures := 0
		l.read = func(ctx context.Context, id int64) (store.Progress, error) {
			if failures++; failures < 3 {
				return store.Progress{}, errors.New("no database")
			}
			return well(ctx, id)
		}
		v, leave, _ := l.join(7)
		require.NotNil(t, <-v.updates)
		leave()
		synctest.Wait()
	})
}

func TestFigures_TellRateAndTimeLeft(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	f := newFigures(store.Progress{State: push.TaskSending, Counts: push.Counts{Total: 1000, Sent: 100, Pending: 900}})
	f.measured([]sample{{at: begin}})
	require.False(t, f.RateKnown, "one look tells no rate")
	f.measured([]sample{{at: begin}, {at: begin.Add(10 * time.Second), calls: 100, ended: 100}})
	require.InDelta(t, 10, f.Rate, 0.01)
	require.Equal(t, 90*time.Second, *f.Left)
	require.Equal(t, []int{0, 1, 30}, []int{f.Hours(), f.Minutes(), f.Seconds()})
	f = newFigures(store.Progress{State: push.TaskSending, Counts: push.Counts{Total: 10, Pending: 10}})
	f.measured([]sample{{at: begin}, {at: begin.Add(time.Second)}})
	require.Nil(t, f.Left, "nothing moves")
}

// stuck is the connection of one who takes nothing: the deadline of its writes passes.
type stuck struct{ http.ResponseWriter }

func (stuck) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestStream_OneWhoTakesNothingIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := testLookout()
		k := &Console{live: l}
		v, leave, _ := l.join(7)
		w := stuck{httptest.NewRecorder()}
		k.streamTo(t.Context(), &stream{w: w, conn: http.NewResponseController(w)}, v, chinese, "")
		leave()
		synctest.Wait()
		require.Empty(t, l.tasks, "the handler came back, and nobody watches")
	})
}

func TestLookout_AMovedTaskIsNews(t *testing.T) {
	t.Parallel()
	before, after := time.Now(), time.Now().Add(time.Hour)
	again := before
	p := store.Progress{State: push.TaskScheduled, StartAt: &before}
	for _, moved := range []store.Progress{{State: push.TaskScheduled, StartAt: &after}, {State: push.TaskScheduled}, {State: push.TaskScheduled, StartAt: &before, EndedAt: &after}} {
		require.False(t, same(p, moved))
	}
	require.True(t, same(p, store.Progress{State: push.TaskScheduled, StartAt: &again}))
}
