package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/wechat/callback"
)

// appCallback sets up the platform's message push of an app.
func (c *cli) appCallback() *cobra.Command {
	var key, mode, secretFile string
	cmd := &cobra.Command{
		Use: "callback", Short: "Set up the platform's message push of an app (消息推送)", Args: cobra.NoArgs,
		Long: `Takes the platform's reports of an app at /callbacks/wechat/KEY: what people accept and turn off, and whether a subscribe message was
delivered. Token and EncodingAESKey are those of the platform's page 消息推送, one a line in the file; plain mode needs the token only.`,
		Example: `  minipush app callback --key health_applet --mode safe --secret-file callback.txt
  minipush app callback --key health_applet --mode off`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			spec := dispatch.CallbackSpec{Mode: callback.Mode(mode)}
			switch spec.Mode {
			case off:
				spec.Mode = ""
			case callback.ModePlain, callback.ModeCompat, callback.ModeSafe:
				if err := c.readCallbackSecrets(secretFile, &spec); err != nil {
					return err
				}
			default:
				return usageError{fmt.Sprintf("--mode is %q; it must be plain, compat, safe or off", mode)}
			}
			if err := setCallback(ctx, s, key, spec); err != nil {
				return err
			}
			return c.answer(map[string]string{"app": key, "callback_mode": mode}, func(w io.Writer) {
				if mode == off {
					fmt.Fprintf(w, "app %s takes no message push\n", key)
					return
				}
				fmt.Fprintf(w, "app %s takes message push, mode %s, at /callbacks/wechat/%s\n", key, mode, key)
			})
		}),
	}
	cmd.Flags().StringVar(&key, "key", "", "the app's `KEY`")
	cmd.Flags().StringVar(&mode, "mode", "", "`MODE` as set on the platform's page: plain, compat or safe; off takes none")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "`FILE` with the token and, on its second line, the EncodingAESKey; - is standard input")
	mustHave(cmd, "key", "mode")
	return cmd
}

func setCallback(ctx context.Context, s *session, key string, spec dispatch.CallbackSpec) error {
	return s.store.InTx(ctx, func(ctx context.Context) error {
		_, before, _, err := s.store.Callback(ctx, key)
		if err != nil {
			return err
		}
		if err := s.dispatch.SetCallback(ctx, key, spec); err != nil {
			return err
		}
		type shown struct {
			Mode string `json:"callback_mode"`
		}
		return s.noteApp(ctx, key, store.Changed(shown{before}, shown{string(spec.Mode)}))
	})
}

func (c *cli) readCallbackSecrets(path string, spec *dispatch.CallbackSpec) error {
	if path == "" {
		return &push.InvalidError{Field: "secret-file", Rule: "required", Message: "must name the file with the token and the EncodingAESKey"}
	}
	in, _, err := c.open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := bufio.NewScanner(io.LimitReader(in, 4096))
	for _, into := range []*string{&spec.Token, &spec.EncodingAESKey} {
		if lines.Scan() {
			*into = strings.TrimSpace(lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
