package push

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Product is what a task advertises.
type Product struct {
	App       string    `json:"app"`
	Code      string    `json:"code"`
	Title     string    `json:"title"`
	Price     Price     `json:"price"`
	OnShelf   bool      `json:"on_shelf"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// The limits of a product.
const (
	MaxProductCode  = 64
	MaxProductTitle = 64
)

// Validate checks every field and returns all that is wrong, joined.
func (p *Product) Validate() error {
	errs := []error{RequireText("code", p.Code, MaxProductCode), RequireText("title", p.Title, MaxProductTitle)}
	if !p.Price.Valid() {
		errs = append(errs, &InvalidError{Field: "price", Rule: "not_a_price", Message: "must be from 0.00 to 99999999.99"})
	}
	return errors.Join(errs...)
}

// AudienceKind says whom a task goes to.
type AudienceKind string

// The two audiences of the original: 指定用户发送 and 全部可推送用户发送.
const (
	AudienceList AudienceKind = "list"
	AudienceAll  AudienceKind = "all"
)

// The misfire policies: what becomes of a task whose time passed while nothing was up.
const (
	MisfireLate = "late" // it runs late, within a grace
	MisfireSkip = "skip" // it is missed
)

// TaskSpec is what a person decides about a task; all of it may be changed while the task is a draft.
type TaskSpec struct {
	App         string       `json:"app"`
	TemplateID  string       `json:"template_id"`
	Topic       string       `json:"topic"`
	Caption     string       `json:"caption"`
	Tips        string       `json:"tips"`
	ProductCode string       `json:"product_code"`
	Audience    AudienceKind `json:"audience"`
	// RatePerSecond is the task's own limit; 0 is the app's.
	RatePerSecond int `json:"rate_per_second"`
	// Misfire says what to do with a task whose time passed while nothing was up: "late" runs it within a grace,
	// "skip" makes it missed. One that was missed can be sent or scheduled again.
	Misfire string `json:"misfire"`
	// NotAfter: a task that has not started by then is missed. Nil is no end.
	NotAfter *time.Time `json:"not_after"`
	Priority string     `json:"priority"`
	// OnUnknown says what to do with a recipient whose outcome can no longer be learnt: "leave" it unknown, or "resend" with the
	// user's next permit, knowing that the message may arrive twice.
	OnUnknown string `json:"on_unknown"`
	// OnPriceChange: "pause" or "accept" a price that changed between scheduling and start.
	OnPriceChange string `json:"on_price_change"`
	// WaitForPermitUntil: until then a recipient without a permit waits for its next one. Nil: it is skipped at once.
	WaitForPermitUntil *time.Time `json:"wait_for_permit_until"`
}

// Normalize fills in what may be left out.
func (s *TaskSpec) Normalize() {
	s.Audience = orDefault(s.Audience, AudienceList)
	s.Misfire = orDefault(s.Misfire, MisfireLate)
	s.Priority = orDefault(s.Priority, "normal")
	s.OnUnknown = orDefault(s.OnUnknown, "leave")
	s.OnPriceChange = orDefault(s.OnPriceChange, "pause")
}

func orDefault[T ~string](v, def T) T {
	if v == "" {
		return def
	}
	return v
}

// Validate checks what can be checked without the template and the product, after Normalize. All that is wrong, joined.
func (s *TaskSpec) Validate() error {
	errs := []error{
		CheckText("app", s.App, MaxAppKey), RequireText("template_id", s.TemplateID, MaxTemplateID), CheckText("product_code", s.ProductCode, MaxProductCode),
		CheckText("topic", s.Topic, MaxTopic), CheckText("caption", s.Caption, MaxCaption), CheckText("tips", s.Tips, MaxTips),
		oneOf("audience", string(s.Audience), "list", "all"), oneOf("misfire", s.Misfire, MisfireLate, MisfireSkip),
		oneOf("priority", s.Priority, "urgent", "normal", "bulk"), oneOf("on_unknown", s.OnUnknown, "leave", "resend"),
		oneOf("on_price_change", s.OnPriceChange, "pause", "accept"),
		CheckTime("not_after", s.NotAfter), CheckTime("wait_for_permit_until", s.WaitForPermitUntil),
	}
	errs = append(errs, within("rate_per_second", s.RatePerSecond, MaxRate))
	if s.NotAfter != nil && s.WaitForPermitUntil != nil && !s.WaitForPermitUntil.After(*s.NotAfter) {
		errs = append(errs, &InvalidError{Field: "wait_for_permit_until", Rule: "too_early", Message: "must be later than not_after, for the task may start as late as that"})
	}
	return errors.Join(errs...)
}

// CheckTime checks a time that is kept: from 2000 to 2100. Nil is allowed. Beyond, a shift of the zone may leave the years that
// RFC 3339 can write, and with it every list that shows the time.
func CheckTime(field string, t *time.Time) error {
	if t == nil || t.UTC().Year() >= 2000 && t.UTC().Year() <= 2100 {
		return nil
	}
	return &InvalidError{Field: field, Rule: "bad_time", Message: "must be from 2000 to 2100"}
}

func oneOf(field, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return &InvalidError{Field: field, Rule: "unknown_value", Message: fmt.Sprintf("must be one of %q", allowed)}
}

// ValidateFor checks the texts and the product against what the template uses: what it names must be there.
func (s *TaskSpec) ValidateFor(c Compiled) error {
	var errs []error
	for _, f := range []struct{ name, value string }{{"topic", s.Topic}, {"caption", s.Caption}, {"tips", s.Tips}} {
		if c.Uses(f.name) && f.value == "" {
			errs = append(errs, &InvalidError{Field: f.name, Rule: "required", Message: "must not be empty: the template uses it"})
		}
	}
	if c.Uses("product.") && s.ProductCode == "" {
		errs = append(errs, &InvalidError{Field: "product_code", Rule: "required", Message: "must not be empty: the template uses the product"})
	}
	return errors.Join(errs...)
}

// Weight says how much of an app's rate, and of a daemon, a task of the priority gets beside others: urgent 16, normal 4, bulk 1.
func Weight(priority string) int {
	switch priority {
	case "urgent":
		return 16
	case "bulk":
		return 1
	}
	return 4
}

// TaskProduct is the product as the task took it: at creation, on request (更新), and last when it was sent or scheduled.
type TaskProduct struct {
	Code    string    `json:"code"`
	Title   string    `json:"title"`
	Price   Price     `json:"price"`
	OnShelf bool      `json:"on_shelf"`
	TakenAt time.Time `json:"taken_at"`
}

// Taken is p as a task takes it now; nil of nil.
func Taken(p *Product) *TaskProduct {
	if p == nil {
		return nil
	}
	return &TaskProduct{Code: p.Code, Title: p.Title, Price: p.Price, OnShelf: p.OnShelf}
}

// Task is a task as the API shows it.
type Task struct {
	ID    int64 `json:"id"`
	AppID int32 `json:"-"`
	TaskSpec
	State TaskState `json:"state"`
	// Causes is why it is paused; empty otherwise.
	Causes []Cause `json:"cause"`
	// Note says in words why it is paused or missed, and what to do.
	Note         string       `json:"note"`
	TemplateName string       `json:"template_name"`
	Channel      Channel      `json:"channel"`
	Product      *TaskProduct `json:"product"`
	// AudienceID is the version of the list in force; 0 while there is none.
	AudienceID int64 `json:"-"`
	// SourceID is the version of a saved list that the start copies; 0 where there is none.
	SourceID  int64      `json:"-"`
	StartAt   *time.Time `json:"start_at"`
	StartedAt *time.Time `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	CreatedBy string     `json:"created_by"`
	SentBy    *string    `json:"sent_by"`
	// ChangedBy is who changed its content or audience last; who made it, while nobody has.
	ChangedBy string `json:"changed_by"`
	// Changers are all who changed what it sends, its template included, or to whom, since it was last approved.
	Changers []string `json:"-"`
	// ContentHash is the SHA-256, in hexadecimal digits, of the content and the audience as the task has them: what an approval is of.
	ContentHash string    `json:"content_hash"`
	Approval    Approval  `json:"approval"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	// SourceTaskID is the task that it was cloned from, or whose recipients it sends to again; nil if none, or if that was deleted.
	SourceTaskID *int64 `json:"source_task_id"`
	// TestOf is the task whose content it shows to a tester; nil for a task that is no test.
	TestOf  *int64  `json:"test_of"`
	Counts  Counts  `json:"counts"`
	Reasons []Count `json:"reasons"`
}

// MadeBy says that the task is, at least in part, this person's work, of which nobody else has approved yet: another one has to.
func (t Task) MadeBy(person string) bool {
	return person == t.CreatedBy || slices.Contains(t.Changers, person)
}

// Counts are a task's recipients by state. They add up to Total.
type Counts struct {
	Total   int `json:"total"`
	Pending int `json:"pending"`
	Waiting int `json:"waiting"`
	Sending int `json:"sending"`
	Sent    int `json:"sent"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
	Unknown int `json:"unknown"`
}

