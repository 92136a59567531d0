package auth

import (
	"fmt"
	"slices"
)

// Role is what a token may do. Roles are ordered; the zero value is none.
type Role int8

// The roles, each with the powers of those before it; see [Role.May] for the one exception.
const (
	NoRole Role = iota
	Collector
	Viewer
	Author
	Approver
	Operator
	Admin
)

// Roles lists all roles, the weakest first.
func Roles() []Role { return []Role{Collector, Viewer, Author, Approver, Operator, Admin} }

func (r Role) String() string {
	switch r {
	case NoRole:
		return "none"
	case Collector:
		return "collector"
	case Viewer:
		return "viewer"
	case Author:
		return "author"
	case Approver:
		return "approver"
	case Operator:
		return "operator"
	case Admin:
		return "admin"
	}
	return fmt.Sprintf("role(%d)", int8(r))
}

// ParseRole finds a role by its name.
func ParseRole(name string) (Role, bool) {
	i := slices.IndexFunc(Roles(), func(r Role) bool { return r.String() == name })
	if i < 0 {
		return NoRole, false
	}
	return Roles()[i], true
}

// Access says whether a call changes something.
type Access bool

// The two kinds of access.
const (
	Read  Access = false
	Write Access = true
)

// May says whether a caller of role r may make a call for which lowest is the weakest role. A viewer is a person who only
// looks: it reads what a collector reads, and writes nothing. An author and those above it may collect.
func (r Role) May(lowest Role, access Access) bool {
	if r == NoRole || r < lowest {
		return false
	}
	return r != Viewer || access == Read
}
