// Package chaos holds the suite that breaks everything around a task and then counts: nobody lost, nobody twice.
//
// # Model
//
//	the suite ──signals──▶ two daemons (minipush serve) ──▶ Postgres of the suite's own, durable ◀──signals── the suite
//	    │                        │
//	    └──faults, ledger──▶ the simulator (minipush sim), which is never killed
//
// All of it are real processes. A task is sent to thousands of users who have three permits each, for with one nobody could be sent
// twice. While it runs, faults fall at random moments, each for a while, one upon the other:
//
//	kill           SIGKILL of a daemon, which is started again after a moment
//	term           SIGTERM of a daemon, which is started again
//	freeze         SIGSTOP of a daemon for longer than a lease, then SIGCONT: the stale run must change nothing
//	postgres kill  SIGKILL of the postmaster, which is started again
//	cut            pg_terminate_backend of every connection
//	platform       503, a page of HTML, no answer, a late one, a connection dropped before or after the delivery, its token invalidated
//	missed start   both daemons are dead when the time of a scheduled task comes
//
// Then everything heals, and the task must end. The judge is the simulator's ledger: each user has one message; the counts of the
// task are the ledger's; no recipient is unknown; and the audit of the tables (minipush doctor --audit) finds nothing.
//
// # Use
//
//	go test ./internal/chaos                        the short form, under a minute
//	go test ./internal/chaos -seed 42               the same faults again, as far as a seed can order processes
//	go test ./internal/chaos -run Chaos -long -timeout 60m -report docs/chaos.md
//
// The moments, kinds and targets of faults follow from the seed, which each run prints. What the processes are at in those moments
// does not, so a failure is looked for with its seed more than once.
package chaos
