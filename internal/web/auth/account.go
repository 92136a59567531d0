package auth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"minipush/internal/push"
	"minipush/internal/store"
)

// AccountRoles lists the roles that a person may have, the weakest first; a collector is a program and has a token.
func AccountRoles() []Role {
	return slices.DeleteFunc(Roles(), func(r Role) bool { return r < Viewer })
}

// AddAccount makes an account and notes it in the audit log. a has login, name, role and apps; by says who makes it.
func AddAccount(ctx context.Context, st *store.Store, by Principal, a store.Account, password string) (account store.Account, err error) {
	a.Login, a.Name, a.CreatedBy = NormalLogin(a.Login), strings.TrimSpace(a.Name), by.Name
	role, known := ParseRole(a.Role)
	if !known || role < Viewer {
		err = &push.InvalidError{Field: "role", Rule: "unknown_value", Message: "must be viewer, author, approver, operator or admin"}
	}
	err = errors.Join(err, push.RequireText("login", a.Login, 64), push.RequireText("name", a.Name, 64), CheckPassword("password", a.Login, password))
	if err != nil {
		return store.Account{}, err
	}
	if a.PasswordHash, err = HashPassword(ctx, password); err != nil {
		return store.Account{}, err
	}
	err = st.InTx(ctx, func(ctx context.Context) error {
		if account, err = st.InsertAccount(ctx, a); err != nil {
			return err
		}
		return st.InsertAuditEntry(ctx, accountEntry(by, "account.add", account.Login, map[string]any{"role": account.Role}))
	})
	return account, err
}

// ResetPassword sets the password of another's account, ends its sessions, and notes it in the audit log.
func ResetPassword(ctx context.Context, st *store.Store, by Principal, login, password string) error {
	account, err := st.AccountByLogin(ctx, NormalLogin(login))
	if err != nil {
		return err
	}
	if err := CheckPassword("password", account.Login, password); err != nil {
		return err
	}
	hash, err := HashPassword(ctx, password)
	if err != nil {
		return err
	}
	return st.InTx(ctx, func(ctx context.Context) error {
		if err := st.SetAccountPassword(ctx, account.ID, hash, nil); err != nil {
			return err
		}
		return st.InsertAuditEntry(ctx, accountEntry(by, "account.password", account.Login, nil))
	})
}

// LinkAccount links an account to who its person is at an OpenID provider, and notes it in the audit log. Whoever signs in there as that subject is
// this account from then on. What is wrong is an *push.InvalidError of the field "subject".
func LinkAccount(ctx context.Context, st *store.Store, by Principal, login, issuer, subject string) error {
	subject = strings.TrimSpace(subject)
	if err := push.RequireText("subject", subject, 255); err != nil {
		return err
	}
	account, err := st.AccountByLogin(ctx, NormalLogin(login))
	if err != nil {
		return err
	}
	return st.InTx(ctx, func(ctx context.Context) error {
		if err := st.LinkAccount(ctx, store.AccountIdentity{Issuer: issuer, Subject: subject, AccountID: account.ID, LinkedBy: by.Name}); err != nil {
			return err
		}
		return st.InsertAuditEntry(ctx, accountEntry(by, "account.link", account.Login, map[string]any{"issuer": issuer, "subject": subject}))
	})
}

// UnlinkAccount takes the links of an account to OpenID providers away, ends its sessions, which may have come from there, and notes it in the audit
// log. It returns false where there was none.
func UnlinkAccount(ctx context.Context, st *store.Store, by Principal, login string) (was bool, err error) {
	account, err := st.AccountByLogin(ctx, NormalLogin(login))
	if err != nil {
		return false, err
	}
	err = st.InTx(ctx, func(ctx context.Context) error {
		n, err := st.UnlinkAccount(ctx, account.ID)
		if was = n > 0; err != nil || !was {
			return err
		}
		if err := st.DeleteSessionsOf(ctx, account.ID, nil); err != nil {
			return err
		}
		return st.InsertAuditEntry(ctx, accountEntry(by, "account.unlink", account.Login, nil))
	})
	return was, err
}

// accountEntry is an entry of the audit log about an account.
func accountEntry(by Principal, action, login string, detail map[string]any) store.AuditEntry {
	return store.AuditEntry{Actor: by.Name, ActorID: by.ID, Action: action, Object: "account:" + login, Address: by.Address, Detail: detail}
}
