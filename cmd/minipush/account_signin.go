package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"minipush/internal/web/auth"
)

// ways lists how the person of an account may log in.
func ways(a auth.AccountInfo) string {
	ways := []string{"password"}
	if a.TOTPAt != nil {
		ways[0] = "password+code"
	}
	for _, l := range a.Links {
		ways = append(ways, l.Subject+" at "+l.Issuer)
	}
	return strings.Join(ways, ", ")
}

func (c *cli) accountTOTPRemove() *cobra.Command {
	return &cobra.Command{
		Use: "totp-remove LOGIN", Short: "Take the second factor off an account whose phone is lost, and end its sessions", Args: cobra.ExactArgs(1),
		Long: `Takes the second factor off an account whose phone is lost, and ends its sessions. The password alone is enough then, until its person
switches a second factor on again. Make sure that it is really the person who asks.`,
		Example: `  minipush account totp-remove zhangsan`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			was, err := auth.RemoveTOTP(ctx, s.store, s.caller(), args[0])
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"login": args[0], "removed": was}, func(w io.Writer) {
				fmt.Fprintln(w, yesNo(was, "the second factor of "+args[0]+" is taken off, and its sessions are ended", args[0]+" has no second factor"))
			})
		}),
	}
}

func (c *cli) accountLink() *cobra.Command {
	var subject, issuer string
	cmd := &cobra.Command{
		Use: "link LOGIN", Short: "Link an account to who its person is at an OpenID provider", Args: cobra.ExactArgs(1),
		Long: `Links an account to who its person is at an OpenID provider: whoever signs in there as that subject is this account from then on. The person
reads the subject on the login page after the first sign-in. No account is made by signing in, and no address of mail is believed.`,
		Example: `  minipush account link zhangsan --subject 24400320`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			if issuer == "" {
				issuer = s.cfg.OIDC.Issuer
			}
			if issuer == "" {
				return hintError{errors.New("no OpenID provider is set"), "Set MINIPUSH_OIDC_ISSUER, or give --issuer."}
			}
			if err := auth.LinkAccount(ctx, s.store, s.caller(), args[0], issuer, subject); err != nil {
				return err
			}
			return c.answer(map[string]any{"login": args[0], "issuer": issuer, "subject": strings.TrimSpace(subject)}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is linked to %s at %s\n", args[0], strings.TrimSpace(subject), issuer)
			})
		}),
	}
	cmd.Flags().StringVar(&subject, "subject", "", "`SUB` of the person at the provider")
	cmd.Flags().StringVar(&issuer, "issuer", "", "`URL` of the provider; the one that is set where none is given")
	mustHave(cmd, "subject")
	return cmd
}

func (c *cli) accountUnlink() *cobra.Command {
	return &cobra.Command{
		Use: "unlink LOGIN", Short: "Take the links of an account to OpenID providers away, and end its sessions", Args: cobra.ExactArgs(1),
		Example: `  minipush account unlink zhangsan`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			was, err := auth.UnlinkAccount(ctx, s.store, s.caller(), args[0])
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"login": args[0], "unlinked": was}, func(w io.Writer) {
				fmt.Fprintln(w, yesNo(was, args[0]+" is unlinked, and its sessions are ended", args[0]+" is not linked"))
			})
		}),
	}
}
