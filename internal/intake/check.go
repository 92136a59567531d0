package intake

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The longest ids, in characters.
const (
	MaxUserID = 64
	MaxOpenID = 128
	MaxFormID = 128
)

const (
	// FormIDLife is how long a formId can be used, from its submission.
	FormIDLife = 7 * 24 * time.Hour
	// MaxClockSkew is how far in the future a client's clock may put a submission.
	MaxClockSkew = 60 * time.Second
)

// Rejection says why one item was refused.
type Rejection struct{ Code Code }

func (r *Rejection) Error() string { return r.Code.EN() }

// CheckUserID checks a business user id: 1 to 64 characters, none of them a space or a control character. nil is good.
func CheckUserID(id string) *Rejection { return checkID(id, MaxUserID) }

// CheckOpenID checks an openid: 1 to 128 characters, none of them a space or a control character. Its shape is the
// platform's affair and differs between platforms. nil is good.
func CheckOpenID(openID string) *Rejection { return checkID(openID, MaxOpenID) }

// CheckFormID checks a formId that a client reported: 1 to 128 characters, none a space or a control character, and none of the
// texts that clients report where they got none. They are known in any case of letters. Entries of deny are refused
// too: whole formIds in any case of letters, or beginnings if they end in *. nil is good.
func CheckFormID(formID string, deny []string) *Rejection {
	lower := strings.ToLower(strings.TrimSpace(formID))
	switch {
	case lower == "":
		return &Rejection{Blank}
	case strings.Contains(lower, "formid is a mock one"):
		return &Rejection{MockFormID}
	case strings.Contains(lower, "no longer available in develop or trial version"):
		return &Rejection{TrialFormID}
	case strings.HasPrefix(lower, "requestformid:fail"):
		return &Rejection{FailedFormID}
	case lower == "undefined", lower == "null", lower == "nan", lower == "nil", lower == "none", lower == "[object object]":
		return &Rejection{NullFormID}
	}
	for _, entry := range deny {
		entry = strings.ToLower(entry)
		start, isStart := strings.CutSuffix(entry, "*")
		if lower == entry || (isStart && start != "" && strings.HasPrefix(lower, start)) {
			return &Rejection{DeniedFormID}
		}
	}
	return checkID(formID, MaxFormID)
}

func checkID(id string, longest int) *Rejection {
	switch {
	case strings.TrimSpace(id) == "":
		return &Rejection{Blank}
	case len(id) > longest && utf8.RuneCountInString(id) > longest:
		return &Rejection{TooLong}
	case !utf8.ValidString(id) || strings.ContainsFunc(id, isBlankOrControl):
		return &Rejection{BadCharacters}
	}
	return nil
}

// isBlankOrControl also knows the characters that have no width: they come along when an id is copied from a web page,
// and two ids that look the same would be two users.
func isBlankOrControl(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

// CheckSubmittedAt checks when a client says that a formId was submitted. A time up to 60 s in the future is a clock that
// runs fast, and becomes now; later ones are refused, and those 7 days back or more have expired. The zero time is now.
func CheckSubmittedAt(submitted, now time.Time) (time.Time, *Rejection) {
	switch {
	case submitted.IsZero():
		return now, nil
	case submitted.After(now.Add(MaxClockSkew)):
		return time.Time{}, &Rejection{InFuture}
	case submitted.After(now):
		return now, nil
	case !submitted.Add(FormIDLife).After(now):
		return time.Time{}, &Rejection{Expired}
	}
	return submitted, nil
}
