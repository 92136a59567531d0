package push

import (
	"strings"
	"time"
)

// ApprovalState is what a second person has said about the content and the audience of a task.
type ApprovalState string

// The states of an approval. The first three are kept; ApprovalVoid is one that was given or refused for something else than what the
// task would send now.
const (
	ApprovalNone ApprovalState = "none"
	Approved     ApprovalState = "approved"
	Rejected     ApprovalState = "rejected"
	ApprovalVoid ApprovalState = "void"
)

// Valid says whether s is one of the states.
func (s ApprovalState) Valid() bool {
	return s == ApprovalNone || s == Approved || s == Rejected || s == ApprovalVoid
}

// MaxApprovalNote is the length of the note to an approval, in characters.
const MaxApprovalNote = 200

// minHash is how much of a hash names it.
const minHash = 12

// Approval is a field beside the state of a task.
type Approval struct {
	State ApprovalState `json:"state"`
	// Required says that the app asks for one: without it the task does not begin.
	Required bool `json:"required"`
	// Awaited says that a second person has to look at it: it is required, there is somebody to send to, and nothing has been said of what the
	// task would send now.
	Awaited bool `json:"awaited"`
	// By, At and Note are of who said it last; nil and empty while nobody has.
	By   *string    `json:"by"`
	At   *time.Time `json:"at"`
	Note string     `json:"note"`
}

// Missing says that the task may not begin.
func (a Approval) Missing() bool { return a.Required && a.State != Approved }

// NamesHash says whether a person who wrote given means the hash: all of it, or at least its first twelve digits.
func NamesHash(given, hash string) bool {
	return len(given) >= minHash && strings.HasPrefix(hash, strings.ToLower(given))
}

func (s ApprovalState) missingZH() string {
	switch s {
	case Rejected:
		return "任务审批未通过,请修改后由另一位同事重新审批"
	case ApprovalVoid:
		return "内容或名单在审批后有变更,请由另一位同事重新审批"
	case ApprovalNone, Approved:
	}
	return "任务尚未审批,请由另一位同事审批后再发送"
}

func (s ApprovalState) missingEN() string {
	switch s {
	case Rejected:
		return "the task was rejected: correct it, and have another person approve it"
	case ApprovalVoid:
		return "the content or the audience changed after the task was judged: have another person approve it as it is"
	case ApprovalNone, Approved:
	}
	return "the task is not approved: have another person approve it"
}

// MissingNote says on a task why it did not begin, and what to do.
func (s ApprovalState) MissingNote() string { return s.missingZH() + " " + s.missingEN() + "." }
