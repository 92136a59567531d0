package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what authenticator apps take; HMAC needs no collision resistance
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Codes by time, RFC 6238 with what every authenticator app takes: SHA-1, 6 digits, 30 s, a secret of 160 bits. It is a dozen lines over
// crypto/hmac, checked against the vectors of the RFC; the libraries for it answer yes or no, and a code that is to be used once only needs the step
// that it belongs to.
const (
	totpPeriod = 30 // seconds
	totpDigits = 6
	totpSkew   = 1  // steps before and after now that are taken too: clocks differ, and typing takes time
	totpBytes  = 20 // of a secret
)

// Recovery codes: as many as fit a slip of paper, each of 80 random bits, so that a plain hash is enough.
const (
	recoveryCodes  = 10
	recoveryLength = 16 // characters of base32
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a constant

// totpStep is the time step of a moment.
func totpStep(at time.Time) int64 { return at.Unix() / totpPeriod }

// totpCode is the code of a time step.
func totpCode(secret []byte, step int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step)) //nolint:gosec // steps since 1970 are not negative
	mac := hmac.New(sha1.New, secret)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, n%1_000_000)
}

// matchTOTP finds the time step around now, and after the last one that was used, whose code this is. It takes as long for a wrong code.
func matchTOTP(secret []byte, code string, now time.Time, last int64) (step int64, ok bool) {
	for s := totpStep(now) - totpSkew; s <= totpStep(now)+totpSkew; s++ {
		if subtle.ConstantTimeCompare([]byte(totpCode(secret, s)), []byte(code)) == 1 && s > last && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

// newTOTPSecret makes a secret.
func newTOTPSecret() []byte {
	secret := make([]byte, totpBytes)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	return secret
}

// totpURL is what an authenticator app reads from a QR code. The host, which may have a port, tells installations apart.
func totpURL(secret []byte, host, login string) string {
	issuer := strings.ReplaceAll(url.PathEscape("minipush "+hostname(host)), ":", "%3A")
	return fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d",
		issuer, url.PathEscape(login), base32Text.EncodeToString(secret), issuer, totpDigits, totpPeriod)
}

// isTOTP says whether what was typed looks like a code of the phone, and not like a recovery code.
func isTOTP(code string) bool {
	return len(code) == totpDigits && strings.Trim(code, "0123456789") == ""
}

// normalCode is a code as it is compared: without the spaces and hyphens that make it readable.
func normalCode(typed string) string {
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(typed))
}

// newRecoveryCodes makes recovery codes, as they are shown, and their hashes.
func newRecoveryCodes() (codes []string, hashes [][]byte) {
	for range recoveryCodes {
		code := strings.ToLower(rand.Text()[:recoveryLength])
		hashes = append(hashes, recoveryHash(code))
		codes = append(codes, InFours(code, "-"))
	}
	return codes, hashes
}

func recoveryHash(code string) []byte {
	sum := sha256.Sum256([]byte(code))
	return sum[:]
}

// InFours writes a long text in groups of four characters, as people copy it.
func InFours(text, between string) string {
	var groups []string
	for len(text) > 4 {
		groups, text = append(groups, text[:4]), text[4:]
	}
	return strings.Join(append(groups, text), between)
}
