package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/config"
)

func (c *cli) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use: "health", Short: "Ask the daemon of this machine whether it can serve (for the container)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := c.load()
			if err != nil {
				return err
			}
			text, err := askReady(cmd.Context(), opsURL(loaded.Config.HTTP))
			if err != nil {
				return hintError{err, "Is it running? minipush serve"}
			}
			c.say("%s", text)
			return nil
		},
	}
}

// opsURL is where the daemon with these settings answers on this machine: one that listens everywhere answers on loopback.
func opsURL(cfg config.HTTP) string {
	addr := cfg.Addr
	if cfg.OpsAddr != "" {
		addr = cfg.OpsAddr
	}
	host, port, _ := net.SplitHostPort(addr) // checked with the settings
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/readyz"
}

func askReady(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("ask the daemon: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask the daemon: %w", err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // the status decides
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the daemon is not ready (HTTP %d): %s", resp.StatusCode, text)
	}
	return text, nil
}
