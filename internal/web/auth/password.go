package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"

	"minipush/internal/push"
)

// A password is hashed with argon2id. 19 MiB and two passes are what OWASP asks for at least, and take some 30 ms of one core;
// hashAtATime keeps a flood of logins from taking the processor and the memory that sending needs. A hash carries its parameters,
// so that they may be raised and old hashes still be checked.
const (
	argonMemory  = 19 * 1024 // KiB
	argonPasses  = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32

	hashAtATime = 2
)

// The limits of a password. The upper one bounds what is hashed.
const (
	MinPassword = 10 // characters
	MaxPassword = 256
)

var hashing = semaphore.NewWeighted(hashAtATime) //nolint:gochecknoglobals // the processor is one for all

// CheckPassword says whether a password may be set: long enough, and that without the login, which does not count.
func CheckPassword(field, login, password string) error {
	n := utf8.RuneCountInString(password)
	if n > MaxPassword {
		return &push.InvalidError{Field: field, Rule: "too_long", Message: fmt.Sprintf("has %d characters; at most %d are allowed", n, MaxPassword)}
	}
	rest := strings.ToLower(password)
	if login != "" {
		rest = strings.ReplaceAll(rest, login, "")
	}
	if left := utf8.RuneCountInString(rest); left < MinPassword {
		return &push.InvalidError{Field: field, Rule: "password_short", Message: fmt.Sprintf("has %d characters beside the login; at least %d are needed", left, MinPassword)}
	}
	return nil
}

// NewPassword makes a password that nobody can guess: 24 letters and digits.
func NewPassword() string { return strings.ToLower(rand.Text()[:24]) }

// HashPassword hashes a password to a PHC string. It waits for its turn, until ctx ends.
func HashPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	key, err := argon(ctx, password, salt, argonPasses, argonMemory, argonThreads, argonKey)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(key)), nil
}

// VerifyPassword says whether a password is that of a PHC string. It takes as long for a wrong password as for the right one.
func VerifyPassword(ctx context.Context, password, phc string) (bool, error) {
	var version, memory, passes, threads uint32
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, fmt.Errorf("check password: the hash is no argon2id")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &threads); err != nil || version != argon2.Version {
		return false, fmt.Errorf("check password: the parameters of the hash cannot be read: %v", err)
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("check password: salt: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) == 0 || passes == 0 || threads == 0 || threads > 255 || memory > 1<<20 {
		return false, fmt.Errorf("check password: the hash is damaged: %v", err)
	}
	got, err := argon(ctx, password, salt, passes, memory, uint8(threads), uint32(len(want)))
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

func argon(ctx context.Context, password string, salt []byte, passes, memory uint32, threads uint8, size uint32) ([]byte, error) {
	if err := hashing.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	defer hashing.Release(1)
	return argon2.IDKey([]byte(password), salt, passes, memory, threads, size), nil
}
