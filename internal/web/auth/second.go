package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/store"
)

var (
	// ErrWrongCode says that a code of the second factor is wrong, or was used before.
	ErrWrongCode = errors.New("the code is wrong, or was used before")
	// ErrChallengeOver says that the first step of a login was too long ago, or is void: it begins anew.
	ErrChallengeOver = errors.New("the login has to begin anew")
)

// ChallengeFor is how long a code is waited for after the first step of a login.
const ChallengeFor = 5 * time.Minute

// Admission is what the first step of a login gives: a session, or the question for a code.
type Admission struct {
	// Session is the value of the session's cookie; empty where a code is wanted first.
	Session string
	// Challenge is the value of the cookie that says whose code is wanted; empty where none is.
	Challenge string
}

// challenge says that somebody has taken the first step of a login. It travels in a sealed cookie: whoever only knows a password can make this
// daemon keep nothing.
type challenge struct {
	AccountID int64 `json:"a"`
	// Password is when the password was set, in microseconds: a new one makes the challenge void.
	Password int64 `json:"p"`
	Expires  int64 `json:"e"`
}

const challengeContext = "login/challenge"

// admit opens a session of an account whose person has taken the first step, or asks for the second.
func (s *Sessions) admit(ctx context.Context, a store.Account) (Admission, error) {
	if a.TOTPAt == nil {
		value, err := s.Open(ctx, a)
		return Admission{Session: value}, err
	}
	text, err := json.Marshal(challenge{AccountID: a.ID, Password: a.PasswordChangedAt.UnixMicro(), Expires: s.cfg.Now().Add(ChallengeFor).Unix()})
	return Admission{Challenge: sealText(s.cfg.Key, text, challengeContext)}, err
}

// Challenged says whether a cookie asks for a code, and of whom. An error is ErrChallengeOver, or the database's.
func (s *Sessions) Challenged(ctx context.Context, value string) (store.Account, error) {
	var c challenge
	text, err := openText(s.cfg.Key, value, challengeContext)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil || s.cfg.Now().Unix() >= c.Expires {
		return store.Account{}, ErrChallengeOver
	}
	a, err := s.store.AccountByID(ctx, c.AccountID)
	if errors.Is(err, push.ErrNotFound) || err == nil && (a.DisabledAt != nil || a.TOTPAt == nil || a.PasswordChangedAt.UnixMicro() != c.Password) {
		err = ErrChallengeOver
	}
	return a, err
}

// Second takes the second step of a login: a code of the phone, or a recovery code; value is the cookie's of the session that it opens. codesLeft
// is how many recovery codes are left after one of them was used, and -1 after a code of the phone. An error is ErrChallengeOver,
// ErrWrongCode, ErrThrottled, or the database's. Attempts are counted before the code is looked at.
func (s *Sessions) Second(ctx context.Context, cookie, code, remoteAddr string) (value string, codesLeft int, err error) {
	a, err := s.Challenged(ctx, cookie)
	if err != nil {
		return "", 0, err
	}
	from, key := subject("address", network(remoteAddr)), subject("code", a.Login)
	if err := s.count(ctx, from, s.cfg.PerAddress); err != nil {
		return "", 0, err
	}
	if err := s.count(ctx, key, s.cfg.PerCode); err != nil {
		return "", 0, err
	}
	err = s.store.InTx(ctx, func(ctx context.Context) error {
		by := Principal{ID: accountID(a.ID), Name: a.Login, Address: address(remoteAddr)}
		if codesLeft, err = s.spend(ctx, by, a, code); err != nil {
			return err
		}
		value, err = s.open(ctx, a, true)
		if errors.Is(err, push.ErrNotFound) {
			return ErrChallengeOver // shut out, or with another password, at this moment
		}
		return err
	})
	if errors.Is(err, ErrWrongCode) {
		s.log.WarnContext(ctx, "wrong code after the right password", slog.Int64("account_id", a.ID))
	}
	if err != nil {
		return "", 0, err
	}
	return value, codesLeft, s.store.ForgetLogin(ctx, key, from)
}

