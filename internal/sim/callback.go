package sim

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"minipush/internal/wechat/callback"
)

const (
	maxEventDelayMS = 3_600_000
	maxRepeat       = 10
)

// Callback is where and how an app's events are pushed: the page 消息推送 of the platform's console. The zero value pushes none.
type Callback struct {
	URL            string `json:"url"` // empty: no events
	Token          string `json:"token"`
	EncodingAESKey string `json:"encoding_aes_key,omitempty"` // 43 characters; of the modes compat and safe
	Mode           string `json:"mode,omitempty"`             // plain, the default, compat or safe
	Format         string `json:"format,omitempty"`           // json, the default, or xml
	DelayMS        int64  `json:"delay_ms,omitempty"`         // from the delivery, or the user's tap, to its event

	// What an event may be like is not documented to the end, so that a receiver has to bear all of this.
	Repeat      int      `json:"repeat,omitempty"`          // how often each event comes again
	NumbersText bool     `json:"numbers_as_text,omitempty"` // CreateTime is a string, as in the documents, and not a number
	LoseOpenIDs []string `json:"lose_openids,omitempty"`    // whose events of delivery never come
	FailOpenIDs []string `json:"fail_openids,omitempty"`    // whose messages fail after they were accepted, as their events say
}

func (c *Callback) validate() error {
	address, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		return nil
	case err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "":
		return errors.New("callback: url must be http://host/path or https://host/path")
	case c.Token == "":
		return errors.New("callback: token is missing")
	case !slices.Contains([]string{"", "json", "xml"}, c.Format):
		return errors.New("callback: format must be json or xml")
	case c.DelayMS < 0 || c.DelayMS > maxEventDelayMS:
		return fmt.Errorf("callback: delay must be 0 to %d ms", maxEventDelayMS)
	case c.Repeat < 0 || c.Repeat > maxRepeat:
		return fmt.Errorf("callback: repeat must be 0 to %d", maxRepeat)
	}
	return nil
}

// receiver is the callback of an app. It is replaced as a whole and never changed.
type receiver struct {
	Callback
	endpoint   *callback.Endpoint
	lose, fail map[string]bool
}

// SetCallback says where the events of an app go from now on. It reports an unknown app and a Callback that cannot be, and then
// changes nothing. The events are posted while [Sim.Push] runs.
func (s *Sim) SetCallback(appID string, c Callback) error {
	if err := c.validate(); err != nil {
		return err
	}
	var to *receiver
	if c.URL != "" {
		mode := callback.Mode(c.Mode)
		if mode == "" {
			mode = callback.ModePlain
		}
		endpoint, err := callback.New(callback.Config{AppID: appID, Token: c.Token, EncodingAESKey: c.EncodingAESKey, Mode: mode, Now: s.now})
		if err != nil {
			return fmt.Errorf("callback: %w", err)
		}
		to = &receiver{Callback: c, endpoint: endpoint, lose: setOf(c.LoseOpenIDs), fail: setOf(c.FailOpenIDs)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(appID)
	if a == nil {
		return errors.New("appid is missing or not registered")
	}
	a.receiver = to
	return nil
}

// handleCallback is POST /sim/callback.
func (s *Sim) handleCallback(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID string `json:"appid"`
		Callback
	}
	if err := readJSON(w, r, &in); err != nil {
		writeProblem(w, err)
		return
	}
	if err := s.SetCallback(in.AppID, in.Callback); err != nil {
		writeProblem(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
