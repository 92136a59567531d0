package console

import (
	"context"
	"errors"
	"time"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// totpPage switches one's own second factor on and off.
type totpPage struct {
	Login string
	// OnSince is since when it is on; nil while it is off.
	OnSince   *time.Time
	CodesLeft int
	// Enrolment is what the phone is told while it is being set up, and QR the same as a picture; nil at any other time.
	Enrolment *auth.Enrolment
	QR        *qrPicture
	// Codes are the recovery codes, shown once.
	Codes         []string
	Current, Code field
}

func (k *Console) totpRoutes(t *table) {
	t.page("/console/totp", auth.Viewer, k.showTOTP)
	t.own("/console/totp", k.changeTOTP)
}

func newTOTPPage(c *call) *totpPage {
	return &totpPage{
		Login:   c.session.Login,
		Current: field{Name: "current", Label: "password.current", Type: "password", Required: true, Autocomplete: "current-password"},
		Code:    field{Name: "code", Label: "code.code", Hint: "totp.code_hint", Type: "text", Required: true, Autocomplete: "one-time-code"},
	}
}

// read reads whether it is on.
func (p *totpPage) read(ctx context.Context, k *Console, c *call) error {
	t, err := k.store.TOTP(ctx, c.session.AccountID)
	if errors.Is(err, push.ErrNotFound) {
		return nil
	}
	p.OnSince, p.CodesLeft = t.ConfirmedAt, t.CodesLeft
	if p.OnSince != nil {
		p.Code.Hint = "code.hint"
	}
	return err
}

func (k *Console) showTOTP(ctx context.Context, c *call) (reply, error) {
	p := newTOTPPage(c)
	return page("totp", p), p.read(ctx, k, c)
}

// changeTOTP takes the steps: begin, confirm, off. They share an address, so that the page can be shown again in another language. Who is too late,
// in another tab, sees how things stand.
func (k *Console) changeTOTP(ctx context.Context, c *call) (out reply, err error) {
	p := newTOTPPage(c)
	switch c.value("do") {
	case "confirm":
		out, err = k.confirmTOTP(ctx, c, p)
	case "off":
		out, err = k.turnOffTOTP(ctx, c, p)
	default:
		out, err = k.beginTOTP(ctx, c, p)
	}
	if errors.Is(err, auth.ErrTOTPOn) || errors.Is(err, push.ErrNotFound) {
		return redirect("/console/totp"), nil
	}
	return out, err
}

func (k *Console) beginTOTP(ctx context.Context, c *call, p *totpPage) (reply, error) {
	enrolment, err := k.sessions.BeginTOTP(ctx, c.session, c.form.Get("current"), c.r.Host)
	if err != nil {
		return invalid("totp", p), refuse(err, &p.Current)
	}
	return page("totp", p), p.enrol(enrolment)
}

// enrol shows what the phone is told.
func (p *totpPage) enrol(e auth.Enrolment) (err error) {
	p.Enrolment = &e
	p.QR, err = newQRPicture(e.URL)
	return err
}

// confirmTOTP takes the code that proves that the phone has the secret, and shows the recovery codes once.
func (k *Console) confirmTOTP(ctx context.Context, c *call, p *totpPage) (reply, error) {
	codes, value, err := k.sessions.ConfirmTOTP(ctx, c.session, c.value("code"))
	if err == nil {
		p.Codes = codes
		out := page("totp", p)
		out.session = &value
		return out, nil
	}
	if err := refuse(err, &p.Code); err != nil {
		return reply{}, err
	}
	enrolment, err := k.sessions.BegunTOTP(ctx, c.session, c.r.Host)
	if err != nil {
		return reply{}, err
	}
	return invalid("totp", p), p.enrol(enrolment)
}

func (k *Console) turnOffTOTP(ctx context.Context, c *call, p *totpPage) (reply, error) {
	value, err := k.sessions.TurnOffTOTP(ctx, c.session, c.form.Get("current"), c.value("code"))
	if err == nil {
		out := redirect("/console/totp").saying("totp.flash_off")
		out.session = &value
		return out, nil
	}
	if err := refuse(err, &p.Current, &p.Code); err != nil {
		return reply{}, err
	}
	return invalid("totp", p), p.read(ctx, k, c)
}
