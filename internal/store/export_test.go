package store

// RecipientPage is the statement of Recipients, for the test of its plan.
func RecipientPage() string { return recipientPage }

// TakeOpenIDs is the statement by which openids leave their users, for the test of its plan.
func TakeOpenIDs() string { return takeOpenIDs }
