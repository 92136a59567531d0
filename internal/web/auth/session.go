package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/store"
)

// ErrThrottled says that there were too many attempts to log in, with that login or from that address.
var ErrThrottled = errors.New("too many attempts to log in")

// ErrWrongLogin says that login or password are wrong. Which of them, nobody learns.
var ErrWrongLogin = errors.New("login or password are wrong")

// SessionConfig tunes logins. Zero values are replaced by the defaults named.
type SessionConfig struct {
	// Idle is how long a session lasts without being used. Default 12 h.
	Idle time.Duration
	// Lifetime is how long it lasts at most. Default 7 days.
	Lifetime time.Duration
	// Window is the time in which attempts are counted. Default 15 min.
	Window time.Duration
	// PerAccount and PerAddress bound the attempts in a window that do not succeed. Defaults 10 and 60. PerCode bounds those with a code of the
	// second factor, of an account whose password is known by then: three of a million codes are right at a time. Default 5.
	PerAccount, PerAddress, PerCode int
	// Key seals the secrets of second factors, and the cookies between the steps of a login.
	Key *seal.Key
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Sessions logs people in and out. A session is a random cookie, of which the database has the SHA-256; every request looks it
// up, so that a logout or a changed role holds at once. All methods may be called concurrently.
type Sessions struct {
	cfg   SessionConfig
	store *store.Store
	log   *slog.Logger
}

// Session is a login in force.
type Session struct {
	Principal Principal
	// AccountID, Login and Name are those of the account.
	AccountID   int64
	Login, Name string

	hash []byte
}

// NewSessions makes the logins of the accounts in st.
func NewSessions(cfg SessionConfig, st *store.Store, log *slog.Logger) *Sessions {
	cfg.Idle = cmp.Or(cfg.Idle, 12*time.Hour)
	cfg.Lifetime = cmp.Or(cfg.Lifetime, 7*24*time.Hour)
	cfg.Window = cmp.Or(cfg.Window, 15*time.Minute)
	cfg.PerAccount = cmp.Or(cfg.PerAccount, 10)
	cfg.PerAddress = cmp.Or(cfg.PerAddress, 60)
	cfg.PerCode = cmp.Or(cfg.PerCode, 5)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Sessions{cfg: cfg, store: st, log: log}
}

// noAccount is the hash of no password: a login that does not exist costs the time of one that does.
const noAccount = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// Login checks login and password: the first step. An error is ErrThrottled, ErrWrongLogin, or the database's. Attempts are counted before the
// password is looked at; an address that is throttled counts for no account.
func (s *Sessions) Login(ctx context.Context, login, password, remoteAddr string) (Admission, error) {
	login = NormalLogin(login)
	account, address := subject("account", login), subject("address", network(remoteAddr))
	if err := s.count(ctx, address, s.cfg.PerAddress); err != nil {
		return Admission{}, err
	}
	if err := s.count(ctx, account, s.cfg.PerAccount); err != nil {
		return Admission{}, err
	}
	found, err := s.store.AccountByLogin(ctx, login)
	if err != nil && !errors.Is(err, push.ErrNotFound) && !errors.Is(err, push.ErrUnstorable) {
		return Admission{}, err
	}
	phc := noAccount
	if err == nil {
		phc = found.PasswordHash
	}
	if len(password) > 4*MaxPassword { // more bytes than any password has
		password = ""
	}
	right, err := VerifyPassword(ctx, password, phc)
	if err != nil {
		return Admission{}, err
	}
	if !right || found.ID == 0 || found.DisabledAt != nil {
		return Admission{}, ErrWrongLogin
	}
	if err := s.store.ForgetLogin(ctx, account, address); err != nil {
		return Admission{}, err
	}
	in, err := s.admit(ctx, found)
	if errors.Is(err, push.ErrNotFound) {
		err = ErrWrongLogin // shut out, or with another password, at this moment
	}
	return in, err
}

// Open opens a session of an account whose person is known, without a second step: where the account asks for one, or is no longer as it was read, the
// error is push.ErrNotFound. value is the cookie's.
func (s *Sessions) Open(ctx context.Context, a store.Account) (value string, err error) {
	return s.open(ctx, a, false)
}

func (s *Sessions) open(ctx context.Context, a store.Account, second bool) (value string, err error) {
	value = newSession()
	if err := s.store.InsertSession(ctx, sessionHash(value), a, second, s.cfg.Lifetime); err != nil {
		return "", err
	}
	return value, nil
}

// renew ends the other sessions of an account, and gives this one another cookie: what was known of it before, by whomever, is worth nothing.
func (s *Sessions) renew(ctx context.Context, n Session) (value string, err error) {
	value = newSession()
	if err := s.store.DeleteSessionsOf(ctx, n.AccountID, n.hash); err != nil {
		return "", err
	}
	return value, s.store.RenewSession(ctx, n.hash, sessionHash(value))
}

// newSession makes the value of a session's cookie.
func newSession() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(secret)
}

