package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"time"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat/callback"
)

const (
	// eventWait is how long an event waits before it is held to be of a call without an answer: while its openid has a call in flight, or
	// its msgid is somebody's, it is not.
	eventWait = 2 * time.Second
	// eventAgain is how often the recipient of an event is looked for meanwhile.
	eventAgain = 2 * time.Second
	// eventSkew is how far the platform's clock may be behind ours, and eventSpan how long after the begin of a call its event may be.
	eventSkew  = 2 * time.Minute
	eventSpan  = 15 * time.Minute
	eventBatch = 1000
	// wakeByEvent bounds what an event that was taken in may wait for whom it wakes.
	wakeByEvent = time.Second
	// eventBudget bounds one round of a sweep.
	eventBudget = 2 * time.Second
)

// CallbackSpec is how the platform's message push of an app is verified: the three values set on the platform's page.
type CallbackSpec struct {
	// Mode is "plain", "compat" or "safe"; empty takes no message push.
	Mode callback.Mode `json:"-"`
	// Token and EncodingAESKey are secrets.
	Token          string `json:"token"`
	EncodingAESKey string `json:"encoding_aes_key"`
}

func callbackContext(appID int32) string { return fmt.Sprintf("app/%d/callback", appID) }

// SetCallback sets up the platform's message push of an app. The secrets are sealed before they are stored.
func (d *Dispatcher) SetCallback(ctx context.Context, key string, spec CallbackSpec) error {
	app, err := d.st.App(ctx, key)
	if err != nil {
		return err
	}
	defer d.endpoints.Delete(key)
	if spec.Mode == "" {
		return d.st.SetCallback(ctx, app.ID, "", nil)
	}
	if err := checkCallback(app.AppID, spec); err != nil {
		return err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode callback: %w", err)
	}
	return d.st.SetCallback(ctx, app.ID, string(spec.Mode), d.cfg.Key.Seal(text, callbackContext(app.ID)))
}

// checkCallback holds the three values against the platform's rules, each by its name. No secret is in what it says.
func checkCallback(appID string, spec CallbackSpec) error {
	var errs []error
	if !regexp.MustCompile(`^[A-Za-z0-9]{3,32}$`).MatchString(spec.Token) {
		errs = append(errs, &push.InvalidError{Field: "token", Rule: "bad_token", Message: "must be 3 to 32 letters and digits, as on the platform's page"})
	}
	if spec.Mode != callback.ModePlain && spec.Mode != callback.ModeCompat && spec.Mode != callback.ModeSafe {
		errs = append(errs, &push.InvalidError{Field: "mode", Rule: "unknown_value", Message: "must be plain, compat or safe"})
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if _, err := endpoint(appID, spec); err != nil {
		return &push.InvalidError{Field: "encoding_aes_key", Rule: "bad_callback", Message: err.Error()}
	}
	return nil
}

func endpoint(appID string, spec CallbackSpec) (*callback.Endpoint, error) {
	return callback.New(callback.Config{AppID: appID, Token: spec.Token, EncodingAESKey: spec.EncodingAESKey, Mode: spec.Mode})
}

// ErrNoCallback says that the app takes no message push.
var ErrNoCallback = errors.New("the app takes no message push")

// endpointKept is how long an opened endpoint is used, and an app without one is not asked for again: whoever calls the address without
// being the platform costs no statement.
const endpointKept = 3 * time.Second

// openEndpoint is an endpoint as it was opened, or why it could not be.
type openEndpoint struct {
	e     *callback.Endpoint
	err   error
	until time.Time
}

// callbackOf finds the endpoint of an app.
func (d *Dispatcher) callbackOf(ctx context.Context, key string) (*callback.Endpoint, error) {
	if kept, ok := d.endpoints.Load(key); ok {
		if o, _ := kept.(openEndpoint); time.Now().Before(o.until) {
			return o.e, o.err
		}
		d.endpoints.Delete(key)
	}
	e, err := d.openCallback(ctx, key)
	if err == nil || errors.Is(err, ErrNoCallback) {
		d.endpoints.Store(key, openEndpoint{e, err, time.Now().Add(endpointKept)})
	}
	return e, err
}

func (d *Dispatcher) openCallback(ctx context.Context, key string) (*callback.Endpoint, error) {
	app, mode, sealed, err := d.st.Callback(ctx, key)
	if err != nil {
		return nil, err
	}
	if mode == "" {
		return nil, ErrNoCallback
	}
	text, err := d.cfg.Key.Open(sealed, callbackContext(app.ID))
	if err != nil {
		return nil, fmt.Errorf("open callback of app %q: %w", key, err)
	}
	spec := CallbackSpec{Mode: callback.Mode(mode)}
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, fmt.Errorf("read callback of app %q: %w", key, err)
	}
	return endpoint(app.AppID, spec)
}

