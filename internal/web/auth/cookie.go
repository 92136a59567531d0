package auth

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Cookies. __Host- makes the browser keep a cookie to this host, to HTTPS and to no other path. On plain HTTP a browser would
// not keep such a cookie, so for a loopback address, where there is nobody in between, it is a plain one.
const (
	securePrefix = "__Host-"
	sessionName  = "minipush"
)

// Cookies between the steps of a login. They are sealed, and soon over.
const (
	// ChallengeCookie says whose code is waited for, SignInCookie what a sign-in elsewhere was begun with.
	ChallengeCookie = "minipush-challenge"
	SignInCookie    = "minipush-signin"
)

// CookieName is the name of the session cookie in answers to r.
func CookieName(r *http.Request) string { return cookieName(r, sessionName) }

func cookieName(r *http.Request, name string) string {
	if PlainLoopback(r) {
		return name
	}
	return securePrefix + name
}

// PlainLoopback says whether r came by plain HTTP to a loopback address by name. X-Forwarded-Proto can only make it stricter.
func PlainLoopback(r *http.Request) bool {
	if Encrypted(r) {
		return false
	}
	host := hostname(r.Host)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// hostname is a host without its port.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.Trim(host, "[]")
}

// Encrypted says whether r came by HTTPS, as far as this daemon or the proxy before it says.
func Encrypted(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// SetCookie makes the browser keep a session; the empty value makes it forget it.
func SetCookie(w http.ResponseWriter, r *http.Request, value string) {
	http.SetCookie(w, StepCookie(r, sessionName, value, 0))
}

// StepCookie is a cookie of a name above in an answer to r, which lasts for a time; the empty value makes the browser forget it.
func StepCookie(r *http.Request, name, value string, lasts time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: cookieName(r, name), Value: value, Path: "/", MaxAge: int(lasts.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: !PlainLoopback(r),
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// StepValue is the value of such a cookie; empty where there is none.
func StepValue(r *http.Request, name string) string {
	c, err := r.Cookie(cookieName(r, name))
	if err != nil {
		return ""
	}
	return c.Value
}