// Of finds the session of a request by its cookie. An error is ErrUnauthenticated, or the database's.
func (s *Sessions) Of(r *http.Request) (Session, error) {
	cookie, err := r.Cookie(CookieName(r))
	if err != nil || len(cookie.Value) > 64 {
		return Session{}, fmt.Errorf("%w: not logged in", ErrUnauthenticated)
	}
	hash := sessionHash(cookie.Value)
	found, err := s.store.SessionByHash(r.Context(), hash, s.cfg.Idle)
	if errors.Is(err, push.ErrNotFound) {
		return Session{}, fmt.Errorf("%w: the session is over", ErrUnauthenticated)
	}
	if err != nil {
		return Session{}, err
	}
	role, known := ParseRole(found.Account.Role)
	if !known {
		return Session{}, fmt.Errorf("check session: the role %q is not known", found.Account.Role)
	}
	if s.cfg.Now().Sub(found.LastUsedAt) >= touchEvery {
		if err := s.store.TouchSession(r.Context(), hash); err != nil {
			s.log.WarnContext(r.Context(), "note use of session", slog.Any("err", err))
		}
	}
	a := found.Account
	return Session{
		Principal: Principal{ID: accountID(a.ID), Name: a.Login, Role: role, AppIDs: a.AppIDs, Address: Address(r)},
		AccountID: a.ID, Login: a.Login, Name: a.Name, hash: hash,
	}, nil
}

// Logout ends a session.
func (s *Sessions) Logout(ctx context.Context, n Session) error {
	return s.store.DeleteSession(ctx, n.hash)
}

// LogoutEverywhere ends every session of the account.
func (s *Sessions) LogoutEverywhere(ctx context.Context, n Session) error {
	return s.store.DeleteSessionsOf(ctx, n.AccountID, nil)
}

// ChangePassword replaces the password of the one who is logged in, ends the account's other sessions, and notes it in the audit log. What is wrong is an
// *push.InvalidError of the fields "current" and "password", or ErrThrottled: attempts count like logins.
func (s *Sessions) ChangePassword(ctx context.Context, n Session, current, password string) error {
	if err := s.checkPassword(ctx, n, current); err != nil {
		return err
	}
	if err := CheckPassword("password", n.Login, password); err != nil {
		return err
	}
	hash, err := HashPassword(ctx, password)
	if err != nil {
		return err
	}
	return s.store.InTx(ctx, func(ctx context.Context) error {
		if err := s.store.SetAccountPassword(ctx, n.AccountID, hash, n.hash); err != nil {
			return err
		}
		return s.store.InsertAuditEntry(ctx, accountEntry(n.Principal, "account.password", n.Login, nil))
	})
}

// checkPassword says whether somebody who is logged in knows the password. What is wrong is an *push.InvalidError of the field "current", or
// ErrThrottled.
func (s *Sessions) checkPassword(ctx context.Context, n Session, password string) error {
	key := subject("account", n.Login)
	if err := s.count(ctx, key, s.cfg.PerAccount); err != nil {
		return err
	}
	account, err := s.store.AccountByID(ctx, n.AccountID)
	if err != nil {
		return err
	}
	right, err := VerifyPassword(ctx, password, account.PasswordHash)
	if err == nil && !right {
		err = &push.InvalidError{Field: "current", Rule: "wrong_password", Message: "is not your password"}
	}
	if err != nil {
		return err
	}
	return s.store.ForgetLogin(ctx, key, nil)
}

func accountID(id int64) string { return "account:" + strconv.FormatInt(id, 10) }

// count counts an attempt of a subject.
func (s *Sessions) count(ctx context.Context, key []byte, limit int) error {
	tries, err := s.store.CountLogin(ctx, key, s.cfg.Window)
	if err == nil && tries > limit {
		err = ErrThrottled
	}
	return err
}

// NormalLogin is a login as it is kept: without spaces around it, in small letters.
func NormalLogin(login string) string { return strings.ToLower(strings.TrimSpace(login)) }

// subject is what attempts are counted by: of a fixed size, whatever was typed.
func subject(kind, name string) []byte {
	sum := sha256.Sum256([]byte(kind + "\x00" + name))
	return sum[:]
}

// network is what attempts from an address are counted by: the address, or the /64 of IPv6, which one person has for himself.
func network(remoteAddr string) string {
	ap, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return remoteAddr
	}
	addr := ap.Addr().Unmap()
	if addr.Is6() {
		prefix, _ := addr.Prefix(64) // 64 is in range
		return prefix.String()
	}
	return addr.String()
}

// Address is where a request comes from, without the port.
func Address(r *http.Request) string { return address(r.RemoteAddr) }

func address(remoteAddr string) string {
	ap, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return ""
	}
	return ap.Addr().Unmap().String()
}

func sessionHash(value string) []byte {
	sum := sha256.Sum256([]byte(value))
	return sum[:]
}
