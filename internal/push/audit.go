package push

// AuditActions are what the audit log knows, the words of its field action: each has a text in the console's catalogue.
func AuditActions() []string {
	return []string{
		"account.add", "account.disable", "account.enable", "account.link", "account.password", "account.recovery_code", "account.totp_off", "account.totp_on",
		"account.totp_remove", "account.unlink",
		"app.add", "app.callback", "app.connection", "app.pause", "app.resume", "app.settings",
		"jobs.change",
		"list.delete", "list.upload",
		"permit.import", "permit.retry",
		"product.add", "product.import", "product.set", "product.shelf",
		"schedule.change", "schedule.create", "schedule.delete", "schedule.pause", "schedule.resume",
		"suppression.add", "suppression.import", "suppression.remove",
		"task.approval_void", "task.approve", "task.audience", "task.cancel", "task.change", "task.clone", "task.create", "task.delete",
		"task.dry_run", "task.export", "task.pause", "task.product", "task.rate", "task.reach", "task.reject", "task.resend", "task.resolve",
		"task.resume", "task.send", "task.test", "task.unschedule",
		"template.add", "template.set", "template.sync",
		"token.create", "token.revoke",
		"user.import",
	}
}
