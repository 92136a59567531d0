package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"minipush/internal/cronspec"
	"minipush/internal/seal"
)

// ValueError is a value that its setting does not allow.
type ValueError struct {
	// Key is the path of the setting, for example "send.chunk_size".
	Key string
	// Problem says what is wrong. It never holds a secret.
	Problem string
}

func (e *ValueError) Error() string { return e.Key + ": " + e.Problem }

// Validate checks every setting. The error joins all problems, each a [*ValueError].
func (c *Config) Validate() error {
	problems := c.problems()
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

func (c *Config) problems() []*ValueError {
	var found []*ValueError
	add := func(key, problem string) {
		if problem != "" {
			found = append(found, &ValueError{Key: key, Problem: problem})
		}
	}
	for _, l := range c.leaves() {
		add(l.path, l.outOfLimits())
	}
	add("database.url", databaseProblem(c.Database.URL))
	add("database.direct_url", databaseProblem(c.Database.DirectURL))
	if c.Database.URL == "" && c.Database.DirectURL != "" {
		add("database.direct_url", "needs database.url beside it")
	}
	add("http.addr", addrProblem(c.HTTP.Addr))
	if c.HTTP.OpsAddr != "" {
		add("http.ops_addr", addrProblem(c.HTTP.OpsAddr))
		if c.HTTP.OpsAddr == c.HTTP.Addr && !strings.HasSuffix(c.HTTP.Addr, ":0") {
			add("http.ops_addr", "is the same as http.addr; leave it empty to have both on one address")
		}
	}
	if c.Breaker.ProbeFirst > c.Breaker.ProbeMax {
		add("breaker.probe_first", "is longer than breaker.probe_max")
	}
	if c.SecretKey != "" {
		if _, err := seal.NewKey(c.SecretKey.Reveal()); err != nil {
			add("secret_key", err.Error())
		}
	}
	c.OIDC.problems(add)
	loc, err := c.Location()
	if err != nil {
		add("time_zone", err.Error())
		loc = time.UTC // the specs are still worth checking
	}
	for _, entry := range []struct{ key, spec string }{
		{"cron.start_due_tasks", c.Cron.StartDueTasks},
		{"cron.expire_form_ids", c.Cron.ExpireFormIDs},
		{"cron.purge", c.Cron.Purge},
	} {
		if _, err := cronspec.Parse(entry.spec, loc); err != nil {
			add(entry.key, "bad cron spec: "+err.Error())
		}
	}
	return found
}

// outOfLimits compares a value with the limits in its tags.
func (l leaf) outOfLimits() string {
	if allowed := l.tag.Get("oneof"); allowed != "" && !slices.Contains(strings.Split(allowed, "|"), l.value.String()) {
		return fmt.Sprintf("%q is not one of %s", l.value.String(), l.limits())
	}
	if least := l.tag.Get("min"); least != "" && l.value.Int() < l.limit(least) {
		return fmt.Sprintf("%s is below the minimum of %s", l.text(), least)
	}
	if most := l.tag.Get("max"); most != "" && l.value.Int() > l.limit(most) {
		return fmt.Sprintf("%s is above the maximum of %s", l.text(), most)
	}
	return ""
}

// limit reads a limit of a tag in the unit of its field. A bad tag is a mistake of the program, which a test finds.
func (l leaf) limit(text string) int64 {
	var n int64
	var err error
	switch l.value.Type() {
	case reflect.TypeFor[time.Duration]():
		var d time.Duration
		d, err = time.ParseDuration(text)
		n = int64(d)
	case reflect.TypeFor[Size]():
		var s Size
		s, err = ParseSize(text)
		n = int64(s)
	default:
		n, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		panic(fmt.Sprintf("config: limit %q of %s: %v", text, l.path, err))
	}
	return n
}

// databaseProblem checks the form only. Errors of url.Parse repeat the URL with its password: they are not passed on.
func databaseProblem(s Secret) string {
	text := s.Reveal()
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "must be a URL such as postgres://user:password@host:5432/minipush, with special characters of the password percent-encoded"
	}
	return ""
}

// problems checks what is set for the provider; without an issuer nothing may be, or it would be left unused unnoticed.
func (o *OIDC) problems(add func(key, problem string)) {
	if o.Issuer == "" {
		if o.ClientID != "" || o.ClientSecret != "" {
			add("oidc.issuer", "is empty, and oidc.client_id or oidc.client_secret is set")
		}
		return
	}
	add("oidc.issuer", issuerProblem(o.Issuer))
	if o.ClientID == "" {
		add("oidc.client_id", "is empty; the provider gives it out")
	}
	if !slices.Contains(strings.Fields(o.Scopes), "openid") {
		add("oidc.scopes", fmt.Sprintf("%q has no openid", o.Scopes))
	}
	if n := utf8.RuneCountInString(strings.TrimSpace(o.Label)); n == 0 || n > 40 {
		add("oidc.label", "must be 1 to 40 characters")
	}
}

// issuerProblem: the word of a provider is worth what its connection is, so it is HTTPS, but on this machine.
func issuerProblem(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return "must be a URL such as https://id.example.com"
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback()) {
		return "must be https://"
	}
	return ""
}

func addrProblem(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Sprintf("%q is not host:port", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Sprintf("port %q is not a number from 0 to 65535", port)
	}
	return ""
}
