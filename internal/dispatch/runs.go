package dispatch

import (
	"sync"
	"time"

	"minipush/internal/store"
)

// runs are the chunks that this process runs now, and those that it has given up with rows in sending.
type runs struct {
	mu sync.Mutex
	// now counts the jobs at work on a chunk: a stale one may come and go while another runs it.
	now map[store.ChunkKey]int
	// owed are the slots of chunks whose run ended without knowing what it left in the tables.
	owed map[store.ChunkKey]debt
}

// debt is a number of slots, and since when they are owed.
type debt struct {
	slots int
	since time.Time
}

func newRuns() *runs { return &runs{now: map[store.ChunkKey]int{}, owed: map[store.ChunkKey]debt{}} }

func (r *runs) begin(k store.ChunkKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now[k]++
}

func (r *runs) end(k store.ChunkKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now[k]--; r.now[k] == 0 {
		delete(r.now, k)
	}
}

func (r *runs) has(k store.ChunkKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now[k] > 0
}

// owe keeps slots back for rows that may stand in sending under a run that is over, until the chunk is no longer in this
// process's name: else its rows in sending could be more than its slots (invariant 2).
func (r *runs) owe(k store.ChunkKey, n int) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owed[k] = debt{r.owed[k].slots + n, time.Now()}
}

// paid ends the debt of a chunk that was freed, and returns its slots.
func (r *runs) paid(k store.ChunkKey) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.owed[k].slots
	delete(r.owed, k)
	return n
}

// overdue are the chunks whose slots have been owed for longer than age.
func (r *runs) overdue(age time.Duration) (keys []store.ChunkKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, d := range r.owed {
		if time.Since(d.since) > age {
			keys = append(keys, k)
		}
	}
	return keys
}
