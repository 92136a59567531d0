package console_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// From a task to its jobs: the pages of the queue show those of this task, and no others.
func TestBrowserJobs_ATaskLeadsToItsJobs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stocked(t)
	b.reachable(t, 1)
	at := time.Now().Add(time.Hour)
	first, second := b.draft(t, "会员日", 1).ID, b.draft(t, "别的", 1).ID
	for _, id := range []int64{first, second} {
		_, err := b.d.Send(t.Context(), "approver", id, &at)
		require.NoError(t, err)
	}
	link := fmt.Sprintf(`a[href="/ops/jobs/jobs/?state=scheduled&tags=task_%d"]`, first)
	require.NotContains(t, b.as(t, "approver").get(t, fmt.Sprintf("/console/tasks/%d", first)).body, "/ops/jobs/jobs", "the jobs are for operators")
	p := b.tab(t)
	p.login(t, "operator")
	p.inspect(t, fmt.Sprintf("/console/tasks/%d", first), "task-jobs-link")
	p.run(t, chromedp.Click(link), chromedp.WaitVisible(`a[href^="/ops/jobs/jobs/"]`))
	require.Eventually(t, func() bool {
		return eval[int](t, p, `document.querySelectorAll("main li a[href*='/ops/jobs/jobs/'], li a[href^='/ops/jobs/jobs/']").length`) > 0
	}, time.Minute, 100*time.Millisecond)
	p.picture(t, "task-jobs")
	shown := p.text(t)
	require.Contains(t, shown, fmt.Sprintf(`"task_id":%d`, first))
	require.NotContains(t, shown, fmt.Sprintf(`"task_id":%d`, second))
}
