package store

// RecipientPage is the statement of Recipients, for the test of its plan.
func RecipientPage() string { return recipientPage }
