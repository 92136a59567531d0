package push

import (
	"errors"
	"fmt"
)

// ErrNotFound says that the thing named does not exist, or not for this principal.
var ErrNotFound = errors.New("not found")

// ErrUnstorable says that a value cannot be held by the database: a text with a NUL or that is not UTF-8, a number out of range.
// It is the net below the checks of each field, which name the field.
var ErrUnstorable = errors.New("a value that cannot be stored")

// CallError is a call to the platform that a person asked for and that failed. It is not about what the person sent.
type CallError struct {
	Code PlatformCode
	// Errcode is what the platform answered; 0 where it gave no answer that can be read.
	Errcode int
	// ZH and EN say what it means and what to do.
	ZH, EN string
}

// PlatformCode is a stable code for a call to the platform that failed.
type PlatformCode string

// The codes.
const (
	// PlatformCredentials: no access token can be had with the appid and the secret of the app, or from this address.
	PlatformCredentials PlatformCode = "platform_credentials"
	// PlatformRefused: the platform answered, and refused.
	PlatformRefused PlatformCode = "platform_refused"
	// PlatformUnreachable: there was no answer, or none of the platform's.
	PlatformUnreachable PlatformCode = "platform_unreachable"
)

func (e *CallError) Error() string {
	if e.Errcode == 0 {
		return e.EN
	}
	return fmt.Sprintf("%s (errcode %d)", e.EN, e.Errcode)
}

// InvalidError is bad input: which field, which rule, and a sentence for the person who sent it.
type InvalidError struct {
	// Field is the path of the field as the caller wrote it, for example "topic" or "fields[2].value".
	Field string
	// Rule is a stable code, for example "too_long" or "unknown_variable".
	Rule string
	// Message completes the sentence "<field> …", for example "has 11 characters; at most 10 are allowed".
	Message string
}

func (e *InvalidError) Error() string { return fmt.Sprintf("%s %s (%s)", e.Field, e.Message, e.Rule) }

// RefusalCode is a stable code for a request that is well formed but not allowed as things stand.
type RefusalCode string

// The refusals. The first four carry the original's texts.
const (
	RefusedAlreadySent      RefusalCode = "already_sent"
	RefusedAlreadyScheduled RefusalCode = "already_scheduled"
	RefusedEmptyAudience    RefusalCode = "empty_audience"
	RefusedNoPermit         RefusalCode = "no_permit"
	RefusedTooManyRequests  RefusalCode = "too_many_requests"
	RefusedProductOffShelf  RefusalCode = "product_off_shelf"
	RefusedWrongState       RefusalCode = "wrong_state"
	RefusedUnknownVariable  RefusalCode = "unknown_variable"
	RefusedAppPaused        RefusalCode = "app_paused"
	RefusedInUse            RefusalCode = "in_use"
	RefusedNotUnknown       RefusalCode = "not_unknown"
	RefusedListGone         RefusalCode = "list_gone"
	RefusedScheduleRuns     RefusalCode = "schedule_runs"
	RefusedSourceDisabled   RefusalCode = "source_disabled"
	RefusedNotApproved      RefusalCode = "not_approved"
	RefusedOwnTask          RefusalCode = "own_task"
	RefusedContentChanged   RefusalCode = "content_changed"
	RefusedNotATester       RefusalCode = "not_a_tester"
)

// Refusal is a request that is refused as things stand. A refused request changes nothing.
type Refusal struct { //nolint:errname // it reads as what it is: a refusal, which is an error too
	Code   RefusalCode
	TaskID int64
	// State is the state that the task has, where the code is about it.
	State TaskState
	// Channel is the task's, where the code is about permits.
	Channel Channel
	// App and Product are the key of the app and the code of the product that stand in the way; empty where none does.
	App, Product string
	// Approval is what was said of the task, where it is not approved.
	Approval ApprovalState
	// Tester is the user id of a tester who stands in the way; empty where none does.
	Tester string
	// Detail adds what the text cannot know, in English; may be empty.
	Detail string
}

