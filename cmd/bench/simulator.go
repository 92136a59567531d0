package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"
)

func simulatorCommand() *cobra.Command {
	var w workload
	cmd := &cobra.Command{
		Use: "simulator", Short: "The far end of (a), (b), (c) and (d)", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			mux := http.NewServeMux()
			mux.Handle("/", constant())
			mux.HandleFunc("/cgi-bin/stable_token", func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write([]byte(`{"access_token":"stub-token","expires_in":7200}`))
			})
			return serveUntilEOF(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), mux)
		},
	}
	cmd.Flags().IntVar(&w.Recipients, "recipients", 0, "users")
	cmd.Flags().IntVar(&w.PerUser, "per-user", 1, "formIds of each")
	return cmd
}

func (f *farEnd) check(ctx context.Context, n int) error { return nil }
