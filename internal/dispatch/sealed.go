package dispatch

import (
	"context"
	"errors"
	"fmt"

	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/store"
)

// Sealed is what became of an attempt to open the stored secrets of all apps with a key.
type Sealed struct {
	// Opened is how many apps the key opens; Wrong and Damaged are the keys of those that it does not.
	Opened         int
	Wrong, Damaged []string
}

// OpenSecrets tries to open the secret of each app, and that of its message push where it takes one.
func OpenSecrets(ctx context.Context, st *store.Store, key *seal.Key) (found Sealed, err error) {
	apps, err := st.Apps(ctx)
	if err != nil {
		return found, err
	}
	for _, app := range apps {
		switch err := openSecrets(ctx, st, key, app); {
		case err == nil:
			found.Opened++
		case errors.Is(err, seal.ErrWrongKey):
			found.Wrong = append(found.Wrong, app.Key)
		case errors.Is(err, seal.ErrDamaged), errors.Is(err, seal.ErrUnknownVersion):
			found.Damaged = append(found.Damaged, app.Key)
		case errors.Is(err, push.ErrNotFound): // deleted meanwhile
		default:
			return found, err
		}
	}
	return found, nil
}

func openSecrets(ctx context.Context, st *store.Store, key *seal.Key, app push.App) error {
	secret, err := st.AppSecret(ctx, app.ID)
	if err != nil {
		return err
	}
	if _, err := key.Open(secret.Sealed, secretContext(app.ID)); err != nil {
		return fmt.Errorf("open the secret of app %s: %w", app.Key, err)
	}
	_, mode, sealed, err := st.Callback(ctx, app.Key)
	if err != nil || mode == "" {
		return err
	}
	if _, err := key.Open(sealed, callbackContext(app.ID)); err != nil {
		return fmt.Errorf("open the message push of app %s: %w", app.Key, err)
	}
	return nil
}
