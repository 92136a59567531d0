package wechat

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type fixedToken struct{}

func (fixedToken) Token(context.Context) (string, error)    { return "fixed-token", nil }
func (fixedToken) Invalidate(context.Context, string) error { return nil }

// A name that does not resolve is one more way of not being written. The environment's proxy is left out, as it would
// answer in the platform's place.
func TestSendTemplate_UnknownHost_IsNotSent(t *testing.T) {
	t.Parallel()
	c, err := New(Config{
		BaseURL: "http://minipush.invalid", AppID: "wx1", Secret: "s", Timeout: 300 * time.Millisecond,
	}, fixedToken{})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	c.transport.Proxy = nil

	res := c.SendTemplate(t.Context(), TemplateMessage{ToUser: "o1"})

	require.Equal(t, ClassRetry, res.Class)
	require.True(t, res.NotSent)
	require.False(t, res.Ambiguous)
}
