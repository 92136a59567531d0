package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// A token is tokenPrefix and tokenBytes random bytes, base64url without padding. The prefix lets secret scanners find it.
const (
	tokenPrefix = "mp_"
	tokenBytes  = 32
)

// NewToken makes a token. plain is shown once and never kept; hash is what [store.Store.InsertAPIToken] keeps.
func NewToken() (plain string, hash []byte) {
	secret := make([]byte, tokenBytes)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	plain = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	return plain, hashOf(plain)
}

// HashToken checks the form of a token and hashes it. SHA-256 without salt is enough: there are 2²⁵⁶ tokens to guess from.
func HashToken(plain string) ([]byte, error) {
	secret, found := strings.CutPrefix(plain, tokenPrefix)
	if !found || len(secret) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return nil, fmt.Errorf("%w: it is not a token of minipush", ErrUnauthenticated)
	}
	return hashOf(plain), nil
}

func hashOf(plain string) []byte {
	sum := sha256.Sum256([]byte(plain))
	return sum[:]
}
