package main

import (
	"context"
	"fmt"
	"strings"

	"minipush/internal/dispatch"
	"minipush/internal/seal"
	"minipush/internal/store"
)

const wrongKeyHelp = "set MINIPUSH_SECRET_KEY to the key under which they were sealed, or give each its secret again: " +
	"minipush app set --key KEY --secret-file FILE (and app callback, where it takes the message push)"

// checkSecrets says of which apps the key does not open the stored secrets: for these nothing can be sent.
func checkSecrets(ctx context.Context, st *store.Store, key *seal.Key) error {
	found, err := dispatch.OpenSecrets(ctx, st, key)
	if err != nil {
		return err
	}
	if all := append(found.Wrong, found.Damaged...); len(all) > 0 {
		return fmt.Errorf("the secret key does not open the stored secrets of %s; %s", strings.Join(all, ", "), wrongKeyHelp)
	}
	return nil
}

// requireKey refuses a key that opens nothing of what is stored under another: what it seals, the daemons could not open.
func requireKey(ctx context.Context, s *session) error {
	found, err := dispatch.OpenSecrets(ctx, s.store, s.dispatch.Key())
	if err != nil {
		return err
	}
	if found.Opened == 0 && len(found.Wrong) > 0 {
		return fmt.Errorf("the secret key opens none of the stored secrets (%s); %s", strings.Join(found.Wrong, ", "), wrongKeyHelp)
	}
	return nil
}
