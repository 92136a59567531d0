package console

import (
	"slices"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// families are the keys that are made of a fixed prefix and a value: each prefix with all its values. The catalogue test
// requires a text for each in every language.
func families() map[string][]string {
	states := []push.TaskState{push.TaskDraft, push.TaskScheduled, push.TaskSending, push.TaskPaused, push.TaskDone, push.TaskMissed, push.TaskCanceled}
	causes := []push.Cause{
		push.CauseOperator, push.CauseQuota, push.CauseBreaker, push.CauseQuietHours, push.CauseProductOffShelf, push.CauseProductChanged,
		push.CauseAppPaused, push.CauseRestored,
	}
	all := map[string][]string{
		"state.task_": texts(states), "state.cause_": texts(causes), "state.audience_": {string(push.AudienceList), string(push.AudienceAll)},
		"state.shelf_": {"true", "false"}, "shell.lang_": languages(), "shell.theme_": themes(),
		"rule.": rules(), "trial.approval_": texts([]push.ApprovalState{push.ApprovalNone, push.Approved, push.Rejected, push.ApprovalVoid}),
		"app.approval_": {"false", "true"}, "edit.priority_": {"urgent", "normal", "bulk"}, "edit.misfire_": {"late", "skip"}, "edit.on_unknown_": {"leave", "resend"},
		"edit.on_price_change_": {"pause", "accept"}, "edit.channel_": {"form_id", "subscribe"}, "calendar.day_": {"0", "1", "2", "3", "4", "5", "6"},
		"reach.part_": reachCodes(), "reach.help_": reachCodes(),
		"upload.wrong_": {"file_required", "file_too_long", "file_control_character", "file_not_utf8", "file_unknown_list", "no_good_row"},
		"audit.action_": push.AuditActions(), "app.mode_": callbackModes(), "suppressions.by_": {"user_id", "openid"},
		"app.source_":        {string(push.PermitsFromClient), string(push.PermitsFromEvents)},
		"templates.channel_": {string(push.ChannelFormID), string(push.ChannelSubscribe)},
		"templates.outcome_": {"added", "changed", "gone", "refused", "unchanged"},
		"schedule.outcome_":  {string(push.TickSent), string(push.TickRefused), string(push.TickMissed)},
	}
	followFamilies(all, causes)
	for _, s := range push.RecipientStates() {
		all["state.recipient_"] = append(all["state.recipient_"], s.String())
	}
	for _, r := range auth.Roles() {
		all["role."] = append(all["role."], r.String())
	}
	for code := range problemCodes() {
		all["problem."] = append(all["problem."], code, code+"_hint")
	}
	for _, values := range all {
		slices.Sort(values)
	}
	return all
}

// followFamilies are those of the screens from sending to the result.
func followFamilies(all map[string][]string, causes []push.Cause) {
	all["task.todo_"] = texts(causes)
	for _, r := range push.Reasons() {
		all["task.why_"] = append(all["task.why_"], r.String())
		all["task.cure_"] = append(all["task.cure_"], r.String())
	}
	all["send.todo_"] = append(texts(sendRefusals()), "other")
	all["send.level_"] = []string{"ok", "warn", "stop"}
	all["send.misfire_"] = []string{push.MisfireLate, push.MisfireSkip}
	all["repeat.weekday_"] = weekdays()
	all["recipients.delivery_"] = []string{"delivered", "failed"}
	all["reports.by_"] = reportKinds()
	all["reports.origin_"] = []string{"schedule", "copy", "person"}
}

func texts[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

// What the pages of administration write into the audit log as action. They are no keys of the catalogue, though some look like one.
const (
	didAccountDisable    = "account.disable"
	didAccountEnable     = "account.enable"
	didAppAdd            = "app.add"
	didAppCallback       = "app.callback"
	didAppConnection     = "app.connection"
	didAppPause          = "app.pause"
	didAppResume         = "app.resume"
	didAppSettings       = "app.settings"
	didPermitRetry       = "permit.retry"
	didProductAdd        = "product.add"
	didProductSet        = "product.set"
	didProductShelf      = "product.shelf"
	didScheduleDelete    = "schedule.delete"
	didSchedulePause     = "schedule.pause"
	didScheduleResume    = "schedule.resume"
	didSuppressionAdd    = "suppression.add"
	didSuppressionRemove = "suppression.remove"
	didTaskDryRun        = "task.dry_run"
	didTaskResolve       = "task.resolve"
	didTemplateAdd       = "template.add"
	didTemplateSet       = "template.set"
	didTemplateSync      = "template.sync"
	didTokenCreate       = "token.create"
	didTokenRevoke       = "token.revoke"
)

// editActions are what changes that of which there is a form.
func editActions() []string {
	return []string{"task.change", "task.create", didAppSettings, didAppConnection, didAppCallback, didProductAdd, didProductSet, didProductShelf, didTemplateAdd, didTemplateSet}
}

// rules are those of every *push.InvalidError that there is; a test finds one that is missing.
func rules() []string {
	return []string{
		"after_not_after", "bad_callback", "bad_color", "bad_cron", "bad_expression", "bad_key", "bad_login", "bad_time", "bad_token",
		"bad_url", "batch_size", "control_character", "duplicate", "duplicate_key", "empty", "field_count", "fixed",
		"full_width_tilde", "incomplete", "missing_key", "no_openid", "no_rate", "no_run_left", "no_value", "not_a_list",
		"not_a_number", "not_a_price", "not_for_channel", "not_listed", "not_recurring", "not_the_same", "not_utf8", "one_of",
		"out_of_range", "password_short", "required", "taken", "template_gone", "too_early", "too_large", "too_long", "too_many",
		"unknown_channel", "unknown_key", "unknown_kind", "unknown_list", "unknown_policy", "unknown_product", "unknown_reason",
		"unknown_recipient", "unknown_source", "unknown_state", "unknown_task", "unknown_template", "unknown_time_zone",
		"unknown_value", "unknown_variable", "wrong_character", "wrong_code", "wrong_format", "wrong_password",
	}
}
