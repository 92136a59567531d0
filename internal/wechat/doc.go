// Package wechat is a thin typed client of the WeChat mini-program API: the access token, the template message that spends
// a formId, the subscribe message that spends one of a user's subscriptions, and the rules for what its fields may hold. It
// knows the platform's protocol and nothing of tasks, recipients or tables.
//
// # Model
//
// One [Client] serves one app. It owns its transport, makes at most one HTTP request per call (two when the platform
// refuses the token) and never retries on its own, because a hidden retry is a second message. An access token comes from
// the caller's [TokenSource], which is where several daemons share one token.
//
// A call ends in a [Result]: the [Class] of the answer, by the one table per [Channel] that this package holds, and two
// facts about the wire that only the client can know.
//
//   - NotSent: the transport never began to read the request body, so the platform cannot have acted on the request.
//   - Ambiguous: the request may have reached the platform and no usable answer came back (a timeout, a reset, a status
//     other than 200, a body that is not JSON, JSON without errcode, errcode -1). The message may have been delivered.
//     Whether it may be tried again with the same permit is the channel's to say: [Channel.ResendSafe].
//
// # Invariants
//
//  1. A Result is at most one of NotSent and Ambiguous. It is neither exactly when the platform gave a definite answer
//     to this very request.
//  2. ClassOK is given for errcode 0 in a JSON object under status 200, and for nothing else.
//  3. The access token, the app secret, an openid and a formId never appear in the text of an error or in Result.Msg.
//  4. A request body is raw UTF-8. No character is ever written as \uXXXX, which the platform refuses with 47002.
//
// # How "written" is known
//
// The transport asks a body with a known length for its bytes only once it holds a connection, and writes them at once.
// A body that was never read was therefore never sent, and a POST without its body is no message. This is what
// httptrace.WroteRequest would say, without a trace in the context of every call. The transport calls GetBody only after
// a connection died before it took a single byte (a POST without an Idempotency-Key is not replayed otherwise), so a
// rewind starts the question afresh. Where the two could disagree the client errs towards Ambiguous.
package wechat
