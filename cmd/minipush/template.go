package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

func (c *cli) templateCommand() *cobra.Command {
	return group("template", "Keep the platform templates that tasks fill", c.templateSet(), c.templateList(), c.templateSync())
}

func (c *cli) templateSet() *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "set FILE", Short: "Add or change a template from a YAML or JSON file", Args: cobra.ExactArgs(1),
		Long: `Reads a template from a file, YAML or JSON; - is standard input. A value may name topic, caption, tips, product.code,
product.title, product.price, task.id, recipient.user_id and recipient.<column of the upload>, in double braces:

  template_id: 895CZeh4-ISI3cpl1yyS-o_i6EtMfrC8bzgaipHauF0
  channel: form_id
  name: 活动加入成功提醒
  page: pages/goods/detail/detail?backToHome=1&&goodsId={{product.code}}
  fields:
    - {key: keyword1, label: 活动主题, value: "{{topic}}", color: "#EE0000"}
    - {key: keyword4, label: 商品金额, value: "{{product.price}}海贝", color: "#EE0000"}`,
		Example: `  minipush template set joined.yaml --app health_applet`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			in, _, err := c.open(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			t, err := readTemplate(in)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			t.App = app
			t, err = put(ctx, s, app, "template:"+t.TemplateID, func(ctx context.Context, appID int32) (push.Template, error) {
				return s.store.Template(ctx, appID, t.TemplateID)
			}, func(ctx context.Context) (push.Template, error) { return s.dispatch.PutTemplate(ctx, s.actor, t) })
			if err != nil {
				return err
			}
			return c.answer(t, func(w io.Writer) {
				fmt.Fprintf(w, "template %s %s, %s\n", t.TemplateID, t.Name, plural(len(t.Fields), "field", "fields"))
			})
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "`KEY` of the app")
	mustHave(cmd, "app")
	return cmd
}

// maxTemplateFile bounds what is read: the longest template that passes the checks is far smaller.
const maxTemplateFile = 1 << 20

// readTemplate reads YAML, of which JSON is a part, by the names of the API: what was written for one works for the other.
func readTemplate(r io.Reader) (push.Template, error) {
	var t push.Template
	data, err := io.ReadAll(io.LimitReader(r, maxTemplateFile))
	if err != nil {
		return t, fmt.Errorf("read template: %w", err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return t, fmt.Errorf("read template: %w", err)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return t, fmt.Errorf("read template: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return t, fmt.Errorf("read template: %w", err)
	}
	return t, nil
}

func (c *cli) templateList() *cobra.Command {
	return &cobra.Command{
		Use: "list APP", Short: "List the templates of an app", Args: cobra.ExactArgs(1),
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			app, err := s.store.App(ctx, args[0])
			if err != nil {
				return err
			}
			templates, err := s.store.Templates(ctx, app.ID, "", 1000)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"templates": templates}, func(w io.Writer) {
				rows := make([][]string, len(templates))
				for i, t := range templates {
					rows[i] = []string{t.TemplateID, t.Name, string(t.Channel), strconv.Itoa(len(t.Fields)), templateNote(t), t.Page}
				}
				table(w, []string{"模板ID", "模板名称", "CHANNEL", "FIELDS", "NOTE", "PAGE"}, rows)
			})
		}),
	}
}

// templateNote says why no task can use a template; empty where one can.
func templateNote(t push.Template) string {
	switch {
	case t.GoneAt != nil:
		return "gone"
	case len(t.Unfilled()) > 0:
		return "no values"
	}
	return ""
}

func (c *cli) templateSync() *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "sync", Short: "Bring the subscribe templates up to the app's account at the platform", Args: cobra.NoArgs,
		Long: `Fetches the subscribe templates that the app has chosen at the platform, with their fields and the values that these may have.
New ones are added; they can be used once template set has given each field a value. Of known ones the name, the fields and their
labels follow the account; values, colors, too_long and the page stay as they were written. One that the account no longer has is marked
as gone: no new task may use it. Tasks that are scheduled or sending keep theirs as it was.`,
		Example: `  minipush template sync --app health_applet`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			sync, err := s.dispatch.SyncTemplates(ctx, s.actor, app, func(ctx context.Context, sync dispatch.TemplateSync) error {
				return s.noteApp(ctx, app, sync.Counts())
			})
			if err != nil {
				return err
			}
			return c.answer(sync, func(w io.Writer) { writeSync(w, app, sync) })
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "`KEY` of the app")
	mustHave(cmd, "app")
	return cmd
}

func writeSync(w io.Writer, app string, sync dispatch.TemplateSync) {
	fmt.Fprintf(w, "%d added, %d changed, %d unchanged, %d gone, %d refused\n", sync.Added, sync.Changed, sync.Unchanged, sync.Gone, sync.Refused)
	unfilled := false
	for _, t := range sync.Templates {
		if t.Outcome == dispatch.SyncUnchanged && len(t.Unfilled) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s %s: %s\n", t.TemplateID, t.Name, t.Outcome)
		if t.Message != "" {
			fmt.Fprintf(w, "  %s\n", t.Message)
		}
		for _, change := range t.Changes {
			was := ""
			if change.Was != "" {
				was = ", was " + change.Was
			}
			fmt.Fprintf(w, "  %s %s%s\n", change.Field, change.What, was)
		}
		if len(t.Unfilled) > 0 {
			unfilled = true
			fmt.Fprintf(w, "  without a value yet: %s\n", strings.Join(t.Unfilled, ", "))
		}
	}
	if unfilled {
		fmt.Fprintf(w, "next: give each field a value: minipush template set FILE --app %s\n", app)
	}
}
