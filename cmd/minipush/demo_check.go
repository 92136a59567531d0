package main

import (
	"context"
	"fmt"

	"minipush/internal/push"
	"minipush/internal/sim"
	"minipush/internal/store"
)

// maxProblems is how many problems are told; the first say enough.
const maxProblems = 10

// check holds the rows, and then the platform's own ledger, against the mix. It returns what does not fit.
func (r *demoRun) check(ctx context.Context) ([]string, error) {
	problems, err := r.checkRows(ctx)
	if err != nil {
		return nil, err
	}
	problems = append(problems, r.checkLedger()...)
	if len(problems) > maxProblems {
		problems = append(problems[:maxProblems], fmt.Sprintf("and %d more", len(problems)-maxProblems))
	}
	return problems, nil
}

func (r *demoRun) checkRows(ctx context.Context) ([]string, error) {
	rows, err := r.s.store.Recipients(ctx, r.task.ID, store.RecipientFilter{After: -1, Limit: len(r.users) + 1})
	if err != nil {
		return nil, err
	}
	var problems []string
	if len(rows) != len(r.users) {
		problems = append(problems, fmt.Sprintf("%d recipients instead of %d", len(rows), len(r.users)))
	}
	byID := make(map[string]push.Recipient, len(rows))
	for _, row := range rows {
		byID[row.UserID] = row
	}
	for _, u := range r.users {
		state, reason := u.fate.outcome(r.play.dead)
		got := byID[u.id]
		if got.State != state || got.Reason != reason {
			problems = append(problems, fmt.Sprintf("user %s is %s %s instead of %s %s", u.id, got.State, got.Reason, state, reason))
		}
		if wrong := r.play.wrongDelivery(got); wrong != "" {
			problems = append(problems, fmt.Sprintf("user %s is %s with %s", u.id, got.State, wrong))
		}
	}
	return problems, nil
}

// checkLedger looks at what has arrived: exactly one message, word for word, at everybody who was sent to; at most one at those
// whose outcome is unknown; none anywhere else.
func (r *demoRun) checkLedger() []string {
	var problems []string
	received := map[string][]sim.Message{}
	for m := range r.platform.Ledger(sim.Filter{AppID: demoAppID}) {
		received[m.OpenID] = append(received[m.OpenID], m)
	}
	for _, u := range r.users {
		got := received[u.openid]
		delete(received, u.openid)
		least, most := 0, 0
		switch u.fate {
		case fateSent, fateSecond:
			least, most = 1, 1
		case fateUnknown:
			most = 1
		case fateNoPermit, fateNoOpenID, fateDead, numberOfFates:
		}
		if len(got) < least || len(got) > most {
			problems = append(problems, fmt.Sprintf("user %s received %d messages", u.id, len(got)))
		}
		for _, m := range got {
			if wrong := r.play.wrongMessage(m); wrong != "" {
				problems = append(problems, fmt.Sprintf("user %s received %s", u.id, wrong))
			}
		}
	}
	if len(received) > 0 {
		problems = append(problems, fmt.Sprintf("%d people received something who are not in the list", len(received)))
	}
	return problems
}
