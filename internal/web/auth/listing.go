package auth

import (
	"context"
	"slices"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// AccountInfo is a person who logs in to the console, as programs read it: without the password.
type AccountInfo struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Name  string `json:"name"`
	Role  string `json:"role"`
	// Apps are the apps that it is limited to; nil is all.
	Apps        []string   `json:"apps"`
	CreatedBy   string     `json:"created_by"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	LastLoginAt *time.Time `json:"last_login_at"`
	DisabledAt  *time.Time `json:"disabled_at"`
	// TOTPAt is since when a second factor is asked for; nil where the password is enough. Links are who its person is at OpenID providers.
	TOTPAt *time.Time    `json:"totp_at"`
	Links  []AccountLink `json:"links"`
}

// AccountLink is who the person of an account is at an OpenID provider.
type AccountLink struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// AccountInfos lists all accounts.
func AccountInfos(ctx context.Context, st *store.Store) ([]AccountInfo, error) {
	accounts, err := st.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	apps, err := st.Apps(ctx)
	if err != nil {
		return nil, err
	}
	links, err := st.AccountIdentities(ctx)
	infos := make([]AccountInfo, len(accounts))
	for i, a := range accounts {
		infos[i] = AccountInfo{
			ID: a.ID, Login: a.Login, Name: a.Name, Role: a.Role, Apps: AppKeys(apps, a.AppIDs), CreatedBy: a.CreatedBy, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
			LastLoginAt: a.LastLoginAt, DisabledAt: a.DisabledAt, TOTPAt: a.TOTPAt, Links: []AccountLink{},
		}
		for _, l := range links {
			if l.AccountID == a.ID {
				infos[i].Links = append(infos[i].Links, AccountLink{l.Issuer, l.Subject})
			}
		}
	}
	return infos, err
}

// TokenInfo is a token of the API as programs read it: without its secret.
type TokenInfo struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
	// Apps are the apps that it is limited to; nil is all.
	Apps       []string   `json:"apps"`
	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
}

// TokenInfos lists all tokens, live and revoked.
func TokenInfos(ctx context.Context, st *store.Store) ([]TokenInfo, error) {
	tokens, err := st.APITokens(ctx)
	if err != nil {
		return nil, err
	}
	apps, err := st.Apps(ctx)
	infos := make([]TokenInfo, len(tokens))
	for i, t := range tokens {
		infos[i] = TokenInfo{
			ID: t.ID, Name: t.Name, Role: t.Role, Apps: AppKeys(apps, t.AppIDs), CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
			LastUsedAt: t.LastUsedAt, RevokedAt: t.RevokedAt,
		}
	}
	return infos, err
}

// AppKeys are the keys of apps by their ids; nil, for all, where there are none.
func AppKeys(apps []push.App, ids []int32) (keys []string) {
	for _, app := range apps {
		if slices.Contains(ids, app.ID) {
			keys = append(keys, app.Key)
		}
	}
	return keys
}