// spend uses a code of an account, which is then used up; an error is ErrWrongCode, or the database's. Like [Sessions.Second] it says how many
// recovery codes are left. A recovery code is noted in the audit log, by whom it is used.
func (s *Sessions) spend(ctx context.Context, by Principal, a store.Account, typed string) (codesLeft int, err error) {
	t, err := s.store.TOTP(ctx, a.ID)
	if errors.Is(err, push.ErrNotFound) || err == nil && t.ConfirmedAt == nil {
		return 0, ErrWrongCode
	}
	if err != nil {
		return 0, err
	}
	code, spent := normalCode(typed), false
	if isTOTP(code) {
		secret, err := s.totpSecret(t)
		if err != nil {
			return 0, err
		}
		if step, ok := matchTOTP(secret, code, s.cfg.Now(), t.LastStep); ok {
			spent, err = s.store.SpendTOTPStep(ctx, a.ID, t.Secret, step)
		}
		if err == nil && !spent {
			err = ErrWrongCode
		}
		return -1, err
	}
	codesLeft, spent, err = s.store.SpendRecoveryCode(ctx, a.ID, recoveryHash(code))
	if err == nil && !spent {
		err = ErrWrongCode
	}
	if err != nil {
		return 0, err
	}
	return codesLeft, s.store.InsertAuditEntry(ctx, accountEntry(by, "account.recovery_code", a.Login, map[string]any{"left": codesLeft}))
}

func (s *Sessions) totpSecret(t store.TOTP) ([]byte, error) {
	secret, err := s.cfg.Key.Open(t.Secret, totpContext(t.AccountID))
	if err != nil {
		return nil, fmt.Errorf("open the second factor of account %d: %w", t.AccountID, err)
	}
	return secret, nil
}

func totpContext(accountID int64) string { return fmt.Sprintf("account/%d/totp", accountID) }

// sealText seals a text for a cookie.
func sealText(key *seal.Key, text []byte, context string) string {
	return base64.RawURLEncoding.EncodeToString(key.Seal(text, context))
}

// openText opens what sealText made.
func openText(key *seal.Key, value, context string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return nil, fmt.Errorf("read cookie: %w", err)
	}
	return key.Open(sealed, context)
}

// Enrolment is a second factor that is being set up: what the phone has to be told.
type Enrolment struct {
	// Secret is for typing, in groups of four; URL is what stands in a QR code. Both are the secret.
	Secret, URL string
}

func enrol(secret []byte, host, login string) Enrolment {
	return Enrolment{Secret: InFours(base32Text.EncodeToString(secret), " "), URL: totpURL(secret, host, login)}
}

// BeginTOTP begins to set up the second factor of the one who is logged in. It counts once ConfirmTOTP was given a code of it. What is wrong is
// an *push.InvalidError of the field "current", or ErrThrottled; ErrTOTPOn says that one is in force.
func (s *Sessions) BeginTOTP(ctx context.Context, n Session, password, host string) (Enrolment, error) {
	if err := s.checkPassword(ctx, n, password); err != nil {
		return Enrolment{}, err
	}
	secret := newTOTPSecret()
	begun, err := s.store.BeginTOTP(ctx, n.AccountID, s.cfg.Key.Seal(secret, totpContext(n.AccountID)))
	if err == nil && !begun {
		err = ErrTOTPOn
	}
	return enrol(secret, host, n.Login), err
}

// ErrTOTPOn says that an account has a second factor in force: it is switched off before another is set up.
var ErrTOTPOn = errors.New("the account has a second factor")

// BegunTOTP is what BeginTOTP returned, of what has not been confirmed. Where there is none, the error is push.ErrNotFound.
func (s *Sessions) BegunTOTP(ctx context.Context, n Session, host string) (Enrolment, error) {
	t, err := s.store.TOTP(ctx, n.AccountID)
	if err == nil && t.ConfirmedAt != nil {
		err = fmt.Errorf("second factor that was begun: %w", push.ErrNotFound)
	}
	if err != nil {
		return Enrolment{}, err
	}
	secret, err := s.totpSecret(t)
	return enrol(secret, host, n.Login), err
}

