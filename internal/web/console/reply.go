package console

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"minipush/internal/web/auth"
)

// reply is what a handler answers: a page, a part of a page, or a redirect.
type reply struct {
	status int
	// name is the screen: its template, its catalogue, and its title "<name>.title".
	name string
	// part is the template of the screen that is written alone, without the layout; empty for the whole page.
	part string
	data any
	// refresh makes htmx load the whole page anew in place of the part, which may then be none.
	refresh bool
	// titleKey is the key of its title where that is another one; titleArgs go into the title.
	titleKey  string
	titleArgs []any
	crumbs    []crumb
	// to is where the browser is sent; empty for a page.
	to    string
	flash flash
	// cookies are set on the way.
	cookies []*http.Cookie
	// session is the new value of the session cookie; nil leaves it as it is, empty takes it away.
	session *string
}

// crumb is a page above this one.
type crumb struct {
	Key  string // of the catalogue
	Args []any
	Href string
}

// flash is a text that the next page shows once.
type flash struct {
	Key  string   `json:"k"`
	Args []string `json:"a,omitempty"`
	Bad  bool     `json:"b,omitempty"`
}

// page answers with a screen; data is its page struct, titleArgs go into its title.
func page(name string, data any, titleArgs ...any) reply {
	return reply{status: http.StatusOK, name: name, data: data, titleArgs: titleArgs}
}

// invalid answers a form that is wrong with the screen again; the errors are at its fields (see refuse).
func invalid(name string, data any, titleArgs ...any) reply {
	return reply{status: http.StatusUnprocessableEntity, name: name, data: data, titleArgs: titleArgs}
}

// part answers with one template of a screen, for htmx.
func part(name, template string, data any) reply {
	return reply{status: http.StatusOK, name: name, part: template, data: data}
}

// redirect sends the browser to another page by GET.
func redirect(to string) reply { return reply{status: http.StatusSeeOther, to: to} }

// under says which pages are above this one.
func (r reply) under(crumbs ...crumb) reply { r.crumbs = crumbs; return r }

// saying shows a text of the catalogue on the page that the browser is sent to.
func (r reply) saying(key string, args ...string) reply {
	r.flash = flash{Key: key, Args: args}
	return r
}

const flashCookie = "minipush-flash"

// write writes a reply.
func (k *Console) write(w http.ResponseWriter, c *call, out reply) {
	for _, cookie := range out.cookies {
		http.SetCookie(w, cookie)
	}
	if out.session != nil {
		auth.SetCookie(w, c.r, *out.session)
	}
	if out.to != "" {
		if out.flash.Key != "" {
			http.SetCookie(w, c.cookie(flashCookie, out.flash.encode(), 60))
		}
		http.Redirect(w, c.r, out.to, out.status)
		return
	}
	if out.refresh {
		w.Header().Set("HX-Refresh", "true")
	}
	if out.name == "" {
		w.WriteHeader(out.status)
		return
	}
	var shown flash
	if out.part == "" {
		shown = c.takeFlash(w)
	}
	var body bytes.Buffer
	if err := k.render(&body, c, out, shown); err != nil {
		out = k.problemReply(c, problemPage{Code: "internal", Back: home}, fmt.Errorf("render %s: %w", out.name, err))
		body.Reset() // what was written of it stops in the middle
		if err = k.render(&body, c, out, shown); err != nil {
			k.log.ErrorContext(c.r.Context(), "render the page of a problem", slog.String("request_id", c.requestID), slog.Any("err", err))
			http.Error(w, "500 "+c.requestID, http.StatusInternalServerError)
			return
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "Accept-Encoding")
	h.Add("Vary", "Cookie")
	// A page holds no secret beside what others could make it repeat: compressing both would let its length tell.
	if strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") && body.Len() > 1024 {
		h.Set("Content-Encoding", "gzip")
		w.WriteHeader(out.status)
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is in range
		_, _ = z.Write(body.Bytes())                   // the client is gone
		_ = z.Close()
		return
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(body.Bytes()) // the client is gone
}

// cookie makes a cookie of this console that lasts for a time in seconds. What it holds is no secret, and is checked when it is read.
func (c *call) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: name == flashCookie, SameSite: http.SameSiteLaxMode, Secure: auth.Encrypted(c.r),
	}
}

func (f flash) encode() string {
	text, _ := json.Marshal(f) // texts only
	return base64.RawURLEncoding.EncodeToString(text)
}

// takeFlash reads the text that the page shows once, and makes the browser forget it.
func (c *call) takeFlash(w http.ResponseWriter) (f flash) {
	cookie, err := c.r.Cookie(flashCookie)
	if err != nil {
		return flash{}
	}
	http.SetCookie(w, c.cookie(flashCookie, "", -1))
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || json.Unmarshal(text, &f) != nil {
		return flash{}
	}
	return f
}

// anys makes arguments of texts.
func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, t := range texts {
		all[i] = t
	}
	return all
}

// render writes the page of a reply.
func (k *Console) render(body *bytes.Buffer, c *call, out reply, shown flash) error {
	set, err := k.templates.of(c.lang, out.name)
	if err != nil {
		return err
	}
	if out.part != "" {
		return set.ExecuteTemplate(body, out.part, out.data)
	}
	return set.ExecuteTemplate(body, "layout", k.shell(c, out, shown))
}
