package main

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
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
			r, err := s.dispatch.Reach(ctx, id, when)
			if err != nil {
				return err
			}
			return c.answer(r, func(w io.Writer) {
				pairs(w, [][2]string{
					{"total", strconv.Itoa(r.Total)},
					{"reachable", strconv.Itoa(r.Reachable)},
					{"no permit", strconv.Itoa(r.NoPermit)},
					{"no such user", strconv.Itoa(r.NoUser)},
					{"no openid", strconv.Itoa(r.NoOpenID)},
					{"suppressed", strconv.Itoa(r.Suppressed)},
					{"same person twice", strconv.Itoa(r.DuplicateOpenID)},
					{"over the daily cap", strconv.Itoa(r.Capped)},
					{"permit expires before", strconv.Itoa(r.ExpiresBeforeSend)},
				})
			})
		}),
	}
	cmd.Flags().StringVar(&at, "at", "", "as it would be at this `TIME`, if nothing new is collected")
	return cmd
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
