package auth

import (
	"slices"
	"strconv"

	"minipush/internal/store"
)

// Principal is who makes a call.
type Principal struct {
	// ID tells principals apart for ever, also after a name has been given again: "token:7".
	ID string
	// Name is what people read in created_by and sent_by.
	Name string
	Role Role
	// AppIDs are the apps that it may touch; nil is all of them.
	AppIDs []int32
	// Address is where the request comes from, for the audit log.
	Address string
}

// Caller is who is written into the audit log.
func (p Principal) Caller() store.Caller {
	return store.Caller{Name: p.Name, ID: p.ID, Address: p.Address}
}

// Sees says whether an app exists for this principal.
func (p Principal) Sees(appID int32) bool { return p.AppIDs == nil || slices.Contains(p.AppIDs, appID) }

// SeesAll says whether the principal is not limited to some apps.
func (p Principal) SeesAll() bool { return p.AppIDs == nil }

func principalOf(t store.APIToken) (Principal, bool) {
	role, known := ParseRole(t.Role)
	return Principal{ID: "token:" + strconv.FormatInt(t.ID, 10), Name: t.Name, Role: role, AppIDs: t.AppIDs}, known
}