// Open counts the recipients whose outcome is still to come.
func (c Counts) Open() int { return c.Pending + c.Waiting + c.Sending }

// Summary is the original's line: 总发送数量=…,发送成功数量=…,发送失败数量=….
func (c Counts) Summary() string {
	return fmt.Sprintf("总发送数量=%d,发送成功数量=%d,发送失败数量=%d", c.Total, c.Sent, c.Total-c.Sent)
}

// Doubt is a line beside the summary that names the recipients whose outcome is unknown; empty if there are none.
func (c Counts) Doubt() string {
	if c.Unknown == 0 {
		return ""
	}
	return fmt.Sprintf("其中结果未知=%d (of which the outcome is unknown: %d)", c.Unknown, c.Unknown)
}

// Count is how many recipients ended for a reason.
type Count struct {
	Code  string `json:"code"`
	Count int    `json:"count"`
	ZH    string `json:"zh"`
	EN    string `json:"en"`
}

// Recipient is one user of one task as the API shows it.
type Recipient struct {
	Seq       int32          `json:"seq"`
	UserID    string         `json:"user_id"`
	OpenID    *string        `json:"openid"`
	State     RecipientState `json:"state"`
	Attempt   int16          `json:"attempt"`
	Ambiguous bool           `json:"ambiguous"`
	Inferred  bool           `json:"inferred"`
	// InDoubt: by the task's policy it was sent to again with another permit although an earlier attempt may have got through.
	InDoubt      bool    `json:"in_doubt"`
	FormID       *string `json:"form_id"`
	Reason       Reason  `json:"reason"`
	PlatformCode *int32  `json:"platform_code"`
	RID          *string `json:"rid"`
	Note         *string `json:"note"`
	MsgID        *int64  `json:"msgid,string"`
	// Delivery is what the platform reported later of a message that it had accepted: "delivered" or "failed", which PlatformCode
	// explains; nil: nothing yet, or its channel reports nothing.
	Delivery *string    `json:"delivery"`
	SentAt   *time.Time `json:"sent_at"`
	// CreatedAt is when the upload of its list began.
	CreatedAt time.Time `json:"created_at"`
	// UpdatedAt is CreatedAt until something happens to it.
	UpdatedAt *time.Time `json:"updated_at"`
	// Vars are the further columns of the upload, in the order of Audience.Columns.
	Vars []string `json:"-"`
}

