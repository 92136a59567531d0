package auth_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
	"minipush/internal/web/auth/authtest"
)

// hand is a clock that is moved by hand.
type hand struct{ at atomic.Int64 }

func (h *hand) now() time.Time       { return time.Unix(h.at.Load(), 0) }
func (h *hand) move(d time.Duration) { h.at.Add(int64(d.Seconds())) }

// phone is an account with a second factor: its secret, its recovery codes, and the session in which it was switched on.
type phone struct {
	*logins
	hand   *hand
	secret string
	codes  []string
	cookie string
}

func setupPhone(t *testing.T, cfg auth.SessionConfig) *phone {
	t.Helper()
	p := &phone{hand: &hand{}}
	p.hand.at.Store(time.Now().Unix())
	cfg.Now = p.hand.now
	p.logins = setupLogins(t, cfg)
	p.enrol(t)
	return p
}

func (p *phone) enrol(t *testing.T) {
	t.Helper()
	value, err := p.sessions.Open(t.Context(), p.account)
	require.NoError(t, err)
	n, err := p.of(t, value)
	require.NoError(t, err)
	e, err := p.sessions.BeginTOTP(t.Context(), n, goodPassword, "127.0.0.1:8080")
	require.NoError(t, err)
	p.secret = e.Secret
	p.codes, p.cookie, err = p.sessions.ConfirmTOTP(t.Context(), n, p.code(t))
	require.NoError(t, err)
	p.hand.move(time.Minute) // its next codes have not been used
}

func (p *phone) code(t *testing.T) string {
	t.Helper()
	return authtest.Code(t, p.secret, p.hand.now())
}

// first takes the first step of a login.
func (p *phone) first(t *testing.T) (challenge string) {
	t.Helper()
	in, err := p.sessions.Login(t.Context(), "ann", goodPassword, "192.0.2.1:1")
	require.NoError(t, err)
	require.Empty(t, in.Session, "the password alone gives no session")
	require.NotEmpty(t, in.Challenge)
	return in.Challenge
}

// actions are those of the audit log, newest first, and all that it says of them.
func (l *logins) actions(t *testing.T) (actions []string, said string) {
	t.Helper()
	entries, err := l.store.AuditEntries(t.Context(), 0, 100)
	require.NoError(t, err)
	for _, e := range entries {
		actions = append(actions, e.Action)
		for k, v := range e.Detail {
			text, _ := v.(string)
			said += k + text + "\n"
		}
	}
	return actions, said
}

func (p *phone) sessionCount(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, p.pool.QueryRow(t.Context(), `SELECT count(*) FROM session`).Scan(&n))
	return n
}

func TestTOTP_IsAskedForAfterThePassword_AndEachCodeIsTakenOnce(t *testing.T) {
	t.Parallel()
	p := setupPhone(t, auth.SessionConfig{})
	n, err := p.of(t, p.cookie)
	require.NoError(t, err, "the session goes on under another cookie")
	require.Equal(t, "ann", n.Login)

	challenge, code := p.first(t), p.code(t)
	require.Equal(t, 1, p.sessionCount(t))
	_, err = p.of(t, challenge)
	require.ErrorIs(t, err, auth.ErrUnauthenticated, "a challenge is no session")
	for _, wrong := range []string{"", "000000x", "abcd-efgh"} {
		_, _, err = p.sessions.Second(t.Context(), challenge, wrong, "192.0.2.1:1")
		require.ErrorIs(t, err, auth.ErrWrongCode)
	}
	value, left, err := p.sessions.Second(t.Context(), challenge, " "+code[:3]+" "+code[3:], "192.0.2.1:1")
	require.NoError(t, err)
	require.Equal(t, -1, left)
	_, err = p.of(t, value)
	require.NoError(t, err)

	_, _, err = p.sessions.Second(t.Context(), p.first(t), code, "192.0.2.1:1")
	require.ErrorIs(t, err, auth.ErrWrongCode, "it was used")
	p.hand.move(30 * time.Second)
	_, _, err = p.sessions.Second(t.Context(), challenge, p.code(t), "192.0.2.1:1")
	require.NoError(t, err)
	actions, said := p.actions(t)
	require.Equal(t, []string{"account.totp_on", "account.add"}, actions)
	require.NotContains(t, said, strings.ReplaceAll(p.secret, " ", ""))
}

func TestTOTP_TheCodeThatSwitchedItOnIsUsed(t *testing.T) {
	t.Parallel()
	p := setupPhone(t, auth.SessionConfig{})
	p.hand.move(-time.Minute)
	_, _, err := p.sessions.Second(t.Context(), p.first(t), p.code(t), "192.0.2.1:1")
	require.ErrorIs(t, err, auth.ErrWrongCode)
}

