package sim

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"time"
)

const (
	maxPerUser  = 100
	formIDBytes = 16
)

// Permit is a formId as a phone would have yielded it.
type Permit struct {
	OpenID string `json:"openid"`
	FormID string `json:"form_id"`
	// ExpiresAt is the end of the permit; the zero value means seven days from now.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// permit is one formId of one app. Its strings are shared with the ledger.
type permit struct {
	openID, formID string
	expires        int64 // Unix nanoseconds
	used           bool
}

// Mint yields perUser new formIds for each openid, in the order of the openids. validFor 0 means the platform's seven
// days; a negative one gives formIds that have expired already. The ids are random: a simulator that is started again
// never repeats one.
func (s *Sim) Mint(appID string, openIDs []string, perUser int, validFor time.Duration) []Permit {
	if validFor == 0 {
		validFor = permitLife
	}
	expires := s.now().Add(validFor)
	out := make([]Permit, 0, len(openIDs)*perUser)
	random := make([]byte, formIDBytes*perUser)
	for _, openID := range openIDs {
		_, _ = rand.Read(random) // never fails
		for i := range perUser {
			id := hex.EncodeToString(random[i*formIDBytes : (i+1)*formIDBytes])
			out = append(out, Permit{OpenID: openID, FormID: id, ExpiresAt: expires})
		}
	}
	s.Preload(appID, out)
	return out
}

// Preload takes over formIds that were made elsewhere, cheaply enough for a million. It returns how many were new; one
// that is known stays as it is. An unknown app, where apps are registered, takes none.
func (s *Sim) Preload(appID string, permits []Permit) int {
	slab := make([]permit, len(permits)) // one allocation for all
	week := s.now().Add(permitLife)
	for i, p := range permits {
		at := p.ExpiresAt
		if at.IsZero() {
			at = week
		}
		slab[i] = permit{openID: p.OpenID, formID: p.FormID, expires: at.UnixNano()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(appID)
	if a == nil {
		return 0
	}
	if len(a.permits) == 0 {
		a.permits = make(map[string]*permit, len(permits))
	}
	before := len(a.permits)
	for i := range slab {
		if _, known := a.permits[slab[i].formID]; !known {
			a.permits[slab[i].formID] = &slab[i]
		}
	}
	added := len(a.permits) - before
	s.counts.permits += int64(added)
	return added
}

// handleMint is POST /sim/form-ids: either openids, for which formIds are minted, or permits to take over.
func (s *Sim) handleMint(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID     string   `json:"appid"`
		OpenIDs   []string `json:"openids"`
		PerUser   int      `json:"per_user"`           // default 1
		ExpiresIn int64    `json:"expires_in_seconds"` // default 7 days; negative: expired already
		Permits   []Permit `json:"permits"`
	}
	if err := readJSON(w, r, &in); err != nil {
		writeProblem(w, err)
		return
	}
	if in.PerUser == 0 {
		in.PerUser = 1
	}
	switch {
	case !s.known(in.AppID):
		writeProblem(w, errors.New("appid is missing or not registered"))
	case in.PerUser < 0 || in.PerUser > maxPerUser:
		writeProblem(w, errors.New("per_user must be 1 to 100"))
	case len(in.Permits) > 0:
		writeJSON(w, http.StatusOK, map[string]int{"added": s.Preload(in.AppID, in.Permits)})
	default:
		made := s.Mint(in.AppID, in.OpenIDs, in.PerUser, time.Duration(in.ExpiresIn)*time.Second)
		writeJSON(w, http.StatusOK, map[string][]Permit{"form_ids": made})
	}
}
