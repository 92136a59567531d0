package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"minipush/internal/sim"
)

// simulatorCommand is the far end of (a), (b), (c) and (d): the simulator, strict about app, template and page, with every
// formId of the workload known to it before it says its address.
func simulatorCommand() *cobra.Command {
	var w workload
	var watch bool
	cmd := &cobra.Command{
		Use: "simulator", Short: "The far end of (a), (b), (c) and (d)", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := newSimulator(w)
			if err != nil {
				return err
			}
			if watch {
				go s.Watch(cmd.Context())
			}
			return serveUntilEOF(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), s)
		},
	}
	cmd.Flags().IntVar(&w.Recipients, "recipients", 0, "users")
	cmd.Flags().IntVar(&w.PerUser, "per-user", 1, "formIds of each")
	cmd.Flags().BoolVar(&watch, "watch", false, "note when the process itself stood still")
	return cmd
}

func newSimulator(w workload) (*sim.Sim, error) {
	template := sim.Template{ID: templateID, Title: templateName}
	for _, f := range messageData() {
		template.Fields = append(template.Fields, sim.TemplateField{Key: f.Key, Label: f.Key})
	}
	s, err := sim.New(sim.Config{Apps: []sim.App{{
		AppID: appID, Secret: appSecret, Templates: []sim.Template{template}, Pages: []string{pagePath},
	}}})
	if err != nil {
		return nil, fmt.Errorf("make simulator: %w", err)
	}
	permits := make([]sim.Permit, 0, w.formIDs())
	for user := range w.Recipients {
		for nth := range w.PerUser {
			permits = append(permits, sim.Permit{OpenID: openID(user), FormID: formID(user, nth)})
		}
	}
	if n := s.Preload(appID, permits); n != w.formIDs() {
		return nil, fmt.Errorf("the simulator took %d formIds of %d", n, w.formIDs())
	}
	return s, nil
}

// check asks the far end what arrived: one call and one message for each recipient. With every recipient known to have
// been sent to, that is one message each.
func (f *farEnd) check(ctx context.Context, recipients int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/sim/stats", nil)
	if err != nil {
		return fmt.Errorf("ask simulator: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask simulator: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	var got sim.Stats
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return fmt.Errorf("read simulator's counts: %w", err)
	}
	if got.Calls != int64(recipients) || got.Messages != int64(recipients) {
		return fmt.Errorf("for %d recipients the simulator saw %d calls and %d messages", recipients, got.Calls, got.Messages)
	}
	return nil
}
