package console

import (
	"context"
	"log/slog"
	"slices"
	"strconv"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// approvalView is what was said of a task, and who may say it: the dot of the partials approval and approval_said.
type approvalView struct {
	push.Approval
	// Path is where it is said.
	Path string
	// Shown: the app asks for an approval, or somebody has said something. NoList: before it goes to somebody nothing can be said.
	Shown, NoList bool
	// Judges may approve it, while it waits for that; More: there are others.
	Judges []store.Account
	More   bool
	// CanJudge: the one who is logged in may.
	CanJudge bool
}

const (
	// maxJudges is how many of those who may approve a task are named.
	maxJudges = 5
	// maxAwaiting is how far what waits for an approval is counted.
	maxAwaiting = 100
)

// approvalOf reads what a page says of the approval of the task that the path names.
func (k *Console) approvalOf(ctx context.Context, c *call) (v approvalView, err error) {
	t := c.task
	v = approvalView{
		Approval: t.Approval, Path: taskPath(t.ID) + "/trial", Shown: t.Approval.Required || t.Approval.State != push.ApprovalNone,
		NoList:   t.Approval.Missing() && goesNowhere(t),
		CanJudge: t.Approval.Awaited && c.mayJudge(t),
	}
	if !t.Approval.Awaited {
		return v, nil
	}
	v.Judges, err = k.store.AccountsFor(ctx, t.AppID, judges(), append(slices.Clone(t.Changers), t.CreatedBy), maxJudges+1)
	v.More = len(v.Judges) > maxJudges
	v.Judges = v.Judges[:min(len(v.Judges), maxJudges)]
	return v, err
}

// judges are the roles that may approve, the weakest first.
func judges() (names []string) {
	for _, role := range auth.AccountRoles() {
		if role.May(auth.Approver, auth.Write) {
			names = append(names, role.String())
		}
	}
	return names
}

// mayJudge says whether the one who is logged in may approve a task: it takes the role, and another person than who made or changed it.
func (c *call) mayJudge(t push.Task) bool {
	return c.may(auth.Approver) && !t.MadeBy(c.actor())
}

// asksForApproval says whether an app that the account sees asks for approvals at all.
func (c *call) asksForApproval() bool {
	return slices.ContainsFunc(c.apps, func(a push.App) bool { return a.Approval })
}

// awaiting is how many tasks wait for the approval of the one who is logged in, as the navigation shows it; empty for none. It is one statement,
// for those alone who may approve, where an app asks for it.
func (k *Console) awaiting(c *call) string {
	if !c.may(auth.Approver) || !c.asksForApproval() {
		return ""
	}
	ctx := c.r.Context()
	n, err := k.store.CountAwaiting(ctx, c.appIDs(), c.actor(), maxAwaiting)
	switch {
	case err != nil && ctx.Err() == nil:
		k.log.WarnContext(ctx, "count what waits for an approval", slog.Any("err", err))
		return ""
	case err != nil, n == 0:
		return ""
	case n == maxAwaiting:
		return strconv.Itoa(maxAwaiting-1) + "+"
	}
	return strconv.Itoa(n)
}
