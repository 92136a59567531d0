package callback

import (
	"crypto/sha1" //nolint:gosec // the platform's protocol
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"
)

// Sign is the platform's signature: the lower-case hexadecimal SHA-1 of the token and the parts, sorted and joined. The
// parts are timestamp and nonce for signature, and Encrypt besides for msg_signature.
func Sign(token string, parts ...string) string {
	all := append([]string{token}, parts...)
	slices.Sort(all)
	sum := sha1.Sum([]byte(strings.Join(all, ""))) //nolint:gosec // the platform's protocol
	return hex.EncodeToString(sum[:])
}

// same compares in a time that depends on the lengths only.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
