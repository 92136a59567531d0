package console

import (
	"context"

	"minipush/internal/push"
	"minipush/internal/web/auth"
)

// passwordPage changes one's own password.
type passwordPage struct {
	Login                    string
	Current, Password, Again field
}

func (k *Console) profileRoutes(t *table) {
	t.page("/console/password", auth.Viewer, k.showPassword)
	t.own("/console/password", k.changePassword)
}

func newPasswordPage(c *call) passwordPage {
	return passwordPage{
		Login:    c.session.Login,
		Current:  field{Name: "current", Label: "password.current", Type: "password", Required: true, Autocomplete: "current-password"},
		Password: field{Name: "password", Label: "password.new", Hint: "password.new_hint", Type: "password", Required: true, Autocomplete: "new-password"},
		Again:    field{Name: "again", Label: "password.again", Type: "password", Required: true, Autocomplete: "new-password"},
	}
}

func (k *Console) showPassword(_ context.Context, c *call) (reply, error) {
	return page("password", newPasswordPage(c)), nil
}

func (k *Console) changePassword(ctx context.Context, c *call) (reply, error) {
	p := newPasswordPage(c)
	password := c.form.Get("password")
	var err error = &push.InvalidError{Field: "again", Rule: "not_the_same", Message: "must be the same"}
	if password == c.form.Get("again") {
		err = k.sessions.ChangePassword(ctx, c.session, c.form.Get("current"), password)
	}
	if err != nil {
		if err := refuse(err, &p.Current, &p.Password, &p.Again); err != nil {
			return reply{}, err
		}
		return invalid("password", p), nil
	}
	return redirect(home).saying("password.flash_changed"), nil
}
