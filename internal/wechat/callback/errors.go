package callback

import (
	"errors"
	"fmt"
)

// Why a request was refused. Each reason is an error of its own, to be tested with [errors.Is].
var (
	// ErrTooLarge: the body is longer than [MaxBodyBytes].
	ErrTooLarge = errors.New("callback body is too large")
	// ErrMalformed: the body is neither the XML nor the JSON of a message, or a known event lacks what it cannot be used
	// without. What is missing stands behind it.
	ErrMalformed = errors.New("callback message is malformed")
	// ErrNotEncrypted: the mode asks for encryption and the body has no Encrypt.
	ErrNotEncrypted = errors.New("callback body is not encrypted, and the mode asks for it")
	// ErrEncrypted: there is nothing but Encrypt where a readable message belongs, as when the mode is plain and the
	// platform's is safe.
	ErrEncrypted = errors.New("callback message is encrypted where it should be readable")
	// ErrSignature: the request was not signed with our token, or was changed after it was.
	ErrSignature = errors.New("callback signature does not match")
	// ErrStale: the signature is right and its stamp is outside the window: a replay, or one of the two clocks is wrong.
	ErrStale = errors.New("callback stamp is outside the window")
	// ErrDamaged: what was signed does not decrypt to an envelope: another EncodingAESKey, a cut text, wrong padding.
	ErrDamaged = errors.New("callback message does not decrypt")
	// ErrAppID: the message was encrypted for another app.
	ErrAppID = errors.New("callback message is for another app")
)

// malformed says what is wrong in constant words: the decoders' own errors would quote the body.
func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
