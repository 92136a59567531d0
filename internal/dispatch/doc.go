// Package dispatch is the application of minipush: intake, tasks, and the engine that sends them. It is the only writer of
// task state; the API, the command line and the cron entries call the same methods.
//
// # The flow of one recipient
//
//	audience.go  upload   bytes → rows of a new version of the list, flipped in one statement
//	submit.go    send     the task moves by compare-and-set; its start job is inserted in the same transaction
//	plan.go      start    the list is cut into chunks, a window of chunk jobs is queued
//	run.go       chunk    lease → claim (written ahead, committed) → call → outcomes (one transaction) → next chunk's job
//	outcome.go            what an answer means for the recipient and its permit
//	settle.go    settle   the last chunk ends the task; counts come from the rows
//	reach.go     before   how many of a list could be reached, counted beside
//	schedule.go  again    a schedule: a cron spec, and the task that each of its ticks makes
//	tick.go               a due tick: its row, its task and its start job in one transaction
//	sweep.go              whatever was left lying: chunks without a live owner or job, tasks without a plan or an end
//
// # Invariants (numbers of the design)
//
//  1. A send moves the task by compare-and-set and inserts the start job, unique over all states, in one transaction.
//  2. A claim commits before the first call of its batch; an outcome is written in one transaction with its permit's fate.
//     The rows in sending are at most the calls this process may have in flight: a slot is taken before the claim and given
//     back after the outcome's commit ([slots]).
//  3. A permit is claimed under its row lock, earliest expiry first; its expiry is tested in the claim.
//  4. A permit ends on success, or on an errcode that proves it used or dead; everything else gives it back or keeps it reserved.
//  5. An ambiguous recipient keeps its permit and is only ever sent again with it: 0 is sent, 41029 is sent (inferred), 41028 is
//     a dead permit while it is unexpired by our clock and unknown after; its expiry makes it unknown.
//     The one exception is a task whose on_unknown is "resend": there the row goes on with the user's next permit, in doubt, once no
//     process can still make the earlier call (lease and call time), and may reach the user twice. The earlier permit is invalid,
//     and the row ends sent or unknown. Its word on an unknown one is a person's alone ([Dispatcher.Resolve]), and frees no permit.
//  6. Each run of a chunk holds a lease; each transaction of the run first updates the chunk's row under that lease. A call is
//     made only while this node's last committed beat is younger than 2.5 s, which is before anybody may take its chunks.
//  7. The claim resolves user to openid under a lock that excludes moves of openids.
//  8. The counters of a chunk change in the transaction of the rows they count.
//  9. A call of a limited task starts at a slot that the database gave to nobody else, at most 15 ms late, or not at all ([pacer]).
//  10. On Stop nothing new starts; calls in flight finish and are recorded; their chunks are queued for whoever is up.
//  11. Cron entries wake sweepers that read the tables; a lost tick loses nothing.
//
// # Ticks of a schedule
//
// schedule.next_at is the first tick that has not been dealt with. Every daemon looks for due ones each second; the row's lock keeps a
// second one out (a daemon that freezes with it loses it after 5 s), and the key of schedule_tick, which names the tick for good, keeps a
// second firing out whatever becomes of next_at: each of the two holds without the other. Tick, task, its move to sending and its start
// job are one transaction, so a killed daemon leaves all or nothing. Of the ticks that passed while nothing was up the latest instant fires, if it is no later than
// the grace of the misfire policy allows; the others are noted as missed. A tick whose send is refused is noted with the reason and is not tried
// again. A tick sent to a saved list pins the version that is the newest then, and its start job copies the rows page by page.
//
// # Who is alive
//
// A working daemon beats every second on a connection of its own, which also holds an advisory lock on its node id. It is dead
// when it stopped, when its lock is free and its last beat is over 3 s old, or when its last beat is over 8 s old. Only a daemon
// that has itself beaten without a gap for 2.5 s may miss the beats of another: what keeps all of them from the database kills
// nobody, be it a restart (no beat counts as older than 2 s after the start of Postgres), a failover or a suspended machine. A
// stopped process keeps its lock, for 8 s; one whose connection is cut beats on a new one within the second.
//
// A chunk of a dead node is freed: its lease moves on, its rows in sending become pending and ambiguous with their permits in
// the same transaction, and it is queued again, before those that come after it. So a killed daemon's recipients go on within 5 s
// where a worker is free. A daemon also frees chunks that are written to its name but that it does not run: a claim or an end
// that failed. Rows that a claim wrote ahead although it seemed to fail are found under the lease and put back before their
// slots are used again.
//
// A process that is stopped, or whose machine is gone, still holds the locks of its transactions: the server ends them 5 s (sweeps,
// plans, claims, ends of runs) to 15 s after they were last heard of, so that no sweep, start or plan waits for it longer. Chunks of
// dead owners are freed beside all other work, which may wait for a lock that only the freeing lets go. When such a process goes on,
// it beats again at once; it makes no call for what it held before ([node.held]).
//
// A run that ends without knowing what it left in the tables keeps its slots until its chunk is out of this process's name
// ([runs.owe]), so that the rows in sending are never more than the slots.
//
// # Waiting
//
// In a task with wait_for_permit_until, a recipient without a permit is waiting and not skipped. Whoever takes a permit in wakes
// the rows of its user at once; a sweep, a tenth of a second each second, goes round all that wait and finds what that missed, and
// permits that were given back. To wake is to make pending: the claim decides, also when the time is over, so a permit that arrives
// as it ends serves its recipient or stays available. A chunk in which everyone waits is idle and not due: it holds no worker and
// no place in the window.
//
// # Who is served
//
// Tasks share three things by the weights of their priorities (urgent 16, normal 4, bulk 1). The rate of an app: of the tasks that lack slots
// the one that is behind gets the next, over all daemons (function take_slots). The workers of a daemon: a run ends early when a task waits
// that has had less, and the worker it frees goes to that task, whatever the queue hands out ([shares], lease.go). The calls in flight of a
// daemon ([slots]). Nobody starves: what is counted is what each has had for its weight, and the queue's strict priorities only say who is
// tried first.
//
// # Retries
//
// A certain failure that may pass gives the permit back and tries again after 1, 2, 4 … 60 s, at most 6 attempts; then the
// recipient failed. A call that could not be made at all, for want of a connection, a token or the database, is no attempt: it is
// tried again every 5 s for as long as it takes. An ambiguous one is tried again with the same backoff until the platform or the permit's expiry decides.
// A run does not wait for a retry: it ends, and the chunk is queued when the first row is due.
//
// # Whom it leaves alone
//
// The claim looks up, before it takes a permit, who is suppressed (by user id or openid, in the app or in all) and who has had the day's
// messages; both are skipped. What is on the list when the claim begins holds; a row that is in doubt is still settled with its own
// permit, for its message was begun. The daily cap counts by openid, so that two ids of one person share it, and by the day of the
// configured zone on the database's clock: a message counts from its claim on, kept while it is sent or in doubt, given back (to the
// day that it was taken from) once it is certain that nothing was sent. Who comes while the last unit is out is skipped for good.
// A cap that is set counts from then on. An app that has neither a list nor a cap pays one look at an index a claim.
//
// # Whom a task can reach
//
// Reach (reach.go) counts recipients by the first thing that stands against them, in the order of the claim, and those with permits by when their
// last one ends: one count answers for any time of sending. A short list is counted at once. A long one is read, not looked up one by one,
// by a River job of which a task has one at a time, and the figure is kept with its time (table reach): after an upload or a copy,
// when it is scheduled or moved, when who reads it finds it stale or of another list or template, and on request. What a send is refused for
// (no_permit) does not come from it: one look for one who can be reached is quick.
//
// Contended are those of them whose permits would not do for every task that wants them: for a recipient with n usable permits, n or
// more other tasks of the app are scheduled, sending or paused, want permits of the same kind, and have yet to send to that user. It
// does not foretell who comes first, for tasks are moved and paused; it is 0 where nobody could be too late.
//
// # Before it begins
//
// Approval (approval.go) is beside the state of a task: who approved or rejected it, and the hash of content and audience then. Nothing takes it back; it
// is compared with the hash of now wherever it counts, under the lock of the task's row. The last look is in the transaction that makes the
// chunks, after which nothing can change, so that no path to sending goes round it. A tick's task is approved by nobody, so it is refused.
//
// A test (tester.go) is a task of its own with one recipient, of kind "test", so that all of the above holds of it. Who waits for its outcome
// cancels it if it was stopped, or if nobody has taken it up in time, and so does a sweep where nobody waits; who only looks changes nothing. One
// that was called is left to the engine.
//
// A dry run (dryrun.go) looks at what the claim would look at, and renders what it would send. Its pages are transactions of their own, in any
// process, and write to table dry_run alone.
//
// # What stops a task
//
// A person: Pause, Cancel, PauseApp. Each is a commit that every daemon sees in its next look at the states (gate.go), four times a second;
// a look holds for 0.9 s, so that no call starts later than a second after the answer even where the database answers slowly.
// A canceled task makes no further call: what is pending is skipped, in short transactions; what is in flight ends as it ends; an ambiguous
// recipient, whom only another call could decide, is unknown, and keeps its permit.
//
// Quiet hours of its app (quiet.go), unless it is urgent: each daemon puts the cause on and takes it off at the moment, by the database's
// clock, and shuts its own gate at their beginning without asking. A resume does not overrule them. A task sent or due in them starts paused.
//
// Its first calls (canary.go), one by one from one chunk: an error of template, page or settings pauses it at the first; ten refused
// recipients in a row (the list of another app) pause it; after five that were sent, or 20 answered ones, the window opens. Who was
// refused stays failed, at most 20 of them, and may be sent to again by hand. A task that a breaker paused starts with a canary again.
//
// Its answers (breaker.go): many refused recipients in a row or in share pause it for a person. An app's calls without a usable answer open
// the app's breaker, a row of a table: its tasks are paused, and when the wait is over one of them goes on with its canary, whose
// first call decides: answered, the row goes and all go on; not, the wait doubles. A task that a person resumes makes that call at once. What each
// process has seen is its own, what follows from it is in the tables: any daemon makes the probe, after any restart.
//
// A copy of the database (restored.go): where cluster, timeline or database are not those of the last use, every task is held before the
// first call, for a person to decide. A copy that cannot be told so shows by formIds that stand as unused and were used: a run of those
// holds the app's tasks.
package dispatch