// EchoCallback answers the platform's verification of an app's address.
func (d *Dispatcher) EchoCallback(ctx context.Context, key string, query url.Values) (string, error) {
	e, err := d.callbackOf(ctx, key)
	if err != nil {
		return "", err
	}
	return e.Echo(query)
}

// AdmitCallback says before the body of a message push is read whether it can be the platform's: whether the app takes any, and by the signature in
// the query. The errors are those of [Dispatcher.TakeCallback].
func (d *Dispatcher) AdmitCallback(ctx context.Context, key string, query url.Values) error {
	e, err := d.callbackOf(ctx, key)
	if err != nil {
		return err
	}
	if err = e.Admit(query); err != nil {
		d.log.DebugContext(ctx, "message push refused", slog.Any("app", key), slog.Any("err", err))
	}
	return err
}

// TakeCallback takes one message push in: it is verified, and what it says is kept, before this returns. The errors of package callback
// say why one is refused; after any other the platform is to send it again.
func (d *Dispatcher) TakeCallback(ctx context.Context, key string, query url.Values, body []byte) error {
	e, err := d.callbackOf(ctx, key)
	if err != nil {
		return err
	}
	event, err := e.Receive(query, body)
	if err != nil {
		d.log.DebugContext(ctx, "message push refused", slog.Any("app", key), slog.Any("err", err))
		return err
	}
	app, err := d.st.App(ctx, key) // as it is now: who counts may change at any time
	if err != nil {
		return err
	}
	var reports []store.SubscriptionReport
	accepted := false
	for _, c := range event.Popups {
		if app.PermitSource == push.PermitsFromEvents {
			accepted = accepted || c.Accepted()
			reports = append(reports, store.SubscriptionReport{ID: c.Key, OpenID: event.OpenID, TemplateID: c.TemplateID, At: event.CreatedAt, Accepted: c.Accepted()})
		}
	}
	for _, c := range event.Changes {
		// Whoever counts, what a person turned off is gone: the mini-program does not see it.
		reports = append(reports, store.SubscriptionReport{ID: c.Key, OpenID: event.OpenID, TemplateID: c.TemplateID, At: event.CreatedAt, TurnedOff: !c.Accepted()})
	}
	events := make([]store.SentEvent, len(event.Sent))
	for i, s := range event.Sent {
		events[i] = store.SentEvent{MsgID: s.MsgID, OpenID: event.OpenID, TemplateID: s.TemplateID, Code: s.ErrorCode, At: event.CreatedAt}
	}
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		if _, err := d.st.InsertSubscriptions(ctx, app.ID, reports); err != nil || len(events) == 0 {
			return err
		}
		return d.st.InsertSentEvents(ctx, app.ID, events)
	})
	if err == nil && accepted {
		d.wakeAccepted(ctx, app.ID, event.OpenID)
	}
	return err
}

// wakeAccepted wakes a person who accepted a message by an event, which is kept by now. What it does not reach in time the sweep finds: the
// platform waits for an answer.
func (d *Dispatcher) wakeAccepted(ctx context.Context, appID int32, openID string) {
	ctx, cancel := context.WithTimeout(ctx, wakeByEvent)
	defer cancel()
	if err := d.wakeOpenIDs(ctx, appID, []string{openID}); err != nil {
		d.log.WarnContext(ctx, "waiting recipients not woken, the sweep will", slog.Any("err", err))
	}
}

// tendEvents gives the events that wait to their recipients, for a bounded time: first to those who bear the event's msgid, and once
// an event has waited long enough for such a one, to a recipient whose call got no answer.
func (d *Dispatcher) tendEvents(ctx context.Context) error {
	until := time.Now().Add(eventBudget)
	for time.Now().Before(until) {
		n, err := d.st.SettleSentEvents(ctx, eventAgain, eventBatch)
		if err != nil {
			return err
		}
		if n < eventBatch { // and not: none was settled, for those that wait stand before those that came since
			break
		}
	}
	claims, err := d.st.UnclaimedEvents(ctx, eventWait, eventSkew, eventSpan, eventBatch)
	if err != nil {
		return err
	}
	byChunk := map[store.ChunkKey][]store.Claimant{}
	var nobodys []store.Claimant
	for _, c := range claims {
		if c.Found {
			byChunk[c.Chunk] = append(byChunk[c.Chunk], c)
		} else {
			nobodys = append(nobodys, c)
		}
	}
	errs := []error{d.st.DropEvents(ctx, nobodys)}
	for chunk, of := range byChunk {
		if !time.Now().Before(until) {
			break
		}
		settled, err := d.st.ClaimEvents(ctx, chunk, of)
		errs = append(errs, err) // and on with the others
		for _, c := range settled {
			d.log.InfoContext(ctx, "unknown outcome settled by the platform's event", slog.Any("task_id", chunk.TaskID), slog.Any("recipient", c.Seq), slog.Any("code", c.Event.Code))
		}
	}
	return errors.Join(errs...)
}
