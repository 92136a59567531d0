// Package localpg runs a private Postgres for commands that were given no database: the demo, serve on a laptop, the tests.
//
// # Model
//
// A data directory holds one cluster. A process that needs it calls [Start] and is then a user of the server; the first user
// starts the server, the last one to leave stops it. Nobody has to be told who is first or last: the kernel knows.
//
//	user ──hello──▶ pipe ──▶ supervisor (sh) ──pg_ctl──▶ postgres
//	user ──hello──▶   │
//	                  └─ end of file, once every user has closed it or died ──▶ pg_ctl stop
//
// The supervisor (supervise.sh) alone starts and stops the server. Every user holds the write end of a named pipe open for
// as long as it uses the server. A user that is killed closes it as surely as one that leaves, so the supervisor, which reads
// the pipe, meets its end exactly when nobody is left, and stops the server. A parent-death signal would not do: it is bound
// to one parent and to one of its threads.
//
// # Layout of a data directory
//
//	<data dir>/postgres/
//	    data/            the cluster (PGDATA), put in place by one rename once it is complete
//	    start.lock       held while a process starts to use the server, so one at a time
//	    users.lock       held shared by each user; the one that can hold it alone knows that it is the last
//	    supervisor.lock  held by the supervisor: says whether there is one
//	    hello, ack       a user writes a token into the pipe; the supervisor answers when the server is ready
//	    server.log       what Postgres says
//
// # Invariants
//
//  1. A cluster that exists is never deleted and never initialised again. If no binaries of its major version are found, Start
//     fails and says so. What is removed is only an unfinished initdb, which has another name.
//  2. A server never outlives its last user by more than 10 s, however that user ended. (Unless somebody kills the supervisor
//     too, which is in a session of its own: then the next Start puts another in its place.)
//  3. The server listens on a unix socket only, in a directory that nobody else can enter; who reaches it is its owner or root.
//  4. fsync, full_page_writes and synchronous_commit are on unless a caller's Settings say otherwise, which only tests may.
//
// Postgres refuses to run as root. For root it runs as the owner of <data dir>/postgres, which is made for the account postgres,
// or nobody where there is none. That account must be able to reach the directory, so root's default is not in root's home.
//
// The package runs on Linux and macOS; on Windows use WSL2.
package localpg
