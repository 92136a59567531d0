package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

// forgetful is a connection that loses the answer to a commit now and then: it took place, and nobody is told.
type forgetful struct {
	net.Conn
	commits *atomic.Int64
	lose    bool
}

// loseEvery is how many commits there are to one whose answer is lost.
const loseEvery = 5

func (c *forgetful) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("commit\x00")) && c.commits.Add(1)%loseEvery == 0 {
		c.lose = true
	}
	return c.Conn.Write(p)
}

func (c *forgetful) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.lose && err == nil { // the server has answered: it has committed
		return 0, errors.Join(errors.New("connection lost"), c.Conn.Close())
	}
	return n, err
}

// A claim whose commit took place though its answer was lost is found under its lease and put back: nobody becomes ambiguous for it,
// nobody is called twice, and the rows in sending are never more than the slots (invariant 2).
func TestClaim_CommitAnswerLost_IsReadBack(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *dispatch.Config) { c.ChunkSize, c.InFlight, c.Workers = 20, 10, 2 })
	users := b.users(200, 3)
	task := b.draft(users)
	b.send(task.ID)
	cfg := b.st.Pool().Config().Copy()
	var commits atomic.Int64
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &forgetful{Conn: conn, commits: &commits}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	conf := b.conf
	conf.DirectURL = b.st.Pool().Config().ConnString()
	d, err := dispatch.New(conf, store.New(pool), slog.New(slog.NewTextHandler(logWriter{t}, nil)))
	require.NoError(t, err)
	b.work(d)
	most := 0
	b.watch(task.ID, func() { most = max(most, b.count(`SELECT count(*) FROM recipient WHERE state = 1`)) })
	require.LessOrEqual(t, most, 10)
	require.Greater(t, commits.Load(), int64(4*loseEvery), "some were lost")
	require.Equal(t, push.Counts{Total: 200, Sent: 200}, b.audit(task.ID).Counts)
	b.once(users)
	require.Equal(t, int64(200), b.sim.Stats().Calls)
	require.Zero(t, b.count(`SELECT count(*) FROM recipient WHERE attempt <> 1 OR inferred`))
}

// beats is the heartbeat connection of a node, by its advisory lock.
const beats = `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::bigint::oid AND objid = $2::bigint::oid
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

const lockNode = 0x6d70_0002

// A cut connection is not a dead process: a daemon whose heartbeat connection is cut again and again beats on, is never old enough to
// be called dead, and keeps its chunks.
func TestNode_ConnectionCut_IsNotADeadProcess(t *testing.T) {
	t.Parallel()
	b := setup(t, slow)
	watcher := b.dispatcher()
	b.work(watcher) // who would call it dead
	task := b.midway(600, 20)
	oldest, cuts := 0, 0
	var last time.Time
	b.watch(task.ID, func() {
		if time.Since(last) > 1500*time.Millisecond { // not each new one before it has beaten
			last = time.Now()
			cuts += b.count(`SELECT count(pg_terminate_backend(pid)) FROM (`+beats+`) l`, int64(lockNode), b.d.NodeID())
		}
		oldest = max(oldest, b.count(`SELECT (1000 * extract(epoch FROM clock_timestamp() - beat_at))::int FROM node WHERE id = $1`, b.d.NodeID()))
	})
	require.Greater(t, cuts, 1)
	require.Less(t, oldest, 3000)
	require.Zero(t, b.count(`SELECT count(*) FROM recipient WHERE inferred OR attempt > 1`), "nothing was taken from it")
	require.Equal(t, int64(600), b.sim.Stats().Calls)
	b.audit(task.ID)
}

// Only who has watched for longer than a beat may miss one. A daemon that has just come up, or back, does not call another dead that
// could not beat either: it waits, and then does.
func TestFreeDead_OnlyByWhoHasWatched(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	users := b.users(60, 3)
	task := b.draft(users)
	other, err := b.st.InsertNode(t.Context(), "other")
	require.NoError(t, err)
	claimed := b.lease(task.ID, other, 10)
	b.exec(`UPDATE node SET beat_at = now() - interval '1 hour' WHERE id = $1`, other)
	begun := time.Now()
	b.work(b.d)
	var freed time.Duration
	b.eventually("taken over", func() bool {
		freed = time.Since(begun)
		return b.count(`SELECT count(*) FROM chunk WHERE node_id = $1`, other) == 0
	})
	require.Greater(t, freed, 2*time.Second, "the other one may only have been cut off as well")
	b.takenOver(task.ID, claimed, 0, users)
}
