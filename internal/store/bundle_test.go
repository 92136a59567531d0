package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

// bundle is a database with an app and a template.
type bundle struct {
	t   *testing.T
	st  *store.Store
	app push.App
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, st: store.New(storetest.Pool(t))}
	var err error
	b.app, err = b.st.InsertApp(t.Context(), push.App{Key: "health", AppID: "wx1", BaseURL: "http://127.0.0.1"}, func(int32) []byte { return []byte("sealed") })
	require.NoError(t, err)
	_, err = b.st.UpsertTemplate(t.Context(), b.app.ID, push.Template{TemplateID: "T", Channel: push.ChannelFormID, Name: "n", Page: "p",
		Fields: []push.Field{{Key: "keyword1", Value: "{{topic}}"}}})
	require.NoError(t, err)
	return b
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	_, err := b.st.Pool().Exec(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
}

func (b *bundle) count(sql string, args ...any) int {
	b.t.Helper()
	var n int
	require.NoError(b.t, b.st.Pool().QueryRow(b.t.Context(), sql, args...).Scan(&n))
	return n
}

// users reports users with an openid each ("" for none) and permits formIds, which expire after 1, 2 … days.
func (b *bundle) users(permits int, pairs ...string) {
	b.t.Helper()
	var users, openIDs []string
	var forms []store.FormID
	for i := 0; i < len(pairs); i += 2 {
		users, openIDs = append(users, pairs[i]), append(openIDs, pairs[i+1])
		for k := range permits {
			forms = append(forms, store.FormID{UserID: pairs[i], FormID: fmt.Sprintf("%s-%d", pairs[i], k), Source: 1, SubmittedAt: time.Now(),
				ExpiresAt: time.Now().Add(time.Duration(k+1) * 24 * time.Hour)})
		}
	}
	require.NoError(b.t, b.st.UpsertUsers(b.t.Context(), b.app.ID, users, openIDs))
	_, err := b.st.InsertFormIDs(b.t.Context(), b.app.ID, time.Now(), forms)
	require.NoError(b.t, err)
}

// task makes a draft with a list of users.
func (b *bundle) task(users ...string) int64 {
	b.t.Helper()
	spec := push.TaskSpec{App: "health", TemplateID: "T", Topic: "t"}
	spec.Normalize()
	id, err := b.st.InsertTask(b.t.Context(), b.app.ID, spec, nil, "test")
	require.NoError(b.t, err)
	a, err := b.st.BeginAudience(b.t.Context(), id, "list.csv", nil, "test")
	require.NoError(b.t, err)
	batch := make([]store.NewRecipient, len(users))
	for i, u := range users {
		batch[i].UserID = u
	}
	a.Accepted, err = b.st.AddRecipients(b.t.Context(), a.ID, 0, 0, batch)
	require.NoError(b.t, err)
	a.Total, a.Duplicate = len(users), len(users)-a.Accepted
	flipped, err := b.st.FlipAudience(b.t.Context(), a)
	require.NoError(b.t, err)
	require.True(b.t, flipped)
	return id
}

// sending makes a task that is sending, in chunks of size.
func (b *bundle) sending(size int, users ...string) int64 {
	b.t.Helper()
	id := b.task(users...)
	require.NoError(b.t, b.st.InTx(b.t.Context(), func(ctx context.Context) error {
		template, err := b.st.Template(ctx, b.app.ID, "T")
		require.NoError(b.t, err)
		require.NoError(b.t, b.st.FreezeTask(ctx, id, template, "test"))
		moved, err := b.st.SubmitTask(ctx, id, []push.TaskState{push.TaskDraft}, nil)
		require.NoError(b.t, err)
		require.True(b.t, moved)
		p, err := b.st.LockPlan(ctx, id)
		require.NoError(b.t, err)
		return b.st.PlanChunks(ctx, id, p.AudienceID, p.Recipients, size)
	}))
	return id
}

// run queues the task's chunks and takes chunk no in the name of a new node.
func (b *bundle) run(task int64, no int32) store.Run {
	b.t.Helper()
	_, err := b.st.QueueChunks(b.t.Context(), task, 100, 100)
	require.NoError(b.t, err)
	node, err := b.st.InsertNode(b.t.Context(), "test")
	require.NoError(b.t, err)
	generation := b.count(`SELECT generation FROM chunk WHERE task_id = $1 AND no = $2`, task, no)
	run, ok, err := b.st.TakeLease(b.t.Context(), task, no, int32(generation), node)
	require.NoError(b.t, err)
	require.True(b.t, ok)
	return run
}

func (b *bundle) claim(run store.Run, lo, hi int32) store.Claim {
	b.t.Helper()
	c, err := b.st.Claim(b.t.Context(), run, lo, hi, time.Minute)
	require.NoError(b.t, err)
	return c
}

// sent is the outcome of a message that arrived.
func sent(c store.Claimed) store.Outcome {
	return store.Outcome{Seq: c.Seq, PermitID: c.PermitID, State: push.Sent, Permit: store.PermitSpent, AnsweredAt: time.Now()}
}

func (b *bundle) record(run store.Run, outcomes ...store.Outcome) {
	b.t.Helper()
	_, err := b.st.RecordOutcomes(b.t.Context(), run, outcomes)
	require.NoError(b.t, err)
}

// tables are all rows of the tables that a run writes.
func (b *bundle) tables() map[string]string {
	b.t.Helper()
	got := map[string]string{}
	for _, table := range []string{"task", "chunk", "recipient", "form_id", "app_user", "openid_move"} {
		var text string
		require.NoError(b.t, b.st.Pool().QueryRow(b.t.Context(),
			`SELECT coalesce(string_agg(to_jsonb(x)::text, E'\n' ORDER BY to_jsonb(x)::text), '') FROM `+table+` x`).Scan(&text))
		got[table] = text
	}
	return got
}

func (b *bundle) strings(sql string, args ...any) []string {
	b.t.Helper()
	rows, _ := b.st.Pool().Query(b.t.Context(), sql, args...)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	return list
}

// blocked polls until some session waits for a lock.
func (b *bundle) blocked() {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		return b.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	}, 10*time.Second, 2*time.Millisecond, "nobody waits for a lock")
}
