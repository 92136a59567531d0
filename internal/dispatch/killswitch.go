package dispatch

import (
	"context"
	"errors"
	"log/slog"

	"minipush/internal/push"
)

// PauseApp turns the kill switch on: a second after this returns no daemon makes a call for the app, until it is resumed.
// Its tasks that are under way show the cause app_paused.
func (d *Dispatcher) PauseApp(ctx context.Context, actor, key string) (app push.App, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		if app, err = d.st.SetAppPaused(ctx, key, actor); err != nil {
			return err
		}
		return d.st.PauseTasksOfApp(ctx, app.ID, push.CauseAppPaused)
	})
	if err == nil {
		d.log.WarnContext(ctx, "app paused", slog.Any("app", key), slog.Any("actor", actor))
	}
	return app, err
}

// ResumeApp turns the kill switch off; its tasks go on.
func (d *Dispatcher) ResumeApp(ctx context.Context, key string) (app push.App, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		if app, err = d.st.SetAppPaused(ctx, key, ""); err != nil {
			return err
		}
		resumed, err := d.st.ResumeTasksOfApp(ctx, app.ID, push.CauseAppPaused)
		for _, id := range resumed {
			err = errors.Join(err, d.goOn(ctx, id))
		}
		return err
	})
	if err == nil {
		d.log.InfoContext(ctx, "app resumed", slog.Any("app", key))
	}
	return app, err
}

// PauseAllApps turns the kill switch of every app on: of all, or of none if it fails. One that is paused already keeps who paused it.
func (d *Dispatcher) PauseAllApps(ctx context.Context, actor string) ([]push.App, error) {
	return d.allApps(ctx, func(ctx context.Context, key string) (push.App, error) { return d.PauseApp(ctx, actor, key) })
}

// ResumeAllApps turns the kill switch of every app off, whoever turned it on.
func (d *Dispatcher) ResumeAllApps(ctx context.Context) ([]push.App, error) {
	return d.allApps(ctx, d.ResumeApp)
}

func (d *Dispatcher) allApps(ctx context.Context, set func(ctx context.Context, key string) (push.App, error)) (apps []push.App, err error) {
	err = d.st.InTx(ctx, func(ctx context.Context) error {
		if apps, err = d.st.Apps(ctx); err != nil {
			return err
		}
		for i := range apps {
			if apps[i], err = set(ctx, apps[i].Key); err != nil {
				return err
			}
		}
		return nil
	})
	return apps, err
}
