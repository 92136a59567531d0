package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
)

// auditEntry is an entry of the audit log. It is never changed: both times are the same.
type auditEntry struct {
	ID      int64  `json:"id"`
	Actor   string `json:"actor"`
	ActorID string `json:"actor_id"`
	Action  string `json:"action"`
	// App is the app that it is about; nil where it is about none.
	App       *string        `json:"app"`
	Object    string         `json:"object"`
	Address   string         `json:"address"`
	Detail    map[string]any `json:"detail"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

type auditList struct {
	Entries    []auditEntry `json:"entries"`
	NextCursor *string      `json:"next_cursor"`
}

// listAudit lists who changed what, newest first: of the apps that the token sees, where it is limited to some.
func (a *API) listAudit(ctx context.Context, c *call, _ *none) (*auditList, error) {
	limit := c.limit()
	filter := store.AuditFilter{
		AppIDs: c.principal.AppIDs, Actor: c.text("actor"), Action: c.text("action"), Object: c.text("object"), From: c.moment("from"), To: c.moment("to"), Limit: limit + 1,
	}
	if key := c.after("audit"); key != "" {
		micros, number, _ := strings.Cut(key, " ")
		at, err := strconv.ParseInt(micros, 10, 64)
		id, err2 := strconv.ParseInt(number, 10, 64)
		if err != nil || err2 != nil || at < 0 || at > time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() {
			c.reject("cursor", "bad_cursor", "must be a next_cursor of this list")
		}
		filter.Before = &store.AuditPlace{At: time.UnixMicro(at), ID: id}
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if c.given("app") {
		app, err := a.visibleApp(ctx, c.principal, c.text("app"))
		if err != nil {
			return nil, err
		}
		filter.AppIDs = []int32{app.ID}
	}
	rows, err := a.store.AuditLog(ctx, filter)
	if err != nil {
		return nil, err
	}
	apps, err := a.store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, limit, "audit", func(e store.AuditEntry) string { return fmt.Sprintf("%d %d", e.At.UnixMicro(), e.ID) })
	list := auditList{Entries: make([]auditEntry, len(rows)), NextCursor: next}
	for i, e := range rows {
		list.Entries[i] = auditEntry{
			ID: e.ID, Actor: e.Actor, ActorID: e.ActorID, Action: e.Action, Object: e.Object, Address: e.Address, Detail: e.Detail, CreatedAt: e.At, UpdatedAt: e.At,
		}
		if e.AppID != nil {
			if keys := keysOf(apps, []int32{*e.AppID}); len(keys) > 0 {
				list.Entries[i].App = &keys[0]
			}
		}
	}
	return &list, nil
}

// keysOf are the keys of apps by their ids; nil, for all, where there are none.
func keysOf(apps []push.App, ids []int32) (keys []string) {
	for _, app := range apps {
		if slices.Contains(ids, app.ID) {
			keys = append(keys, app.Key)
		}
	}
	return keys
}

// account is a person who logs in to the console, without the password.
type account struct {
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
	// TOTPAt is since when a second factor is asked for; nil where the password is enough.
	TOTPAt *time.Time `json:"totp_at"`
}

type accountList struct {
	Accounts   []account `json:"accounts"`
	NextCursor *string   `json:"next_cursor"`
}

// forAll refuses a token that is limited to some apps: accounts and tokens are of all.
func forAll(c *call) error {
	if !c.principal.SeesAll() {
		return problem(http.StatusForbidden, "forbidden", "the token is for some apps; accounts and tokens need one for all")
	}
	return nil
}

func (a *API) listAccounts(ctx context.Context, c *call, _ *none) (*accountList, error) {
	limit, after := c.limit(), c.after("accounts")
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := forAll(c); err != nil {
		return nil, err
	}
	rows, err := a.store.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	apps, err := a.store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r store.Account) bool { return after != "" && r.Login <= after })
	slices.SortFunc(rows, func(x, y store.Account) int { return strings.Compare(x.Login, y.Login) })
	rows, next := cut(rows, limit, "accounts", func(r store.Account) string { return r.Login })
	list := accountList{Accounts: make([]account, len(rows)), NextCursor: next}
	for i, r := range rows {
		list.Accounts[i] = account{
			ID: r.ID, Login: r.Login, Name: r.Name, Role: r.Role, Apps: keysOf(apps, r.AppIDs), CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
			LastLoginAt: r.LastLoginAt, DisabledAt: r.DisabledAt, TOTPAt: r.TOTPAt,
		}
	}
	return &list, nil
}

// apiToken is a token of the API, without its secret.
type apiToken struct {
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

type tokenList struct {
	Tokens     []apiToken `json:"tokens"`
	NextCursor *string    `json:"next_cursor"`
}

func (a *API) listTokens(ctx context.Context, c *call, _ *none) (*tokenList, error) {
	limit, before := c.limit(), c.afterNumber("tokens", math.MaxInt64, math.MaxInt64)
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := forAll(c); err != nil {
		return nil, err
	}
	rows, err := a.store.APITokens(ctx)
	if err != nil {
		return nil, err
	}
	apps, err := a.store.Apps(ctx)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r store.APIToken) bool { return r.ID >= before })
	rows, next := cut(rows, limit, "tokens", func(r store.APIToken) string { return strconv.FormatInt(r.ID, 10) })
	list := tokenList{Tokens: make([]apiToken, len(rows)), NextCursor: next}
	for i, r := range rows {
		list.Tokens[i] = apiToken{
			ID: r.ID, Name: r.Name, Role: r.Role, Apps: keysOf(apps, r.AppIDs), CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
			LastUsedAt: r.LastUsedAt, RevokedAt: r.RevokedAt,
		}
	}
	return &list, nil
}

// revokeToken ends the live token of a name.
func (a *API) revokeToken(ctx context.Context, c *call, _ *none) (*none, error) {
	if err := forAll(c); err != nil {
		return nil, err
	}
	name := c.path("token")
	err := a.store.InTx(ctx, func(ctx context.Context) error {
		if err := a.store.RevokeAPIToken(ctx, name); err != nil {
			return err
		}
		return a.store.InsertAuditEntry(ctx, store.AuditEntry{Actor: c.principal.Name, ActorID: c.principal.ID, Action: "token.revoke", Object: "token:" + name})
	})
	return &none{}, err
}
