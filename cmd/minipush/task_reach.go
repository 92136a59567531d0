package main

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/push"
)

func (c *cli) taskReach() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use: "reach ID", Short: "Count how many of a task's users can be reached", Args: cobra.ExactArgs(1),
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			var when time.Time
			if at != "" {
				t, err := s.clock.read("at", at)
				if err != nil {
					return err
				}
				when = t
			}
			var r push.Reach
			err := c.counting(func() (err error) {
				r, err = s.dispatch.CountReach(ctx, id, when)
				return err
			})
			if err != nil {
				return err
			}
			return c.answer(r, func(w io.Writer) { writeReach(w, r) })
		}),
	}
	cmd.Flags().StringVar(&at, "at", "", "as it would be at this `TIME`, if nothing new is collected")
	return cmd
}

// counting shows that a count goes on while fn makes it.
func (c *cli) counting(fn func() error) error {
	bar := c.bar(-1, "counting")
	defer bar.finish()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := int64(1); ; n++ {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			bar.set(n)
		}
	}
}

func writeReach(w io.Writer, r push.Reach) {
	rows := [][2]string{
		{"total", strconv.Itoa(r.Total)},
		{"reachable", strconv.Itoa(r.Reachable)},
		{"  wanted by other tasks", strconv.Itoa(r.Contended)},
		{"no permit", strconv.Itoa(r.NoPermit)},
		{"  permit expires before", strconv.Itoa(r.ExpiresBeforeSend)},
		{"no such user", strconv.Itoa(r.NoUser)},
		{"no openid", strconv.Itoa(r.NoOpenID)},
		{"suppressed", strconv.Itoa(r.Suppressed)},
		{"same person twice", strconv.Itoa(r.DuplicateOpenID)},
		{"over the daily cap", strconv.Itoa(r.Capped)},
	}
	for _, d := range r.Expiring {
		rows = append(rows, [2]string{"last permit ends " + d.Day, strconv.FormatInt(d.Count, 10)})
	}
	pairs(w, rows)
}

func (c *cli) taskPreview() *cobra.Command {
	var seq int32
	cmd := &cobra.Command{
		Use: "preview ID", Short: "Show the message as one of the users would get it", Args: cobra.ExactArgs(1),
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			p, err := s.dispatch.Preview(ctx, id, seq)
			if err != nil {
				return err
			}
			return c.answer(p, func(w io.Writer) {
				rows := [][2]string{{"to", p.UserID}, {"template", p.TemplateName}}
				for _, f := range p.Fields {
					rows = append(rows, [2]string{f.Label, f.Value})
				}
				pairs(w, append(rows, [2]string{"page", p.Page}))
			})
		}),
	}
	cmd.Flags().Int32Var(&seq, "seq", 0, "`NUMBER` of the user in the list, from 0")
	return cmd
}
