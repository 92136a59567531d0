// Package api is the JSON API, version 1: what outside programs call.
//
// # One call
//
// A call runs through these stages; each is one function:
//
//	route table → admit (who, which parameters, which role, which app or task) → decode → handler → encode
//	routes.go     admit.go                                                       decode.go          endpoint.go
//
// What a handler returns as an error becomes one answer in problem.go, and nowhere else.
//
// # What holds for every call
//
//  1. Without a token in force: 401. With a role that is too weak: 403. What belongs to an app that the token may not touch
//     does not exist: 404. All three are decided by [API.admit] from the route table, before a handler runs, and change nothing.
//  2. A parameter or a field that is not known is refused, so that a slip of the pen is not an answer to another question.
//  3. A POST with an Idempotency-Key runs in one transaction with the record of its answer (idempotency.go): both are there or
//     neither, and the same request again gets the same answer.
//  4. A change runs in one transaction with its entry in the audit log, whose action is in the route table ([Route.Audit], note.go): who, from
//     where, what, before and after. Where the work is several transactions, the entry is in the one that counts ([Route.Noted]). What programs
//     report by the thousand is not noted, and the table says so ([Route.Unaudited]).
//  5. Times are shown in the configured time zone, with its offset; lists are paged by key, never by offset.
//  6. Handlers read from package store, and change state only through package dispatch.
package api