// Audience is a version of a task's list.
type Audience struct {
	ID        int64     `json:"id"`
	TaskID    int64     `json:"task_id"`
	State     string    `json:"state"`
	Filename  string    `json:"filename"`
	Columns   []string  `json:"columns"`
	Total     int       `json:"total"`
	Accepted  int       `json:"accepted"`
	Duplicate int       `json:"duplicate"`
	Rejected  int       `json:"rejected"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Figures are how many rows of the list came to what.
func (a Audience) Figures() map[string]any {
	return map[string]any{"total": a.Total, "accepted": a.Accepted, "duplicate": a.Duplicate, "rejected": a.Rejected}
}

// JobTags are what the jobs of a task bear, so that they are found in the pages of the queue.
func JobTags(taskID int64) []string { return []string{"task_" + strconv.FormatInt(taskID, 10)} }

// MaxPermits bounds the permits that are tried for one recipient.
const MaxPermits = 3

// MaxChunkSize bounds the chunk size; larger arrays cost more per recipient than they save.
const MaxChunkSize = 1000

// ChunkCount says how many chunks of size hold n recipients.
func ChunkCount(n, size int) int { return (n + size - 1) / size }

// ChunkRange is the half-open range [lo, hi) of sequence numbers of chunk no, counted from 0, of n recipients in chunks of size.
func ChunkRange(no, n, size int) (lo, hi int) { return no * size, min((no+1)*size, n) }