// ZH is the text for marketing, the original's where it had one.
func (r *Refusal) ZH() string {
	switch r.Code {
	case RefusedAlreadySent:
		return fmt.Sprintf("此任务已发送id=%d", r.TaskID)
	case RefusedAlreadyScheduled:
		return fmt.Sprintf("此任务已排期id=%d", r.TaskID)
	case RefusedEmptyAudience:
		if r.State.Final() {
			return "没有因所选原因结束的用户,无需重发"
		}
		return "还没有上传用户ID"
	case RefusedNoPermit:
		if r.Tester != "" {
			zh, _ := r.Channel.WayToPermit()
			return "测试用户没有推送机会," + zh
		}
		return NoPermitZH(r.Channel)
	case RefusedTooManyRequests:
		return "操作过于频繁,请稍后再试!"
	case RefusedProductOffShelf:
		return "商品已下架"
	case RefusedWrongState:
		return "任务当前状态不允许此操作"
	case RefusedUnknownVariable:
		return "上传的名单缺少模板使用的列"
	case RefusedAppPaused:
		return "小程序已暂停推送"
	case RefusedInUse:
		return "正在被使用,不能删除"
	case RefusedNotUnknown:
		return "该用户的结果不是未知,不能人工确认"
	case RefusedListGone:
		return "任务的名单已清理或已更换"
	case RefusedScheduleRuns:
		return "计划正在运行,请先暂停"
	case RefusedSourceDisabled:
		return "此小程序的订阅次数不由该来源统计"
	case RefusedNotApproved:
		if r.TaskID == 0 {
			return "此小程序的任务需逐个审批,计划不能运行"
		}
		return r.Approval.missingZH()
	case RefusedNotATester:
		return "该用户不在测试名单中,请管理员先添加"
	case RefusedOwnTask:
		return "不能审批自己创建或修改过的任务(包括修改其模板),请由另一位同事审批"
	case RefusedContentChanged:
		return "内容或名单已变更,请重新查看"
	}
	return string(r.Code)
}

// EN is the text in English.
func (r *Refusal) EN() string {
	var text string
	switch r.Code {
	case RefusedAlreadySent:
		text = fmt.Sprintf("task %d has been sent already", r.TaskID)
	case RefusedAlreadyScheduled:
		text = fmt.Sprintf("task %d is scheduled already", r.TaskID)
	case RefusedEmptyAudience:
		if r.State.Final() {
			return r.Detail + ": there is nobody to send to again" // to be sent again to whom a task did not reach
		}
		text = "no user ids have been uploaded yet"
	case RefusedNoPermit:
		text = "nobody in the audience can be reached: no usable permit"
		if r.Tester != "" {
			_, way := r.Channel.WayToPermit()
			text = "tester " + r.Tester + " has no usable permit: " + way
		}
	case RefusedTooManyRequests:
		text = "too many requests, try again in a moment"
	case RefusedProductOffShelf:
		text = "the product is not on the shelf"
	case RefusedWrongState:
		text = fmt.Sprintf("task %d is %s, which does not allow this", r.TaskID, r.State)
	case RefusedUnknownVariable:
		text = "the uploaded list lacks a column that the template uses"
	case RefusedAppPaused:
		text = "the app is paused"
		if r.App != "" {
			text = fmt.Sprintf("app %s is paused", r.App)
		}
	case RefusedInUse:
		text = "it is in use"
	case RefusedNotUnknown:
		text = "a recipient's outcome is not unknown, so nothing was settled"
	case RefusedListGone:
		text = fmt.Sprintf("task %d no longer has its list", r.TaskID)
	case RefusedScheduleRuns:
		text = "the schedule runs; pause it first"
	case RefusedSourceDisabled:
		text = "this source of permits is not in use for the app"
	case RefusedNotApproved:
		text = r.Approval.missingEN()
		if r.TaskID == 0 {
			text = "tasks of this app are approved one by one, so a schedule cannot run"
		}
	case RefusedNotATester:
		text = fmt.Sprintf("user %s is not a tester of the app; an administrator adds testers", r.Tester)
	case RefusedOwnTask:
		text = "who made a task, or changed it or its template since it was last approved, cannot approve it: that takes another person"
	case RefusedContentChanged:
		text = "the task is not what was looked at: its content or its audience changed; look again"
	default:
		text = string(r.Code)
	}
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	return text
}

func (r *Refusal) Error() string { return r.EN() }

// InvalidFields collects the invalid fields of an error. ok is false if there are none, or if something else is joined with them.
func InvalidFields(err error) (fields []*InvalidError, ok bool) {
	if joined, is := err.(interface{ Unwrap() []error }); is {
		for _, e := range joined.Unwrap() {
			more, ok := InvalidFields(e)
			if !ok {
				return nil, false
			}
			fields = append(fields, more...)
		}
		return fields, len(fields) > 0
	}
	if invalid, is := err.(*InvalidError); is { //nolint:errorlint // each level is looked at in turn
		return []*InvalidError{invalid}, true
	}
	if inner := errors.Unwrap(err); inner != nil {
		return InvalidFields(inner)
	}
	return nil, false
}
