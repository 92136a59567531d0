// Package callback speaks the platform's message push: the requests that WeChat makes to GET|POST /callbacks/wechat/{app}.
// It checks them, decrypts them and reads the three subscription events out of them. It does no I/O; the other side, which
// the simulator plays, is here too.
//
// # Model
//
// An [Endpoint] is one app's callback address as both sides know it: token, EncodingAESKey, appid and the mode that is set
// on the platform's page. [Endpoint.Echo] answers the GET that verifies the address, [Endpoint.Receive] turns a POST into an
// [Event], and [Endpoint.Compose] makes the request that Receive takes.
//
// In plain mode the query carries signature = sha1(sort(token, timestamp, nonce)). It does not cover the body: whoever reads
// one request can send another body under it until its stamp is stale. In the other two modes the body holds Encrypt, and the
// query msg_signature = sha1(sort(token, timestamp, nonce, Encrypt)). Encrypt is the base64 of AES-256-CBC, with the first
// half of the key as its IV, over
//
//	random (16 bytes) · length of the message (4, big-endian) · message · appid · padding (PKCS#7, to a multiple of 32)
//
// Compat mode sends the readable members beside Encrypt. They are not read: anybody could change them. So compat and safe
// mode differ in what the platform sends and not in what is believed, and each refuses a body without Encrypt, or stripping
// it would be a way round the signature. Plain mode in turn takes a compat body by its readable members. So an address moves
// from plain to safe without losing an event: first the platform to compat, then this side to safe, then the platform.
//
// # Invariants
//
//  1. Nothing is decrypted before its msg_signature was found right. Padding and appid are only ever looked at in bytes that
//     a holder of the token signed, so no answer of ours is an oracle for anybody else.
//  2. Signatures and appid are compared in constant time.
//  3. A request whose stamp is further from our clock than the window, in either direction, is refused.
//  4. The text of an error holds no token, key, openid or part of a body.
//  5. A message reads the same in JSON and in XML, its numbers written as numbers or as strings, and gives the same keys.
//
// # The same request twice
//
// The platform waits 5 seconds for an answer and then tries up to three times more, under the same stamp or a new one. A
// request seen before is therefore no attack and is not refused: within the window nothing is remembered. Instead every item
// of an event has a Key, the same in each delivery, which the caller stores under a unique index per app. FromUserName and
// CreateTime alone, which the platform advises, are shared by different events of the same second. Only two popups of one user
// in one second with the very same answers cannot be told from a retry: they count once.
//
// Keep the keys, and do not trust the window to stand in for them: the signature joins its parts without a mark between them,
// so whoever holds an old request can move digits between nonce and stamp until the stamp reads as a later time.
//
// # What is left to the caller
//
// Read the body up to [MaxBodyBytes] and one byte more. Answer "success" within 5 seconds once the keys are stored, and to
// an event that is not known, too. Echo returns text that a plain signature does not cover: answer it as text/plain with
// nosniff.
package callback