func TestTOTP_OfManyWhoTypeTheSameCodeAtOnce_OneIsLetIn(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]func(*phone) string{
		"of the phone": func(p *phone) string { return p.code(t) }, "for recovery": func(p *phone) string { return p.codes[0] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setupPhone(t, auth.SessionConfig{PerCode: 100})
			challenge, code := p.first(t), code(p)
			var in, wrong atomic.Int32
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					_, _, err := p.sessions.Second(context.Background(), challenge, code, "192.0.2.1:1")
					switch {
					case err == nil:
						in.Add(1)
					case errors.Is(err, auth.ErrWrongCode):
						wrong.Add(1)
					}
				})
			}
			all.Wait()
			require.Equal(t, []int32{1, 7}, []int32{in.Load(), wrong.Load()})
			require.Equal(t, 2, p.sessionCount(t), "that in which it was switched on, and the one that won")
		})
	}
}

// Whoever has read that a code was not used, and waits for the one who uses it at this moment, is refused.
func TestTOTP_WhoWaitsForTheSameCode_IsRefused(t *testing.T) {
	t.Parallel()
	p := setupPhone(t, auth.SessionConfig{})
	kept, err := p.store.TOTP(t.Context(), p.account.ID)
	require.NoError(t, err)
	challenge, code, lost := p.first(t), p.code(t), make(chan error, 1)
	require.NoError(t, p.store.InTx(t.Context(), func(ctx context.Context) error {
		spent, err := p.store.SpendTOTPStep(ctx, p.account.ID, kept.Secret, p.hand.now().Unix()/30)
		require.NoError(t, err)
		require.True(t, spent)
		go func() {
			_, _, err := p.sessions.Second(context.WithoutCancel(t.Context()), challenge, code, "192.0.2.1:1")
			lost <- err
		}()
		p.somebodyWaits(t)
		return nil
	}))
	require.ErrorIs(t, <-lost, auth.ErrWrongCode)
	require.Equal(t, 1, p.sessionCount(t))
}

