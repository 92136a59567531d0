package push

import "slices"

// TaskState is where a task stands. The values are the ones of the API and of the database.
type TaskState string

// The states of a task.
const (
	TaskDraft     TaskState = "draft"
	TaskScheduled TaskState = "scheduled"
	TaskSending   TaskState = "sending"
	TaskPaused    TaskState = "paused"
	TaskDone      TaskState = "done"
	TaskMissed    TaskState = "missed"
	TaskCanceled  TaskState = "canceled"
)

// CanMove says whether a task may go from s to next. scheduled → scheduled is a move to another time; scheduled ⇄ paused is a task
// that was held, before its time, as of a restored database.
func (s TaskState) CanMove(next TaskState) bool {
	switch s {
	case TaskDraft:
		return next == TaskScheduled || next == TaskSending
	case TaskScheduled:
		return slices.Contains([]TaskState{TaskScheduled, TaskDraft, TaskSending, TaskPaused, TaskMissed, TaskCanceled, TaskDone}, next)
	case TaskMissed:
		return next == TaskScheduled || next == TaskSending
	case TaskSending:
		return next == TaskPaused || next == TaskDone || next == TaskCanceled
	case TaskPaused:
		return next == TaskSending || next == TaskDone || next == TaskCanceled || next == TaskScheduled
	case TaskDone, TaskCanceled:
		return false
	}
	return false
}

// Final says that a task in state s never changes again.
func (s TaskState) Final() bool { return s == TaskDone || s == TaskCanceled }

// Valid says whether s is one of the states.
func (s TaskState) Valid() bool {
	return slices.Contains([]TaskState{TaskDraft, TaskScheduled, TaskSending, TaskPaused, TaskDone, TaskMissed, TaskCanceled}, s)
}

// Cause is one reason for a pause. A task is paused while its set of causes is not empty.
type Cause string

// The causes of a pause. CauseOperator is taken out by a person only.
const (
	CauseOperator        Cause = "operator"
	CauseQuota           Cause = "quota"
	CauseBreaker         Cause = "breaker"
	CauseQuietHours      Cause = "quiet_hours"
	CauseProductOffShelf Cause = "product_off_shelf"
	CauseProductChanged  Cause = "product_changed"
	CauseAppPaused       Cause = "app_paused"
	CauseRestored        Cause = "restored"
)

// RecipientState is where one recipient stands. The number is what the database holds, the name what the API shows.
type RecipientState int16

// The states of a recipient.
const (
	Pending RecipientState = iota
	Sending
	Sent
	Failed
	Skipped
	Unknown
	Waiting
)

// RecipientStates lists all states in the order in which people read them.
func RecipientStates() []RecipientState {
	return []RecipientState{Pending, Waiting, Sending, Sent, Failed, Skipped, Unknown}
}

func (s RecipientState) String() string {
	switch s {
	case Pending:
		return "pending"
	case Sending:
		return "sending"
	case Sent:
		return "sent"
	case Failed:
		return "failed"
	case Skipped:
		return "skipped"
	case Unknown:
		return "unknown"
	case Waiting:
		return "waiting"
	}
	return "invalid"
}

// MarshalText writes the name.
func (s RecipientState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name that String wrote.
func (s *RecipientState) UnmarshalText(text []byte) error {
	state, ok := ParseRecipientState(string(text))
	if !ok {
		return &InvalidError{Field: "state", Rule: "unknown_state", Message: "is not a state of a recipient"}
	}
	*s = state
	return nil
}

// ParseRecipientState finds a state by its name.
func ParseRecipientState(name string) (RecipientState, bool) {
	for _, s := range RecipientStates() {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}

// CanMove says whether a recipient may go from s to next.
func (s RecipientState) CanMove(next RecipientState) bool {
	switch s {
	case Pending:
		return next == Sending || next == Skipped || next == Waiting
	case Waiting:
		return next == Pending
	case Sending:
		return next == Sent || next == Failed || next == Unknown || next == Pending
	case Unknown:
		return next == Sent || next == Failed
	case Sent, Failed, Skipped:
		return false
	}
	return false
}

// PermitState is the state of a formId. Expired is not among them: it is a time that has passed.
type PermitState int16

// The states of a formId.
const (
	PermitAvailable PermitState = iota
	PermitReserved
	PermitUsed
	PermitInvalid
)
