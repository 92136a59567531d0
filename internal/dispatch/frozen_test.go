package dispatch_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store/storetest"
)

// A daemon that is frozen, or whose machine has lost its power, holds its locks until the server hears of it. Wherever that catches
// it, another one goes on within seconds: no sweep, no plan and no start waits for the locks of the dead (invariant 11).
func TestFrozen_WhateverItHolds_AnotherDaemonGoesOn(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][]string{
		"the sweepers' lock":          {"pg_try_advisory_xact_lock", "hashtext"},
		"the planner's lock":          {"pg_try_advisory_xact_lock", "hashint8"},
		"the task's row, in the plan": {"FOR NO KEY UPDATE OF t"},
		"the chunks' rows, queued":    {"SET state = 'queued', generation"},
		"the chunk's row, in a claim": {"pg_advisory_xact_lock_shared"},
		"the chunk's row, at the end": {"THEN 'done' ELSE 'idle' END"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, wire := onWire(t, nil)
			users := b.users(130, 3)
			task := b.draft(users)
			b.work(b.d)
			var once sync.Once
			frozen := make(chan struct{})
			wire.Lose(func(e storetest.Exchange) bool {
				if !e.Committed && e.Has(parts...) {
					once.Do(func() { wire.Freeze(); close(frozen) })
				}
				return false
			})
			t.Cleanup(wire.Thaw)                                             // so that it can stop
			_, err := b.dispatcher().Send(t.Context(), "test", task.ID, nil) // not by the one that may be frozen already
			require.NoError(t, err)
			select {
			case <-frozen:
			case <-time.After(20 * time.Second):
				t.Fatal("it never held that")
			}
			begun := time.Now()
			b.work(b.dispatcher())
			b.wait(task.ID, push.TaskDone)
			t.Logf("done %s after", time.Since(begun).Round(time.Millisecond))
			require.Less(t, time.Since(begun), 25*time.Second)
			wire.Lose(nil)
			wire.Thaw() // the stale run wakes, and changes nothing (invariant 6)
			b.eventually("it beats again", func() bool {
				return b.count(`SELECT count(*) FROM node WHERE clock_timestamp() - beat_at < interval '1 s'`) == 2
			})
			require.Equal(t, push.Counts{Total: 130, Sent: 130}, b.audit(task.ID).Counts)
			b.once(users)
		})
	}
}
