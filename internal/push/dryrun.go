package push

import "time"

// DryRunState is how far a dry run has come.
type DryRunState string

// The states of a dry run.
const (
	DryRunning DryRunState = "running"
	DryDone    DryRunState = "done"
	DryFailed  DryRunState = "failed"
)

// MaxDryExamples bounds the examples that a dry run keeps for each reason.
const MaxDryExamples = 5

// DryRun is what a task would have come to at a moment: everything but the call was done, and nothing claimed, spent or written to its
// recipients.
type DryRun struct {
	TaskID int64       `json:"task_id"`
	Run    int         `json:"run"`
	State  DryRunState `json:"state"`
	// At is the time for which it was asked what can be reached: when the task is scheduled for, or when the dry run began.
	At time.Time `json:"at"`
	// Total is how many recipients were looked at so far. Total = WouldSend + WouldWait + the reasons.
	Total     int `json:"total"`
	WouldSend int `json:"would_send"`
	// WouldWait are those without a permit, of a task that waits for the next one.
	WouldWait int          `json:"would_wait"`
	Reasons   []Count      `json:"reasons"`
	Examples  []DryExample `json:"examples"`
	// Stale: content or audience of the task changed since.
	Stale bool `json:"stale"`
	// Note says why it failed.
	Note      string     `json:"note"`
	CreatedBy string     `json:"created_by"`
	AsOf      time.Time  `json:"as_of"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
	EndedAt   *time.Time `json:"ended_at"`
}

// DryExample is a recipient that would not have been sent to.
type DryExample struct {
	// Seq is its number in the list; nil of a task that goes to all, which has none yet.
	Seq    *int32 `json:"seq"`
	UserID string `json:"user_id"`
	Reason Reason `json:"reason"`
	// Note names the field and the rule, where it is its own content that does not fit.
	Note string `json:"note"`
}

// DryPage is what a page of a dry run found.
type DryPage struct {
	Total, WouldSend, WouldWait int
	Reasons                     map[Reason]int
	Examples                    []DryExample
}

// Miss counts a recipient that would not have been sent to.
func (p *DryPage) Miss(e DryExample) {
	if p.Reasons == nil {
		p.Reasons = map[Reason]int{}
	}
	p.Reasons[e.Reason]++
	if p.Reasons[e.Reason] <= MaxDryExamples {
		p.Examples = append(p.Examples, e)
	}
}
