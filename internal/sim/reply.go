package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strconv"
	"strings"
)

// The errcodes that the simulator gives.
const (
	codeOK               = 0
	codeSystemError      = -1
	codeInvalidToken     = 40001
	codeGrantType        = 40002
	codeInvalidOpenID    = 40003
	codeInvalidAppID     = 40013
	codeInvalidTemplate  = 40037
	codePushedTooOften   = 40038
	codeInvalidURL       = 40066
	codeInvalidSecret    = 40125
	codeTokenMissing     = 41001
	codeAppIDMissing     = 41002
	codeSecretMissing    = 41004
	codeInvalidFormID    = 41028
	codeFormIDUsed       = 41029
	codeInvalidPage      = 41030
	codeTokenExpired     = 42001
	codeNeedGet          = 43001
	codeNeedPost         = 43002
	codeRefused          = 43101
	codeNotSubscribeType = 43102
	codeConcurrent       = 43108
	codeEmptyBody        = 44002
	codeDayQuota         = 45009
	codeMinuteQuota      = 45011
	codeBadFormat        = 47001
	codeUnicodeEscape    = 47002
	codeInvalidField     = 47003
	codeNoClearQuotaLeft = 48006
)

// errText is the platform's text for a code, without its tail.
func errText(code int) string {
	switch code {
	case codeOK:
		return "ok"
	case codeSystemError:
		return "system error"
	case codeInvalidToken:
		return "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken"
	case codeGrantType:
		return "invalid grant_type"
	case codeInvalidOpenID:
		return "invalid openid"
	case codeInvalidAppID:
		return "invalid appid"
	case codeInvalidTemplate:
		return "invalid template_id"
	case codePushedTooOften:
		return "push count over threshold"
	case codeInvalidURL:
		return "invalid url"
	case codeInvalidSecret:
		return "invalid appsecret"
	case codeTokenMissing:
		return "access_token missing"
	case codeAppIDMissing:
		return "appid missing"
	case codeSecretMissing:
		return "appsecret missing"
	case codeInvalidFormID:
		return "invalid form id"
	case codeFormIDUsed:
		return "form id used count reach limit"
	case codeInvalidPage:
		return "invalid page"
	case codeTokenExpired:
		return "access_token expired"
	case codeNeedGet:
		return "require GET method"
	case codeRefused:
		return "user refuse to accept the msg"
	case codeNotSubscribeType:
		return "the tempalte is not subscriptiontype" // the platform's own spelling
	case codeConcurrent:
		return "Cannot make concurrent calls to the same OpenID, please try again"
	case codeNeedPost:
		return "require POST method"
	case codeEmptyBody:
		return "empty post data"
	case codeDayQuota:
		return "reach max api daily quota limit"
	case codeMinuteQuota:
		return "api minute-quota reach limit, must slower, retry next minute"
	case codeBadFormat:
		return "data format error"
	case codeUnicodeEscape:
		return "data format error, do NOT use json unicode encode (\\uxxxx)"
	case codeInvalidField:
		return "argument invalid!"
	case codeNoClearQuotaLeft:
		return "forbid to clear quota because of reaching the limit"
	default:
		return "error"
	}
}

// verdict is what a call is answered with: an errcode, and what follows the code's own text.
type verdict struct {
	code   int
	detail string // e.g. "data.keyword1.value is empty"
	msgID  int64  // of a subscribe message that was accepted
}

// writeVerdict answers as the platform does: status 200, and a request id behind the text of every error.
func writeVerdict(w http.ResponseWriter, v verdict) {
	jsonHeader(w)
	if v.code == codeOK && v.msgID > 0 {
		b := append(make([]byte, 0, 64), `{"errcode":0,"errmsg":"ok","msgid":`...)
		_, _ = w.Write(append(strconv.AppendInt(b, v.msgID, 10), '}'))
		return
	}
	if v.code == codeOK {
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
		return
	}
	text := errText(v.code)
	if v.detail != "" {
		text += " " + v.detail
	}
	text += fmt.Sprintf(" rid: %08x-%08x-%08x", rand.Uint32(), rand.Uint32(), rand.Uint32()) //nolint:gosec // an id, no secret
	b := make([]byte, 0, 160)
	b = append(b, `{"errcode":`...)
	b = strconv.AppendInt(b, int64(v.code), 10)
	b = append(b, `,"errmsg":`...)
	quoted, err := json.Marshal(text)
	if err != nil {
		quoted = []byte(`"error"`)
	}
	b = append(append(b, quoted...), '}')
	_, _ = w.Write(b)
}

func jsonHeader(w http.ResponseWriter) {
	w.Header()["Content-Type"] = []string{"application/json; encoding=utf-8"}
}

// writeJSON answers a call of the simulator's own.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the caller has left
}

func writeProblem(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

// readJSON reads the body of a call of the simulator's own: one object, no unknown members.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBytes))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		err = fmt.Errorf("read body: %w", err)
		if strings.Contains(err.Error(), "unknown field") {
			err = fmt.Errorf("%w: there are %s", err, members(reflect.TypeOf(v).Elem()))
		}
		return err
	}
	return nil
}

// members lists the members of a struct as JSON has them, and those of the objects in its lists.
func members(t reflect.Type) string {
	var names []string
	var inner string
	for f := range t.Fields() {
		if f.Anonymous {
			names = append(names, members(f.Type))
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			inner += "; of " + name + ": " + members(f.Type.Elem())
		}
	}
	return strings.Join(names, ", ") + inner
}

// maxControlBytes bounds a call of the simulator's own; a million permits fit.
const maxControlBytes = 128 << 20
