package dispatch

import (
	"sync"
	"time"
)

// meterSpan is how many seconds a meter looks back.
const meterSpan = 5

// meter counts the calls of an app on this process over the last seconds.
type meter struct {
	mu     sync.Mutex
	start  time.Time
	second int64
	counts [meterSpan + 1]int
}

func newMeter() *meter { return &meter{start: time.Now()} }

func (m *meter) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	m.counts[m.second%(meterSpan+1)] += n
}

// perSecond is the mean of the last seconds, without the one that runs; at first what there is.
func (m *meter) perSecond() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	sum := 0
	for _, n := range m.counts {
		sum += n
	}
	if m.second == 0 {
		return float64(sum)
	}
	sum -= m.counts[m.second%(meterSpan+1)]
	return float64(sum) / float64(min(m.second, meterSpan))
}

// turn empties the seconds that have passed since the last use. m.mu is held.
func (m *meter) turn() {
	now := int64(time.Since(m.start) / time.Second)
	for s := m.second + 1; s <= now && s <= m.second+meterSpan+1; s++ {
		m.counts[s%(meterSpan+1)] = 0
	}
	m.second = now
}
