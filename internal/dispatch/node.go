package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"minipush/internal/store"
)

const (
	beatEvery = time.Second
	// beatTTL is how old the last committed beat may be for a call to start. It is below the 3 s after which another daemon may
	// take the chunks, should the lock have gone with its connection.
	beatTTL = 2500 * time.Millisecond
	// watchFor is how long this process must have beaten without a gap, on one connection, to call another one dead for want of
	// beats: whatever kept this one from the database, a restart, a failover or a suspended machine, kept the others too, and
	// each of those that live has beaten again within it.
	watchFor = 2500 * time.Millisecond
	// beatTimeout bounds one beat, with its connection.
	beatTimeout = 5 * time.Second
)

// node is this process as the other daemons see it: a row with a heartbeat, on a connection that also holds an advisory lock.
type node struct {
	id   int64
	name string
	url  string
	log  *slog.Logger
	conn *pgx.Conn
	// beaten is when the last beat that is known to be committed was asked for, in nanoseconds since start.
	beaten atomic.Int64
	// since is when the beats without a gap began, in nanoseconds since start.
	since atomic.Int64
	// lapsed is when the first beat was asked for after others could have taken this node's chunks, in nanoseconds since start.
	lapsed atomic.Int64
	start  time.Time
	// check is asked on each new connection, before the beat that lets calls start.
	check func(ctx context.Context) error
}

// startNode registers this process and beats once.
func startNode(ctx context.Context, st *store.Store, url, name string, log *slog.Logger, check func(ctx context.Context) error) (*node, error) {
	id, err := st.InsertNode(ctx, name)
	if err != nil {
		return nil, err
	}
	n := &node{id: id, name: name, url: url, log: log.With(slog.Any("node", id)), start: time.Now(), check: check}
	if err := n.beat(ctx); err != nil {
		return nil, fmt.Errorf("first beat: %w", err)
	}
	return n, nil
}

// fresh says whether the last committed beat is young enough for a call to start.
func (n *node) fresh() bool {
	return n != nil && time.Since(n.start)-time.Duration(n.beaten.Load()) < beatTTL
}

// age is how long this process has been a node: a moment to ask [node.held] about.
func (n *node) age() time.Duration { return time.Since(n.start) }

// held says that a lease that was taken at a moment cannot have been taken by others since: no beat was late. A process that was
// stopped and goes on beats again at once, and is fresh; what it held before is lost all the same.
func (n *node) held(since time.Duration) bool {
	return n.fresh() && time.Duration(n.lapsed.Load()) <= since
}

// watches says whether this process has seen the beats of the others for long enough to miss one.
func (n *node) watches() bool {
	return n.fresh() && time.Since(n.start)-time.Duration(n.since.Load()) >= watchFor
}

// run beats until ctx ends, and then lets the lock go.
func (n *node) run(ctx context.Context) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			n.hangUp(ctx)
			return
		case <-tick.C:
			if err := n.beat(ctx); err != nil && ctx.Err() == nil {
				n.log.WarnContext(ctx, "heartbeat missed", slog.Any("err", err))
			}
		}
	}
}

// beat writes one beat. If the connection broke, a new one is tried at once: a lost connection must not cost this process its
// chunks. What counts is when the beat was asked for: the database cannot have set a time before that.
func (n *node) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, beatTimeout, fmt.Errorf("heartbeat took over %s", beatTimeout))
	defer cancel()
	asked := time.Since(n.start)
	if n.conn != nil {
		err := store.BeatNode(ctx, n.conn, n.id, n.name)
		if err == nil {
			n.note(asked, time.Since(n.start), false)
			return nil
		}
		n.log.WarnContext(ctx, "heartbeat connection lost", slog.Any("err", err))
		n.hangUp(ctx)
		asked = time.Since(n.start)
	}
	if err := n.check(ctx); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, n.url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	n.conn = conn
	if err := store.HoldNode(ctx, conn, n.id, n.name); err != nil {
		n.hangUp(ctx)
		return err
	}
	n.note(asked, time.Since(n.start), true)
	return nil
}

// note remembers a beat that was asked for and, by now, committed. A new connection, or a gap since the beat before, ends what this process can say of others.
func (n *node) note(asked, now time.Duration, anew bool) {
	gap := now-time.Duration(n.beaten.Load()) > beatTTL
	if gap {
		n.lapsed.Store(int64(now))
	}
	if anew || gap {
		n.since.Store(int64(asked))
	}
	n.beaten.Store(int64(asked))
}

func (n *node) hangUp(ctx context.Context) {
	if n.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = n.conn.Close(ctx) // the connection is given up either way
	n.conn = nil
}
