package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"minipush/internal/wechat"
)

// Connection is what became of a test of an app's connection to the platform.
type Connection struct {
	OK bool
	// ExpiresIn is how long the token is good for that was got.
	ExpiresIn time.Duration
	// Code is the platform's errcode, Message its text, Advice what to do about it; zero where the platform gave no answer.
	Code    int
	Message string
	Advice  wechat.Advice
	// Unreachable says that no answer came: the address, the network or the platform. Sealed that the secret cannot be opened with the
	// key that this process has.
	Unreachable, Sealed bool
}

// TestConnection asks the platform for a token of an app as it is kept, past every cache, and says what happened. Nothing is changed: the
// platform answers with the token that is in force.
func (d *Dispatcher) TestConnection(ctx context.Context, appID int32) (Connection, error) {
	secret, err := d.st.AppSecret(ctx, appID)
	if err != nil {
		return Connection{}, err
	}
	plain, err := d.cfg.Key.Open(secret.Sealed, secretContext(appID))
	if err != nil {
		return Connection{Sealed: true}, nil //nolint:nilerr // it is what the test found
	}
	client, err := wechat.New(wechat.Config{
		BaseURL: secret.App.BaseURL, AppID: secret.App.AppID, Secret: string(plain), MaxConns: 1, Timeout: tokenWait,
	}, &tokenSource{})
	if err != nil {
		return Connection{}, fmt.Errorf("make client of app %q: %w", secret.App.Key, err)
	}
	defer client.Close()
	token, err := client.StableToken(ctx, wechat.Normal)
	if refused, ok := errors.AsType[*wechat.APIError](err); ok {
		advice, _ := wechat.Explain(wechat.ChannelToken, refused.Code)
		return Connection{Code: refused.Code, Message: refused.Msg, Advice: advice}, nil
	}
	if err != nil {
		return Connection{Unreachable: true}, ctx.Err()
	}
	return Connection{OK: true, ExpiresIn: token.ExpiresIn}, nil
}