// somebodyWaits returns once a transaction waits for the lock of another.
func (l *logins) somebodyWaits(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waits bool
		require.NoError(t, l.pool.QueryRow(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_locks w JOIN pg_stat_activity a USING (pid) WHERE NOT w.granted AND a.datname = current_database())`).Scan(&waits))
		return waits
	}, time.Minute, 10*time.Millisecond)
}

func TestTOTP_RecoveryCodesWorkOnce_AndAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	p := setupPhone(t, auth.SessionConfig{})
	require.Len(t, p.codes, 10)
	_, left, err := p.sessions.Second(t.Context(), p.first(t), strings.ToUpper(p.codes[3]), "192.0.2.1:1")
	require.NoError(t, err)
	require.Equal(t, 9, left)
	_, _, err = p.sessions.Second(t.Context(), p.first(t), p.codes[3], "192.0.2.1:1")
	require.ErrorIs(t, err, auth.ErrWrongCode)
	entries, err := p.store.AuditEntries(t.Context(), 0, 1)
	require.NoError(t, err)
	require.Equal(t, "account.recovery_code ann 192.0.2.1", entries[0].Action+" "+entries[0].Actor+" "+entries[0].Address)
	require.Equal(t, map[string]any{"left": 9.0}, entries[0].Detail)
	var stored int
	require.NoError(t, p.pool.QueryRow(t.Context(), `SELECT count(*) FROM recovery_code WHERE position($1::bytea IN hash) > 0`, []byte(p.codes[0][:4])).Scan(&stored))
	require.Zero(t, stored, "only hashes are kept")
}

func TestTOTP_CodesAreThrottled_AlsoTheRightOne_AndNoPasswordForgetsIt(t *testing.T) {
	t.Parallel()
	p := setupPhone(t, auth.SessionConfig{PerCode: 3})
	for range 3 {
		_, _, err := p.sessions.Second(t.Context(), p.first(t), "000000", "192.0.2.1:1")
		require.ErrorIs(t, err, auth.ErrWrongCode)
	}
	for _, code := range []string{p.code(t), p.codes[0]} {
		_, _, err := p.sessions.Second(t.Context(), p.first(t), code, "192.0.2.2:1")
		require.ErrorIs(t, err, auth.ErrThrottled)
	}
	p.exec(t, `UPDATE login_attempt SET since = since - interval '16 minutes'`)
	_, _, err := p.sessions.Second(t.Context(), p.first(t), p.code(t), "192.0.2.1:1")
	require.NoError(t, err, "a new window")
}

func TestTOTP_ChallengeIsVoid(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, p *phone){
		"after a while":        func(_ *testing.T, p *phone) { p.hand.move(5 * time.Minute) },
		"with a new password":  func(t *testing.T, p *phone) { t.Helper(); require.NoError(t, p.reset(t)) },
		"when it is shut out":  func(t *testing.T, p *phone) { t.Helper(); p.exec(t, `UPDATE account SET disabled_at = now()`) },
		"without the factor":   func(t *testing.T, p *phone) { t.Helper(); p.exec(t, `DELETE FROM account_totp`) },
		"without its account":  func(t *testing.T, p *phone) { t.Helper(); p.exec(t, `DELETE FROM account`) },
		"sealed by another":    nil,
		"where there was none": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setupPhone(t, auth.SessionConfig{})
			challenge := p.first(t)
			switch name {
			case "sealed by another":
				challenge = setupPhone(t, auth.SessionConfig{}).first(t)
			case "where there was none":
				challenge = ""
			default:
				spoil(t, p)
			}
			_, _, err := p.sessions.Second(t.Context(), challenge, p.code(t), "192.0.2.1:1")
			require.ErrorIs(t, err, auth.ErrChallengeOver)
		})
	}
}

func (p *phone) reset(t *testing.T) error {
	t.Helper()
	return auth.ResetPassword(t.Context(), p.store, auth.Principal{Name: "root"}, "ann", "another good password")
}

func TestTOTP_SwitchingItOnAndOffEndsTheOtherSessions_AndRenewsThisOne(t *testing.T) {
	t.Parallel()
	p := setupPhone(t, auth.SessionConfig{})
	value, _, err := p.sessions.Second(t.Context(), p.first(t), p.code(t), "192.0.2.1:1")
	require.NoError(t, err)
	n, err := p.of(t, value)
	require.NoError(t, err)
	p.hand.move(time.Minute)
	for field, try := range map[string][2]string{"current": {"wrong", p.code(t)}, "code": {goodPassword, "000000"}} {
		_, err = p.sessions.TurnOffTOTP(t.Context(), n, try[0], try[1])
		invalid, ok := errors.AsType[*push.InvalidError](err)
		require.True(t, ok, err)
		require.Equal(t, field, invalid.Field)
	}
	_, err = p.sessions.BeginTOTP(t.Context(), n, goodPassword, "h")
	require.ErrorIs(t, err, auth.ErrTOTPOn, "another phone needs the one before switched off")
	_, _, err = p.sessions.ConfirmTOTP(t.Context(), n, p.code(t))
	require.ErrorIs(t, err, auth.ErrTOTPOn)
	renewed, err := p.sessions.TurnOffTOTP(t.Context(), n, goodPassword, p.code(t))
	require.NoError(t, err, "the code was not used up by what was refused before it")
	for cookie, alive := range map[string]bool{p.cookie: false, value: false, renewed: true} {
		_, err := p.of(t, cookie)
		require.Equal(t, alive, err == nil, err)
	}
	in, err := p.sessions.Login(t.Context(), "ann", goodPassword, "192.0.2.1:1")
	require.NoError(t, err)
	require.NotEmpty(t, in.Session)
	actions, _ := p.actions(t)
	require.Equal(t, []string{"account.totp_off", "account.totp_on", "account.add"}, actions)

	p.hand.move(time.Minute)
	before := p.codes
	p.enrol(t)
	_, _, err = p.sessions.Second(t.Context(), p.first(t), before[0], "192.0.2.1:1")
	require.ErrorIs(t, err, auth.ErrWrongCode, "old recovery codes are gone")
}

func TestTOTP_CountsOnlyOnceACodeOfItWasTyped(t *testing.T) {
	t.Parallel()
	h := &hand{}
	h.at.Store(time.Now().Unix())
	l := setupLogins(t, auth.SessionConfig{Now: h.now})
	value, err := l.sessions.Open(t.Context(), l.account)
	require.NoError(t, err)
	n, err := l.of(t, value)
	require.NoError(t, err)
	_, err = l.sessions.BegunTOTP(t.Context(), n, "h")
	require.ErrorIs(t, err, push.ErrNotFound)
	_, err = l.sessions.BeginTOTP(t.Context(), n, "wrong", "h")
	require.ErrorContains(t, err, "wrong_password")
	e, err := l.sessions.BeginTOTP(t.Context(), n, goodPassword, "h")
	require.NoError(t, err)
	require.Contains(t, e.URL, strings.ReplaceAll(e.Secret, " ", ""))
	again, err := l.sessions.BegunTOTP(t.Context(), n, "h")
	require.NoError(t, err)
	require.Equal(t, e, again)
	_, _, err = l.sessions.ConfirmTOTP(t.Context(), n, "000000")
	require.ErrorContains(t, err, "wrong_code")
	in, err := l.sessions.Login(t.Context(), "ann", goodPassword, "192.0.2.1:1")
	require.NoError(t, err)
	require.NotEmpty(t, in.Session, "it is not in force")
	other, err := l.sessions.BeginTOTP(t.Context(), n, goodPassword, "h")
	require.NoError(t, err)
	require.NotEqual(t, e.Secret, other.Secret)
	var stored []byte
	require.NoError(t, l.pool.QueryRow(t.Context(), `SELECT secret FROM account_totp`).Scan(&stored))
	require.NotContains(t, string(stored), strings.ReplaceAll(other.Secret, " ", ""), "it is sealed")
	_, _, err = l.sessions.ConfirmTOTP(t.Context(), n, authtest.Code(t, other.Secret, h.now()))
	require.NoError(t, err)
	_, err = l.of(t, in.Session)
	require.ErrorIs(t, err, auth.ErrUnauthenticated, "a session by the password alone ends")
	_, err = l.sessions.Open(t.Context(), l.account)
	require.ErrorIs(t, err, push.ErrNotFound, "and no other begins, though the account was read before")
}

func TestRemoveTOTP_ByAnAdministrator_EndsSessions_AndIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	p := setupPhone(t, auth.SessionConfig{})
	by := auth.Principal{Name: "root", Address: "10.0.0.1"}
	_, err := auth.RemoveTOTP(t.Context(), p.store, by, "nobody")
	require.ErrorIs(t, err, push.ErrNotFound)
	was, err := auth.RemoveTOTP(t.Context(), p.store, by, "ANN")
	require.NoError(t, err)
	require.True(t, was)
	_, err = p.of(t, p.cookie)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
	was, err = auth.RemoveTOTP(t.Context(), p.store, by, "ann")
	require.NoError(t, err)
	require.False(t, was)
	actions, _ := p.actions(t)
	require.Equal(t, []string{"account.totp_remove", "account.totp_on", "account.add"}, actions)
	in, err := p.sessions.Login(t.Context(), "ann", goodPassword, "192.0.2.1:1")
	require.NoError(t, err)
	require.NotEmpty(t, in.Session)
}

func TestOpen_LosesAgainstWhatHappensMeanwhile(t *testing.T) {
	t.Parallel()
	l := setupLogins(t, auth.SessionConfig{})
	read, err := l.store.AccountByLogin(t.Context(), "ann")
	require.NoError(t, err)
	l.exec(t, `UPDATE account SET disabled_at = now()`)
	_, err = l.sessions.Open(t.Context(), read)
	require.ErrorIs(t, err, push.ErrNotFound, "shut out")
	l.exec(t, `UPDATE account SET disabled_at = NULL, password_changed_at = now()`)
	_, err = l.sessions.Open(t.Context(), read)
	require.ErrorIs(t, err, push.ErrNotFound, "another password")
	var n int
	require.NoError(t, l.pool.QueryRow(t.Context(), `SELECT count(*) FROM session`).Scan(&n))
	require.Zero(t, n)
}

// A login by the password that waits for the switching on of a second factor gives no session.
func TestOpen_ThatWaitsForTheSecondFactor_GivesNoSession(t *testing.T) {
	t.Parallel()
	l := setupLogins(t, auth.SessionConfig{})
	_, err := l.store.BeginTOTP(t.Context(), l.account.ID, []byte("sealed"))
	require.NoError(t, err)
	lost := make(chan error, 1)
	require.NoError(t, l.store.InTx(t.Context(), func(ctx context.Context) error {
		confirmed, err := l.store.ConfirmTOTP(ctx, l.account.ID, []byte("sealed"), 1, nil)
		require.NoError(t, err)
		require.True(t, confirmed)
		go func() {
			_, err := l.sessions.Open(context.WithoutCancel(t.Context()), l.account)
			lost <- err
		}()
		l.somebodyWaits(t)
		return nil
	}))
	require.ErrorIs(t, <-lost, push.ErrNotFound)
	_, err = l.store.TOTP(t.Context(), l.account.ID)
	require.NoError(t, err)
}

// account is one to be made.
func account(login string) store.Account {
	return store.Account{Login: login, Name: login, Role: "viewer"}
}
