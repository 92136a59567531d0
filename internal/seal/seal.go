// Package seal encrypts app secrets and tokens before they are stored, with one key that lives outside the database.
//
// A sealed value is
//
//	version (1 byte) · key id (4) · nonce (24) · XChaCha20-Poly1305 of the plain text, with its tag (16)
//
// Invariants:
//
//  1. The header and the context are authenticated: a value that was moved to another row or another column, or whose
//     header was changed, does not open.
//  2. Every value has its own random nonce of 192 bits, so equal secrets do not look equal and no counter must be kept.
//  3. The key id is a one-way fingerprint. It tells "sealed under another key" ([ErrWrongKey], bring the right key) from
//     "damaged" ([ErrDamaged], enter the secret again).
//  4. No error and no printed form of a key holds key material or plain text.
package seal

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	version    = 1
	keyIDBytes = 4
	headBytes  = 1 + keyIDBytes
	nonceBytes = chacha20poly1305.NonceSizeX
	// Overhead is how many bytes a sealed value is longer than its plain text.
	Overhead = headBytes + nonceBytes + chacha20poly1305.Overhead
)

var (
	// ErrBadKey says that a text is not a key: 32 bytes in base64 or in hexadecimal digits.
	ErrBadKey = errors.New("a secret key is 32 bytes, written in base64 or as 64 hexadecimal digits")
	// ErrWrongKey says that a value was sealed under another key.
	ErrWrongKey = errors.New("sealed under another secret key")
	// ErrDamaged says that a value was changed, cut, or stored under another context than it was sealed for.
	ErrDamaged = errors.New("sealed value is damaged or belongs elsewhere")
	// ErrUnknownVersion says that a value was sealed by a newer program.
	ErrUnknownVersion = errors.New("sealed in a form that this version does not know")
)

// Key seals and opens values. It is safe for concurrent use.
type Key struct {
	id   [keyIDBytes]byte
	aead cipher.AEAD
}

// GenerateKey returns a new random key in base64, as [NewKey] takes it.
func GenerateKey() string {
	raw := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(raw) // never fails: the runtime ends the program where the system has no randomness
	return base64.StdEncoding.EncodeToString(raw)
}

// NewKey reads a key of 32 bytes: 64 hexadecimal digits, or base64 in its standard or URL form, padded or not.
// White space around it is ignored. The error is [ErrBadKey] and never repeats the text.
func NewKey(text string) (*Key, error) {
	raw, ok := decodeKey(strings.TrimSpace(text))
	if !ok {
		return nil, ErrBadKey
	}
	aead, err := chacha20poly1305.NewX(raw)
	if err != nil {
		return nil, fmt.Errorf("set up cipher: %w", err)
	}
	k := &Key{aead: aead}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte("minipush/seal/key-id"))
	copy(k.id[:], mac.Sum(nil))
	return k, nil
}

func decodeKey(text string) ([]byte, bool) {
	if raw, err := hex.DecodeString(text); err == nil {
		return raw, len(raw) == chacha20poly1305.KeySize
	}
	// The two alphabets of base64 differ in two characters, padding is optional: bring all four forms to one.
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	raw, err := base64.RawStdEncoding.Strict().DecodeString(text)
	return raw, err == nil && len(raw) == chacha20poly1305.KeySize
}

// ID is the fingerprint of the key, eight hexadecimal digits: what logs and messages may show of it.
func (k *Key) ID() string { return hex.EncodeToString(k.id[:]) }

// Seal encrypts plain for one place, which context names, for example "app/1/secret". [Key.Open] needs the same context.
func (k *Key) Seal(plain []byte, context string) []byte {
	sealed := make([]byte, headBytes+nonceBytes, Overhead+len(plain))
	sealed[0] = version
	copy(sealed[1:], k.id[:])
	nonce := sealed[headBytes:]
	_, _ = rand.Read(nonce) // never fails, see GenerateKey
	return k.aead.Seal(sealed, nonce, plain, associated(sealed[:headBytes], context))
}

// Open decrypts what [Key.Seal] made for the same context. The errors are [ErrWrongKey], [ErrDamaged] and [ErrUnknownVersion].
func (k *Key) Open(sealed []byte, context string) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, ErrDamaged
	}
	if sealed[0] != version {
		return nil, fmt.Errorf("version %d: %w", sealed[0], ErrUnknownVersion)
	}
	if len(sealed) < Overhead {
		return nil, ErrDamaged
	}
	head, nonce, box := sealed[:headBytes], sealed[headBytes:headBytes+nonceBytes], sealed[headBytes+nonceBytes:]
	if id := [keyIDBytes]byte(head[1:]); id != k.id {
		return nil, fmt.Errorf("key %x, have %s: %w", id, k.ID(), ErrWrongKey)
	}
	plain, err := k.aead.Open(nil, nonce, box, associated(head, context))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// associated is the header, whose length is fixed, and the context: together they read in one way only.
func associated(head []byte, context string) []byte {
	return append(append(make([]byte, 0, len(head)+len(context)), head...), context...)
}

// Format prints the fingerprint for every verb: the fields behind it hold the key.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "seal.Key("+k.ID()+")") }

// LogValue is what a log shows of a key.
func (k *Key) LogValue() slog.Value { return slog.StringValue("seal.Key(" + k.ID() + ")") }
