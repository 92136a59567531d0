// Package sim is a simulator of the WeChat mini-program API: it speaks the platform's own protocol, remembers what each
// openid received, and misbehaves on request. The commands sim and demo serve it, and tests embed it.
//
// # Model
//
// A [Sim] is an http.Handler. Under /cgi-bin/ it answers as the platform does: HTTP 200 and an errcode, for success and
// failure alike. Under /sim/ it is a laboratory: formIds are minted as phones would yield them, faults are set, and the
// ledger of delivered messages is read. State is in memory and ends with the Sim.
//
// There are two channels. A message to template/send spends a permit; one to message/subscribe/send spends one of the
// consents that its user gave to its template.
//
// A permit (formId) belongs to one app and one openid, is good for one message and for seven days. A call passes the
// checks in the platform's order: token (41001, 40001, 42001), body (44002, 47002, 47001), limits (45009, 45011), openid
// (40003), template (40037), page (41030), fields (47003), and the permit last (41028, 41029), so that no other refusal
// costs a permit.
//
// Consents are counters, one for each app, openid and template: accepting adds one, a message takes one away, and a user who turns
// the template off loses all. Nothing left is 43101, a template of the other channel 43102. The fields are checked by the
// rules of package wechat, which the real platform holds more of than it documents. A second call for an openid whose first
// has not been answered is 43108. The msgids are above 2^53 and stand in the answer as bare numbers.
//
// An app with a [Callback] gets the platform's events: that users accepted a template or turned it off, and that a message was
// delivered, under the msgid that the send was answered with. [Sim.Push] posts them after the set delay, stamped and signed,
// and again where the answer is neither "success" nor nothing. They come from the deed and not from the answer: a message
// whose answer a fault spoilt has its event too.
//
// # Invariants
//
//  1. Of any number of concurrent sends with one formId exactly one is answered 0; the others are answered 41029. Of those
//     for one openid on the subscribe channel all but the first are answered 43108; a caller that waits for each answer
//     never meets that code.
//  2. A message stands in the ledger if and only if its permit or consent was used up by that call, whatever the caller was told:
//     the two happen in one critical section, and faults act before or after it, never inside.
//  3. The ledger's order is the order of delivery; its times are those at which the request had been read.
//  4. A fault that is decided by chance depends on the seed, the rule, the openid and how many calls that openid had
//     before, not on the order in which calls of different openids arrive. The same seed gives the same run.
//
// # Cost
//
// The hot path is one call in flight at a time on one mutex for about a microsecond: a body of the usual shape is read by
// hand, and a message costs 80 bytes in the ledger, plus its values where they are personal. The benchmark holds the
// handler against one that answers a constant.
//
// # Adding a channel
//
// A channel is a file like template.go or subscribe.go: a handler that reads the body, one function that decides under the mutex, and a
// line in routes. [Sim.serveCall] gives it faults, counting and latency; ledger.add takes its messages.
package sim
