// Command bench measures minipush against what it could be at best and against what it replaces.
//
// The yardstick. On the same machine, in one run, with the same client, the same bodies and the same number of calls in
// flight:
//
//	(0) a bare loop of the client against a handler that answers a constant: what HTTP costs
//	(a) the same loop against the simulator: what is left once the far end does its work; (a)/(0) says whether the
//	    simulator is a fair yardstick
//	(b) the original's algorithm: all formIds in a map, slices of 100 on 32 threads, three statements a recipient
//	(c) one River job per recipient: unique insert, claim, outcome in JobCompleteTx
//	(d) minipush, as a real serve process, from the send request to the end of the task
//
// The machine's mood changes from minute to minute, so only neighbours compare: the variants take turns, pair after
// pair, the order turned round every other pair, and ratios are medians over pairs. Where the machine's mood has no say
// (statements, buffer hits, WAL bytes, tuples read, HOT share) the figures are exact, and are the ones to watch.
//
// Everything is as durable as in production: fsync, synchronous_commit and full_page_writes are on, and the settings are
// printed. Each variant has a fresh database in one fresh private Postgres, dropped after it, and a fresh simulator process. A
// user has three formIds, stored in random order, so that a claim has a choice to make and a duplicate could be seen:
// after each run the far end's own count must be one message per recipient.
//
// WAL bytes without full-page images are read back from the log itself (pg_walinspect, Postgres 15 and later), which tells
// records from images exactly, so full_page_writes stays on; pg_stat_wal's sum of both stands beside them. The counters of
// tables are read once serve has stopped, for a backend keeps its own for up to 10 s.
//
// The regimes (--regimes) repeat the exact figures with what the planner knows brought into three states: everything
// analysed; an older list analysed and a new one just imported; nothing ever analysed and all statements prepared, with
// generic plans, on all but empty tables. Autovacuum is off for these.
//
// The pages (pages) are asked for one after the other over tables that are full, by the web server of package web in this process, as the weakest
// role that may, and the answer is timed to its last byte. Every GET row of the route table has its questions in questions.go: one without fails the run.
// Times hang on the machine's mood; beside them stand what does not: the statements of a page, and the processor time that asker, server and Postgres
// take together, which is what the page would take on a machine that does nothing else.
//
// Postgres roles tell minipush's statements from the bench's own: serve connects as minipush, the bench as the superuser.
package main
