package dispatch

// QueueLog is the log of the queue's own.
var QueueLog = queueLog //nolint:gochecknoglobals // for the test
