package wechat

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultBaseURL is the platform's own address.
	DefaultBaseURL = "https://api.weixin.qq.com"
	// DefaultTimeout bounds one HTTP call from the wait for a connection to the last byte of the answer. It is long on
	// purpose: every call cut short is an ambiguous one.
	DefaultTimeout = 8 * time.Second
	// DefaultMaxConns is the number of connections when the caller does not say.
	DefaultMaxConns = 64

	dialTimeout         = 3 * time.Second
	tlsHandshakeTimeout = 3 * time.Second
	idleConnTimeout     = 75 * time.Second
	keepAliveInterval   = 30 * time.Second
	readBufferBytes     = 2 << 10 // an answer is some 250 bytes with its headers; 500 connections make 4 KiB each felt

	minSecretBytes = 6 // an openid has 28, a token over 100

	stableTokenPath   = "/cgi-bin/stable_token"
	templateSendPath  = "/cgi-bin/message/wxopen/template/send"
	subscribeSendPath = "/cgi-bin/message/subscribe/send"
)

// Config describes one app. AppID and Secret are required.
type Config struct {
	BaseURL string // scheme and host, optionally a path prefix; default [DefaultBaseURL]
	AppID   string
	Secret  string
	// MaxConns is the most connections at a time, all kept for reuse: the number of calls that the caller keeps in flight.
	// Further calls wait for a connection within their Timeout, and are NotSent if they get none: opening more, to close
	// them at once, would run the machine out of ports at ten thousand calls a second. Default [DefaultMaxConns].
	MaxConns int
	Timeout  time.Duration // of one HTTP call; default [DefaultTimeout]
}

// String names the app and leaves the secret out.
func (c Config) String() string { return "wechat app " + c.AppID + " at " + c.BaseURL }

// GoString keeps the secret out of %#v.
func (c Config) GoString() string { return c.String() }

// LogValue keeps the secret out of logs.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("app_id", c.AppID), slog.String("base_url", c.BaseURL))
}

// Client calls the API for one app. It is safe for concurrent use. Close it to drop its idle connections.
type Client struct {
	appID, secret string
	timeout       time.Duration
	tokens        TokenSource
	transport     *http.Transport
	base          *url.URL
	header        http.Header // shared by all requests; never written to after New
	exchanges     sync.Pool   // of *exchange

	// lastSend is the request for the token used last, by channel, so that a URL is built once per token and not once per
	// call.
	lastSend [channelEnd]atomic.Pointer[preparedSend]
}

// preparedSend is a request of a channel, complete but for its body and context.
type preparedSend struct {
	token   string
	request *http.Request
}

// New makes a client. It reports an incomplete or malformed Config and makes no call. tokens may be nil for a client
// that only fetches tokens.
func New(cfg Config, tokens TokenSource) (*Client, error) {
	if cfg.AppID == "" || cfg.Secret == "" {
		return nil, errors.New("wechat client: app id and secret are required")
	}
	base, err := parseBase(cmp.Or(cfg.BaseURL, DefaultBaseURL))
	if err != nil {
		return nil, err
	}
	if cfg.MaxConns < 0 || cfg.Timeout < 0 {
		return nil, errors.New("wechat client: max conns and timeout must not be negative")
	}
	transport, err := newTransport(base, cmp.Or(cfg.MaxConns, DefaultMaxConns))
	if err != nil {
		return nil, err
	}
	return &Client{
		appID:     cfg.AppID,
		secret:    cfg.Secret,
		timeout:   cmp.Or(cfg.Timeout, DefaultTimeout),
		tokens:    tokens,
		transport: transport,
		base:      base,
		header: http.Header{
			"Content-Type": {"application/json; charset=utf-8"},
			"User-Agent":   {"minipush"},
		},
	}, nil
}

// Close drops the idle connections. Calls in flight go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

func parseBase(raw string) (*url.URL, error) {
	base, err := url.Parse(strings.TrimRight(raw, "/"))
	// The text of a parse error holds the whole URL, which may hold a password: it is not wrapped.
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, errors.New("wechat client: base URL must be http://host or https://host")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("wechat client: base URL must not carry a user, query or fragment")
	}
	return base, nil
}

// newTransport makes a transport of the client's own, so that one app's connections never wait for another's. There is
// no ResponseHeaderTimeout: the answer is one packet, so the deadline of the whole call covers it, and a shorter one
// would only make more calls ambiguous.
func newTransport(base *url.URL, conns int) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAliveInterval}
	t := &http.Transport{
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: conns,
		MaxConnsPerHost:     conns,
		IdleConnTimeout:     idleConnTimeout,
		TLSHandshakeTimeout: tlsHandshakeTimeout,
		DisableCompression:  true, // answers are a few dozen bytes
		ReadBufferSize:      readBufferBytes,
	}
	// The base URL is fixed, so the environment's proxy is looked up once and not per call.
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: base})
	if err != nil {
		return nil, errors.New("wechat client: proxy setting of the environment is malformed")
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return t, nil
}

// endpoint is the request for path with query, complete but for its body and context.
func (c *Client) endpoint(path, query string) *http.Request {
	u := *c.base
	u.Path += path
	u.RawQuery = query
	return &http.Request{
		Method: http.MethodPost, URL: &u, Host: u.Host, Header: c.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

// sendRequest is the prepared request of a channel for token. The token is escaped, as it is the platform's text and not
// ours.
func (c *Client) sendRequest(channel Channel, path, token string) *http.Request {
	slot := &c.lastSend[channel]
	if last := slot.Load(); last != nil && last.token == token {
		return last.request
	}
	next := &preparedSend{token: token, request: c.endpoint(path, tokenQuery(token))}
	slot.Store(next)
	return next.request
}

func tokenQuery(token string) string { return "access_token=" + url.QueryEscape(token) }

// redacted replaces each secret, plain or as it stands in a query, within the text. What is too short to be a secret is
// passed over: it would only eat letters of words.
func redacted(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) < minSecretBytes {
			continue
		}
		text = strings.ReplaceAll(text, s, "[redacted]")
		if escaped := url.QueryEscape(s); escaped != s {
			text = strings.ReplaceAll(text, escaped, "[redacted]")
		}
	}
	return text
}

// callError names the operation of a failed call. The cause is kept for errors.Is only where its text holds no secret.
func callError(op string, err error, secrets ...string) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err
	}
	text := err.Error()
	if clean := redacted(text, secrets...); clean != text {
		return fmt.Errorf("%s: %s", op, clean)
	}
	return fmt.Errorf("%s: %w", op, err)
}
