package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/sim"
)

func (c *cli) simCommand() *cobra.Command {
	var addr string
	var cfg sim.Config
	var latency, jitter time.Duration
	var faults []string
	cmd := &cobra.Command{
		Use: "sim", Short: "Run a simulated platform, to try things without an account", Args: cobra.NoArgs,
		Long: `Runs a simulator of the platform until Ctrl-C. It speaks WeChat's own protocol under /cgi-bin/: register an app with its address
as --base-url, with any appid and any secret. Beside it:

  POST /sim/form-ids   mints formIds, as phones would: {"appid":"wxsim","openids":["o1"]}
  GET  /sim/ledger     the messages that each openid received, in order
  GET  /sim/inbox      the same as a phone would show it
  POST /sim/faults     sets what goes wrong from now on, in place of what was set before; GET shows it
  GET  /sim/stats      calls, calls in flight, answers by errcode
  POST /sim/reset      forgets messages, permits, subscriptions, counts and faults; templates and callbacks stay

Subscribe messages:

  POST /sim/templates      adds templates of an app, as its owner would (type 2: one-time, 3: long-term), for template sync:
                           {"appid":"wxsim","templates":[{"template_id":"T1","title":"提醒","type":2,"fields":[{"key":"thing1","label":"主题"}]}]}
  POST /sim/subscriptions  taps of users, accept (the default) or off: {"appid":"wxsim","template_id":"T1","openids":["o1"],"times":2,"result":"accept"}
  GET  /sim/subscriptions  what is left, by appid and openid
  POST /sim/callback       where signed events go; mode plain, compat or safe (with encoding_aes_key), format json or xml:
                           {"appid":"wxsim","url":"http://127.0.0.1:8080/callbacks/wechat/KEY","token":"abc123","mode":"plain"}
                           further delay_ms, repeat, numbers_as_text, lose_openids, fail_openids; without url no events

A fault is KIND[=CODE][/after][:PROBABILITY]. Kinds: drop, reset, http_503, html, empty, no_errcode, hang, system_error, errcode,
token. /after delivers the message first and spoils only the answer.

Faults are changed while it runs by POST /sim/faults; its members are latency_ms, jitter_ms, quota_per_day, rate_per_minute, seed, and
rules with kind, code, after_delivery, probability, count, appid, openids, form_ids, on ("send", "token" or "templates"). What is left out is off,
{} ends them all:

  curl -d '{"latency_ms":80,"rules":[{"kind":"drop","after_delivery":true,"probability":0.01}]}' http://127.0.0.1:8090/sim/faults
  curl -d '{"rules":[{"kind":"errcode","code":45009}]}' http://127.0.0.1:8090/sim/faults
  curl -d '{}' http://127.0.0.1:8090/sim/faults`,
		Example: `  minipush sim
  minipush sim --latency 80ms --jitter 120ms --fault drop/after:0.01 --fault errcode=43108:0.05`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Faults.LatencyMS, cfg.Faults.JitterMS = latency.Milliseconds(), jitter.Milliseconds()
			for _, text := range faults {
				rule, err := sim.ParseRule(text)
				if err != nil {
					return usageError{"--fault: " + err.Error()}
				}
				cfg.Faults.Rules = append(cfg.Faults.Rules, rule)
			}
			return c.simulate(cmd.Context(), cfg, addr)
		},
	}
	f := cmd.Flags()
	f.StringVar(&addr, "addr", "127.0.0.1:8090", "`HOST:PORT` to listen on; port 0: the system picks one")
	f.DurationVar(&latency, "latency", 0, "how long each send takes, half before and half after the delivery")
	f.DurationVar(&jitter, "jitter", 0, "up to this much more, by chance")
	f.StringArrayVar(&faults, "fault", nil, "`FAULT` to make; may be given several times")
	f.Int64Var(&cfg.Faults.QuotaPerDay, "quota-per-day", 0, "sends of an app a day before errcode 45009; 0 is no limit")
	f.Int64Var(&cfg.Faults.RatePerMinute, "rate-per-minute", 0, "sends of an app a minute before errcode 45011; 0 is no limit")
	f.Uint64Var(&cfg.Faults.Seed, "seed", 0, "the same seed gives the same faults")
	f.DurationVar(&cfg.TokenLife, "token-life", 2*time.Hour, "how long an access token is good for")
	return cmd
}

func (c *cli) simulate(ctx context.Context, cfg sim.Config, addr string) error {
	s, err := sim.New(cfg)
	if err != nil {
		return err
	}
	ln, err := sim.Listen(ctx, addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return hintError{err, "Choose another: minipush sim --addr 127.0.0.1:0 (the system picks one)"}
	}
	if err != nil {
		return err
	}
	url := "http://" + ln.Addr().(*net.TCPAddr).String() //nolint:forcetypeassert // a TCP listener was asked for
	if err := c.answer(map[string]string{"url": url}, func(w io.Writer) {
		fmt.Fprintf(w, "simulated platform at %s (the phones: %s/sim/inbox)\n", url, url)
	}); err != nil {
		return err
	}
	return s.Serve(ctx, ln)
}
