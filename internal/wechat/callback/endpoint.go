package callback

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"
)

const (
	// MaxBodyBytes is the longest body that is read. An event of five templates, readable and encrypted, has some 4 KiB; the
	// rest is room for messages that are only acknowledged.
	MaxBodyBytes = 64 << 10
	// DefaultWindow is how far a stamp may be from our clock. The platform's retries end within half a minute; the rest is for
	// clocks that are not in step. A wider window costs little, for within it the keys hold.
	DefaultWindow = 10 * time.Minute
)

// Mode is how the platform sends messages, as it is set on its page (消息加解密方式).
type Mode string

// The modes.
const (
	ModePlain  Mode = "plain"  // 明文模式: readable, the body not covered by the signature
	ModeCompat Mode = "compat" // 兼容模式: readable and encrypted; the encrypted part decides
	ModeSafe   Mode = "safe"   // 安全模式: encrypted only; the one to use
)

// Config is what an [Endpoint] needs to know. It holds secrets: do not print it.
type Config struct {
	AppID          string           // required
	EncodingAESKey string           // 43 characters; may be empty in plain mode
	Mode           Mode             // required
	Now            func() time.Time // nil: time.Now
	Token          string           // required; an empty one would let anybody sign
	Window         time.Duration    // how far a stamp may be from Now, both ways; 0: DefaultWindow
}

// Endpoint is the callback address of one app. It is safe for concurrent use.
type Endpoint struct {
	cfg Config
	key *key // nil: none was given, and the mode is plain
}

// New checks a configuration and returns its Endpoint. The errors never repeat what was given.
func New(cfg Config) (*Endpoint, error) {
	switch {
	case cfg.Token == "" || cfg.AppID == "":
		return nil, errors.New("a callback needs a token and an appid")
	case cfg.Mode != ModePlain && cfg.Mode != ModeCompat && cfg.Mode != ModeSafe:
		return nil, errors.New("a callback's mode is plain, compat or safe")
	case cfg.Window < 0:
		return nil, errors.New("a callback's window is not negative")
	}
	if cfg.Window == 0 {
		cfg.Window = DefaultWindow
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.EncodingAESKey == "" && cfg.Mode == ModePlain {
		return &Endpoint{cfg: cfg}, nil
	}
	key, err := newKey(cfg.EncodingAESKey, cfg.AppID)
	if err != nil {
		return nil, err
	}
	return &Endpoint{cfg: cfg, key: key}, nil
}

// Format prints the mode and no more for every verb: the fields hold secrets.
func (e *Endpoint) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "callback.Endpoint("+string(e.cfg.Mode)+")")
}

// Echo checks the GET that verifies the address and returns the text to answer. A query with a msg_signature is checked by
// it and its echostr decrypted; what mini-programs get is a readable echostr in every mode. The errors are [ErrSignature],
// [ErrStale], [ErrDamaged] and [ErrAppID].
func (e *Endpoint) Echo(query url.Values) (string, error) {
	echo := query.Get("echostr")
	if e.key == nil || !query.Has("msg_signature") {
		if err := e.check(query, "signature"); err != nil {
			return "", err
		}
		return echo, nil
	}
	message, err := e.open(query, echo)
	return string(message), err
}

// Admit checks what of a POST can be checked before its body is read: the platform signs the stamp of each, in every mode. It says nothing of
// the body; Receive does. The errors are [ErrSignature] and [ErrStale].
func (e *Endpoint) Admit(query url.Values) error { return e.check(query, "signature") }

// Receive checks a POST and returns the message in it. A message of a kind that this package does not know comes without
// items, and is no error. The errors are all those of this package.
func (e *Endpoint) Receive(query url.Values, body []byte) (Event, error) {
	if len(body) > MaxBodyBytes {
		return Event{}, ErrTooLarge
	}
	if e.cfg.Mode == ModePlain { // the signature does not need the body: nothing of an unsigned one is decoded
		if err := e.check(query, "signature"); err != nil {
			return Event{}, err
		}
		return parse(body)
	}
	var v envelope
	if err := decode(body, &v); err != nil {
		return Event{}, err
	}
	if v.Encrypt == "" {
		return Event{}, ErrNotEncrypted
	}
	message, err := e.open(query, v.Encrypt)
	if err != nil {
		return Event{}, err
	}
	return parse(message)
}

// open checks the signature of an encrypted text and then, only then, decrypts it.
func (e *Endpoint) open(query url.Values, encrypt string) ([]byte, error) {
	if err := e.check(query, "msg_signature", encrypt); err != nil {
		return nil, err
	}
	_, message, err := e.key.open(encrypt)
	return message, err
}

// check says whether the named parameter signs the stamp, the nonce and the parts, and whether the stamp is in the window.
func (e *Endpoint) check(query url.Values, name string, parts ...string) error {
	stamp := query.Get("timestamp")
	if !same(query.Get(name), Sign(e.cfg.Token, append(parts, stamp, query.Get("nonce"))...)) {
		return ErrSignature
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return ErrStale // signed, and no time at all
	}
	if away := e.cfg.Now().Sub(time.Unix(seconds, 0)).Abs(); away > e.cfg.Window {
		return fmt.Errorf("%w: it is %s away from our clock", ErrStale, away)
	}
	return nil
}