// ConfirmTOTP puts the second factor that was begun in force: code proves that the phone has it. The account's other sessions end, and this one gets
// another cookie, whose value is returned beside the recovery codes, which nobody can show again. What is wrong is an *push.InvalidError of the field
// "code", or ErrThrottled.
func (s *Sessions) ConfirmTOTP(ctx context.Context, n Session, code string) (codes []string, value string, err error) {
	key := subject("code", n.Login)
	if err := s.count(ctx, key, s.cfg.PerCode); err != nil {
		return nil, "", err
	}
	t, err := s.store.TOTP(ctx, n.AccountID)
	if err == nil && t.ConfirmedAt != nil {
		err = ErrTOTPOn
	}
	if err != nil {
		return nil, "", err
	}
	secret, err := s.totpSecret(t)
	if err != nil {
		return nil, "", err
	}
	step, ok := matchTOTP(secret, normalCode(code), s.cfg.Now(), 0)
	if !ok {
		return nil, "", wrongCode()
	}
	codes, hashes := newRecoveryCodes()
	err = s.store.InTx(ctx, func(ctx context.Context) error {
		confirmed, err := s.store.ConfirmTOTP(ctx, n.AccountID, t.Secret, step, hashes)
		if err == nil && !confirmed {
			err = wrongCode() // another was begun meanwhile
		}
		if err != nil {
			return err
		}
		if value, err = s.renew(ctx, n); err != nil {
			return err
		}
		return s.store.InsertAuditEntry(ctx, accountEntry(n.Principal, "account.totp_on", n.Login, nil))
	})
	if err != nil {
		return nil, "", err
	}
	return codes, value, s.store.ForgetLogin(ctx, key, nil)
}

// TurnOffTOTP takes the second factor away from the one who is logged in, who knows the password and has a code, or a recovery code. The account's
// other sessions end, and this one gets another cookie, whose value is returned. What is wrong is an *push.InvalidError of the field "current" or
// "code", or ErrThrottled.
func (s *Sessions) TurnOffTOTP(ctx context.Context, n Session, password, code string) (value string, err error) {
	if err := s.checkPassword(ctx, n, password); err != nil {
		return "", err
	}
	key := subject("code", n.Login)
	if err := s.count(ctx, key, s.cfg.PerCode); err != nil {
		return "", err
	}
	err = s.store.InTx(ctx, func(ctx context.Context) error {
		_, err := s.spend(ctx, n.Principal, store.Account{ID: n.AccountID, Login: n.Login}, code)
		if errors.Is(err, ErrWrongCode) {
			return wrongCode()
		}
		if err != nil {
			return err
		}
		if _, err := s.store.DeleteTOTP(ctx, n.AccountID); err != nil {
			return err
		}
		if value, err = s.renew(ctx, n); err != nil {
			return err
		}
		return s.store.InsertAuditEntry(ctx, accountEntry(n.Principal, "account.totp_off", n.Login, nil))
	})
	if err != nil {
		return "", err
	}
	return value, s.store.ForgetLogin(ctx, key, nil)
}

func wrongCode() error {
	return &push.InvalidError{Field: "code", Rule: "wrong_code", Message: "is wrong, or was used before"}
}

// RemoveTOTP takes the second factor away from another's account, whose phone is lost, ends its sessions, and notes it in the audit log. It returns
// false where there was none in force.
func RemoveTOTP(ctx context.Context, st *store.Store, by Principal, login string) (was bool, err error) {
	account, err := st.AccountByLogin(ctx, NormalLogin(login))
	if err != nil {
		return false, err
	}
	err = st.InTx(ctx, func(ctx context.Context) error {
		if was, err = st.DeleteTOTP(ctx, account.ID); err != nil || !was {
			return err
		}
		if err := st.DeleteSessionsOf(ctx, account.ID, nil); err != nil {
			return err
		}
		return st.InsertAuditEntry(ctx, accountEntry(by, "account.totp_remove", account.Login, nil))
	})
	return was, err
}
