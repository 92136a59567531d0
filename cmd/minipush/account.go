package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"minipush/internal/store"
	"minipush/internal/web/auth"
)

func (c *cli) accountCommand() *cobra.Command {
	return group("account", "Make and list the accounts of people who log in to the console; set how they log in", c.accountAdd(), c.accountList(), c.accountPasswd(),
		c.accountTOTPRemove(), c.accountLink(), c.accountUnlink())
}

// passwordFlags say where a password comes from: a file, standard input, the terminal, or none of them.
type passwordFlags struct {
	file string
	ask  bool
}

func (p *passwordFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "password-file", "", "`FILE` that holds the password; - is standard input; without it one is made and printed once")
	cmd.Flags().BoolVar(&p.ask, "ask", false, "ask for the password on the terminal, twice")
	cmd.MarkFlagsMutuallyExclusive("password-file", "ask")
}

// read returns the password, and whether it was made and must be shown.
func (p *passwordFlags) read(c *cli) (password string, made bool, err error) {
	switch {
	case p.ask:
		password, err = c.askPassword()
	case p.file != "":
		password, err = c.readSecret(p.file)
	default:
		password, made = auth.NewPassword(), true
	}
	return password, made, err
}

// askPassword reads a password twice from the terminal, without showing it.
func (c *cli) askPassword() (string, error) {
	in, ok := c.stdin.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", usageError{"--ask needs a terminal; give the password with --password-file - on standard input"}
	}
	var typed [2][]byte
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(c.stderr, prompt)
		var err error
		if typed[i], err = term.ReadPassword(int(in.Fd())); err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		fmt.Fprintln(c.stderr)
	}
	if string(typed[0]) != string(typed[1]) {
		return "", usageError{"the two passwords are not the same"}
	}
	return string(typed[0]), nil
}

// caller is who is written down in the audit log for what this command does.
func (s *session) caller() auth.Principal {
	return auth.Principal{Name: s.actor, Role: auth.Admin, Address: store.FromCommand}
}

func (c *cli) accountAdd() *cobra.Command {
	var a store.Account
	var apps []string
	var from passwordFlags
	cmd := &cobra.Command{
		Use: "add", Short: "Make an account", Args: cobra.NoArgs,
		Long: `Makes an account of a person who logs in to the console. Roles, each with the powers of those before: viewer (looks), author (writes
tasks), approver (sends), operator (pauses, job pages), admin. Without --app it is for all apps. Without --password-file and --ask a password is
made and printed once.`,
		Example: `  minipush account add --login zhangsan --name 张三 --role approver --app health_applet
  minipush account add --login admin --role admin --ask`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			if a.Name == "" {
				a.Name = a.Login
			}
			for _, key := range apps {
				app, err := s.store.App(ctx, key)
				if err != nil {
					return err
				}
				a.AppIDs = append(a.AppIDs, app.ID)
			}
			password, made, err := from.read(c)
			if err != nil {
				return err
			}
			account, err := auth.AddAccount(ctx, s.store, s.caller(), a, password)
			if err != nil {
				return err
			}
			return c.answerPassword(account.Login, password, made, "account %s is made")
		}),
	}
	f := cmd.Flags()
	f.StringVar(&a.Login, "login", "", "`LOGIN` that the person types: small letters, digits and . _ @ -")
	f.StringVar(&a.Name, "name", "", "`NAME` that others read; the login where none is given")
	f.StringVar(&a.Role, "role", "", "`ROLE`: "+strings.Join(accountRoles(), ", "))
	f.StringArrayVar(&apps, "app", nil, "only for the app with this `KEY`; may be given several times")
	from.bind(cmd)
	mustHave(cmd, "login", "role")
	return cmd
}

func accountRoles() []string {
	var names []string
	for _, r := range auth.AccountRoles() {
		names = append(names, r.String())
	}
	return names
}

// answerPassword says what was done, and shows a password that was made.
func (c *cli) answerPassword(login, password string, made bool, said string) error {
	answer := map[string]string{"login": login}
	if made {
		answer["password"] = password
	}
	return c.answer(answer, func(w io.Writer) {
		fmt.Fprintf(w, said+"\n", login)
		if made {
			fmt.Fprintf(w, "password: %s\n", password)
			fmt.Fprintln(c.stderr, "Keep it: it is not shown again.")
		}
	})
}

func (c *cli) accountList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the accounts", Args: cobra.NoArgs,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			accounts, err := auth.AccountInfos(ctx, s.store)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"accounts": accounts}, func(w io.Writer) {
				rows := make([][]string, len(accounts))
				for i, a := range accounts {
					rows[i] = []string{a.Login, a.Name, a.Role, yesNo(a.Apps == nil, "all", strings.Join(a.Apps, ", ")), a.CreatedBy, s.clock.minute(a.CreatedAt), s.clock.maybe(a.LastLoginAt), ways(a), s.clock.maybe(a.DisabledAt)}
				}
				table(w, []string{"LOGIN", "NAME", "ROLE", "APPS", "CREATED BY", "CREATED", "LAST LOGIN", "LOGIN BY", "DISABLED"}, rows)
			})
		}),
	}
}

func (c *cli) accountPasswd() *cobra.Command {
	var from passwordFlags
	cmd := &cobra.Command{
		Use: "passwd LOGIN", Short: "Set the password of an account, and end its sessions", Args: cobra.ExactArgs(1),
		Example: `  minipush account passwd zhangsan
  minipush account passwd admin --password-file -`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			password, made, err := from.read(c)
			if err != nil {
				return err
			}
			if err := auth.ResetPassword(ctx, s.store, s.caller(), args[0], password); err != nil {
				return err
			}
			return c.answerPassword(args[0], password, made, "the password of %s is set, and its sessions are ended")
		}),
	}
	from.bind(cmd)
	return cmd
}
