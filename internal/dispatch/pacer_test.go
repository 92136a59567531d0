package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/store"
)

// grant answers as the database would, whose clock is ahead of ours by skew: at most block slots, gap apart, from 50 ms on.
type grant struct {
	block       int
	gap, skew   time.Duration
	asked       atomic.Int64
	most        atomic.Int64
	next        time.Time
	takes       time.Duration
	usedUp, err bool
}

func (g *grant) take(_ context.Context, want, _ int) (store.Slots, error) {
	g.asked.Add(1)
	g.most.Store(max(g.most.Load(), int64(want)))
	if g.err {
		return store.Slots{}, errors.New("no database")
	}
	now := time.Now()
	if g.usedUp {
		return store.Slots{UsedUp: true, Now: now.Add(g.skew)}, nil
	}
	first := now.Add(50 * time.Millisecond)
	if g.next.After(first) {
		first = g.next
	}
	n := min(want, g.block)
	g.next = first.Add(time.Duration(n) * g.gap)
	time.Sleep(g.takes) // on its way back
	return store.Slots{First: first.Add(g.skew), N: n, Gap: g.gap, Now: now.Add(g.skew)}, nil
}

func paced(t *testing.T, g *grant) *pacer {
	t.Helper()
	p := newPacer(slog.New(slog.DiscardHandler), 500, g.take)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

func always() bool { return true }

// Invariant 9: calls start at their slots, apart by the gap, whatever the database's clock says of the time of day.
func TestPacer_CallsStartAtTheirSlots_WhateverTheDatabasesClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			g := &grant{block: 5, gap: 10 * time.Millisecond, skew: skew, takes: 2 * time.Millisecond}
			p := paced(t, g)
			begun := make(chan time.Time, 20)
			for range 20 {
				go func() {
					if p.wait(t.Context(), time.Time{}, always) {
						begun <- time.Now()
					}
				}()
			}
			var last time.Time
			for range 20 {
				at := <-begun
				if !last.IsZero() {
					require.GreaterOrEqual(t, at.Sub(last), 10*time.Millisecond)
				}
				last = at
			}
			require.LessOrEqual(t, g.most.Load(), int64(20), "no more is asked for than there are calls that wait")
		})
	}
}

func TestPacer_SlotMissedByMoreThanSlotLate_IsForfeitedAndNotUsedLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := paced(t, &grant{block: 5, gap: 10 * time.Millisecond})
		begun := time.Now()
		require.True(t, p.wait(t.Context(), begun.Add(-slotLate), always), "slotLate is within the limit's 2 %")
		require.Equal(t, begun, time.Now())
		require.True(t, p.wait(t.Context(), begun.Add(-slotLate-time.Nanosecond), always))
		require.GreaterOrEqual(t, time.Since(begun), 50*time.Millisecond, "it waited for a slot that comes")
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Equal(t, 0, p.waiting)
	})
}

func TestPacer_SlotsThatHavePassed_AreDroppedAndCountAsUnused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(slog.New(slog.DiscardHandler), 500, (&grant{}).take)
		now := time.Now()
		p.giveBack([]time.Time{now.Add(30 * time.Millisecond), now.Add(10 * time.Millisecond), now.Add(20 * time.Millisecond)})
		require.Equal(t, []time.Time{now.Add(10 * time.Millisecond)}, p.reserve(1, 1), "the earliest that a claim can reach")
		time.Sleep(25 * time.Millisecond)
		require.Empty(t, p.reserve(1, 1), "20 ms has passed, and 30 ms is too near for a claim")
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Equal(t, 1, p.unused, "for a budget that counts calls")
	})
}

func TestPacer_FewSlots_ComeTogetherUntilTheFirstIsSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(slog.New(slog.DiscardHandler), 500, (&grant{}).take)
		now := time.Now()
		p.giveBack([]time.Time{now.Add(35 * time.Millisecond), now.Add(45 * time.Millisecond)})
		require.Empty(t, p.reserve(3, 3), "a claim of two rows costs as much as one of three")
		time.Sleep(5 * time.Millisecond)
		require.Len(t, p.reserve(3, 3), 2, "the first is soon, and nobody may look again before it is too near")
		p.giveBack([]time.Time{now.Add(60 * time.Millisecond), now.Add(70 * time.Millisecond)})
		require.Len(t, p.reserve(2, 2), 2, "all that is asked for is there")
	})
}

// Of a rate that several daemons share, each has a part of the slots: as many calls in flight reach further ahead.
func TestPacer_OfManyDaemons_ClaimsFurtherAhead(t *testing.T) {
	t.Parallel()
	for daemons, far := range map[int]time.Duration{1: 50 * time.Millisecond, 3: slotFarMax} {
		p := newPacer(slog.New(slog.DiscardHandler), 500, nil)
		first, gap, block := time.Now(), 200*time.Microsecond, 250
		for range 50 {
			p.look(store.Slots{First: first, N: block, Gap: gap})
			first = first.Add(time.Duration(daemons*block) * gap)
		}
		require.InDelta(t, float64(far), float64(p.far), float64(time.Millisecond), "%d daemons", daemons)
		p.look(store.Slots{First: first.Add(-time.Hour), N: block, Gap: gap})
		require.GreaterOrEqual(t, p.far, slotFarMin, "the database's clock was set back")
	}
}

func TestPacer_CanaryThatCallsOneByOne_HasItsNextSlotsAtHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &grant{block: 50, gap: time.Millisecond, next: time.Now().Add(200 * time.Millisecond)}
		p := paced(t, g)
		begun := time.Now()
		for range 5 {
			var got []time.Time
			for got = p.reserve(1, 250); len(got) == 0; got = p.reserve(1, 250) {
				p.await(t.Context())
			}
			require.True(t, p.wait(t.Context(), got[0], always))
			time.Sleep(2 * time.Millisecond) // the call
		}
		require.Less(t, time.Since(begun), 300*time.Millisecond, "others hold the next 200 ms: it waits behind them once, not five times")
	})
}

func TestPacer_GateThatCloses_EndsTheWaitWithoutACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := paced(t, &grant{block: 1, gap: time.Second, next: time.Now().Add(5 * time.Second / 2)})
		var open atomic.Bool
		open.Store(true)
		done := make(chan bool)
		begun := time.Now()
		go func() { done <- p.wait(t.Context(), time.Time{}, open.Load) }()
		time.Sleep(time.Second)
		open.Store(false)
		require.False(t, <-done)
		require.LessOrEqual(t, time.Since(begun), 5*time.Second/2, "it looks again at its slot's time at the latest, before the call")
	})
}

func TestPacer_BudgetUsedUp_EndsTheWaitAndSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := paced(t, &grant{usedUp: true})
		require.False(t, p.wait(t.Context(), time.Time{}, always))
		require.True(t, p.exhausted())
	})
}

func TestPacer_NobodyWaits_NothingIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &grant{block: 5, gap: time.Millisecond}
		p := paced(t, g)
		p.reserve(5, 5)
		time.Sleep(time.Minute)
		require.Less(t, g.asked.Load(), int64(200), "what a run wanted is wanted for a moment only")
		before := g.asked.Load()
		time.Sleep(time.Hour)
		require.Equal(t, before, g.asked.Load())
	})
}

func TestPacer_DatabaseAway_AsksAgainWithoutHurry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &grant{err: true}
		p := paced(t, g)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.False(t, p.wait(ctx, time.Time{}, always))
		require.LessOrEqual(t, g.asked.Load(), int64(time.Second/slotPoll)+1)
	})
}
