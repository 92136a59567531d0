package main

import (
	"context"
	"fmt"
	"time"

	"minipush/internal/store"
)

// workers is what the heartbeats say of the daemons that have not stopped. A daemon beats every second; after 3 s without a beat its
// chunks go to others, so it does not count as running.
type workers struct {
	live, stale int
	// age is that of the youngest beat; 0 where there is no daemon.
	age time.Duration
}

func findWorkers(ctx context.Context, st *store.Store) (workers, error) {
	var w workers
	var seconds float64
	err := st.Pool().QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE age <= 3), count(*) FILTER (WHERE age > 3), coalesce(min(age), 0)::float8
		  FROM (SELECT extract(epoch FROM clock_timestamp() - beat_at) AS age FROM node WHERE stopped_at IS NULL) n`,
	).Scan(&w.live, &w.stale, &seconds)
	if err != nil {
		return workers{}, fmt.Errorf("count workers: %w", err)
	}
	w.age = time.Duration(seconds * float64(time.Second))
	return w, nil
}

func (w workers) text() string {
	beat := fmt.Sprintf("last heartbeat %s ago", w.age.Round(100*time.Millisecond))
	switch {
	case w.live > 0 && w.stale > 0:
		return fmt.Sprintf("%d running, %s; %d not heard of for over 3s", w.live, beat, w.stale)
	case w.live > 0:
		return fmt.Sprintf("%d running, %s", w.live, beat)
	case w.stale > 0:
		return fmt.Sprintf("0 running, %s: nothing is sent; start one: minipush serve", beat)
	}
	return "0 running: nothing is sent; start one: minipush serve"
}
