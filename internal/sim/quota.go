package sim

import (
	"encoding/json"
	"net/http"
	"time"
)

const maxClearsPerMonth = 10

// usage counts what an app has used of its limits. Days and months are those of China, as on the platform.
type usage struct {
	day      int64 // number of the day that dayCalls counts
	dayCalls int64
	minute   int64 // number of the minute that minCalls counts
	minCalls int64
	month    int // year*12 + month that clears counts
	clears   int
}

const chinaOffset = 8 * 3600 // seconds; without daylight saving

// take counts one call and says whether a limit forbids it. 0 means no limit. A refused call is not counted, so that the
// next day or minute opens on time.
func (u *usage) take(now time.Time, perDay, perMinute int64) int {
	if perDay == 0 && perMinute == 0 {
		return codeOK // the clock is not read where nothing is limited
	}
	u.turn(now)
	switch {
	case perDay > 0 && u.dayCalls >= perDay:
		return codeDayQuota
	case perMinute > 0 && u.minCalls >= perMinute:
		return codeMinuteQuota
	}
	u.dayCalls++
	u.minCalls++
	return codeOK
}

func (u *usage) turn(now time.Time) {
	local := now.Unix() + chinaOffset
	if day := local / 86400; day != u.day {
		u.day, u.dayCalls = day, 0
	}
	if minute := local / 60; minute != u.minute {
		u.minute, u.minCalls = minute, 0
	}
}

// clear empties the day's count, at most ten times a month.
func (u *usage) clear(now time.Time) int {
	china := now.UTC().Add(chinaOffset * time.Second)
	if month := china.Year()*12 + int(china.Month()); month != u.month {
		u.month, u.clears = month, 0
	}
	if u.clears >= maxClearsPerMonth {
		return codeNoClearQuotaLeft
	}
	u.clears++
	u.dayCalls = 0
	return codeOK
}

// usageOf is what is counted for a call; nil for one that is not limited.
func (a *app) usageOf(path string) *usage {
	switch path {
	case pathTemplateSend:
		return &a.usage
	case pathSubscribeSend:
		return &a.subscribeUsage
	default:
		return nil
	}
}

// quotaGet is POST /cgi-bin/openapi/quota/get. A daily_limit of 0 means that there is none.
func (s *Sim) quotaGet(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Path string `json:"cgi_path"`
	}
	_ = json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTokenBody)).Decode(&in)

	s.mu.Lock()
	a, v := s.authorize(accessToken(r), s.now())
	limit := s.faults.set.QuotaPerDay
	var used int64
	if a != nil {
		if u := a.usageOf(in.Path); u != nil {
			u.turn(s.now())
			used = u.dayCalls
		}
	}
	s.mu.Unlock()

	if v.code != codeOK {
		writeVerdict(w, v)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"errcode": 0, "errmsg": "ok",
		"quota": map[string]int64{"daily_limit": limit, "used": used, "remain": max(0, limit-used)},
	})
}

// clearQuota is POST /cgi-bin/clear_quota.
func (s *Sim) clearQuota(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID string `json:"appid"`
	}
	_ = json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTokenBody)).Decode(&in)

	s.mu.Lock()
	a, v := s.authorize(accessToken(r), s.now())
	switch {
	case a == nil:
	case a.id != in.AppID:
		v.code = codeInvalidAppID
	default:
		if v.code = a.usage.clear(s.now()); v.code == codeOK {
			a.subscribeUsage.dayCalls = 0
		}
	}
	s.mu.Unlock()
	writeVerdict(w, v)
}
