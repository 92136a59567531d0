package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"minipush/internal/push"
)

func (c *cli) productCommand() *cobra.Command {
	return group("product", "Keep the products that tasks advertise", c.productSet(), c.productImport())
}

func (c *cli) productSet() *cobra.Command {
	var p push.Product
	var price string
	cmd := &cobra.Command{
		Use: "set", Short: "Add or change a product", Args: cobra.NoArgs,
		Example: `  minipush product set --app health_applet --code 1989 --title 健康助利测试商品1 --price 250.00
  minipush product set --app health_applet --code 1989 --title 健康助利测试商品1 --price 250.00 --on-shelf=false`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			var err error
			if p.Price, err = push.ParsePrice(price); err != nil {
				return err
			}
			product, err := put(ctx, s, p.App, "product:"+p.Code, func(ctx context.Context, appID int32) (push.Product, error) {
				return s.store.Product(ctx, appID, p.Code)
			}, func(ctx context.Context) (push.Product, error) { return s.dispatch.PutProduct(ctx, p) })
			if err != nil {
				return err
			}
			return c.answer(product, func(w io.Writer) {
				fmt.Fprintf(w, "product %s %s, %s, %s\n", product.Code, product.Title, product.Price, shelfText(product.OnShelf))
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&p.App, "app", "", "`KEY` of the app")
	f.StringVar(&p.Code, "code", "", "`CODE` of the product (商品编码)")
	f.StringVar(&p.Title, "title", "", "title (商品标题)")
	f.StringVar(&price, "price", "", "price (商品金额), for example 250.00")
	f.BoolVar(&p.OnShelf, "on-shelf", true, "whether it is on the shelf (上架); --on-shelf=false takes it off (下架)")
	mustHave(cmd, "app", "code", "title", "price")
	return cmd
}

func (c *cli) productImport() *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Add or change products from a CSV file", Args: cobra.ExactArgs(1),
		Long: `Reads a CSV file (UTF-8) with the columns code, title and price, and optionally on_shelf (yes or no; 上架 or 下架), and
sets every line; - is standard input. It stops at the first line that is wrong; the lines before it have been set.`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			in, size, err := c.open(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			b := c.bar(size, "importing")
			defer b.finish()
			set := 0
			err = readRows(&meter{r: in, bar: b}, []string{"code", "title", "price"}, []string{"on_shelf"}, func(r row) error {
				p, err := readProduct(app, r)
				if err == nil && set == 0 {
					err = s.noteApp(ctx, app, map[string]any{"file": filepath.Base(args[0])})
				}
				if err == nil {
					_, err = s.dispatch.PutProduct(ctx, p)
				}
				if err != nil {
					return fmt.Errorf("line %d: %w", r.line, err)
				}
				set++
				return nil
			}, func(bad *csv.ParseError) error {
				rejection, err := badRecord(bad)
				if err == nil {
					err = fmt.Errorf("line %d: %s (%s)", rejection.Index, rejection.Message, rejection.Code)
				}
				return err
			})
			if err != nil && set == 0 {
				return err
			}
			return errors.Join(err, c.answer(map[string]int{"accepted": set}, func(w io.Writer) { fmt.Fprintf(w, "products: %d set\n", set) }))
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "`KEY` of the app")
	mustHave(cmd, "app")
	return cmd
}

func readProduct(app string, r row) (push.Product, error) {
	price, err := push.ParsePrice(r.fields["price"])
	if err != nil {
		return push.Product{}, err
	}
	p := push.Product{App: app, Code: r.fields["code"], Title: r.fields["title"], Price: price}
	switch strings.ToLower(r.fields["on_shelf"]) {
	case "", "yes", "true", "1", "上架":
		p.OnShelf = true
	case "no", "false", "0", "下架":
	default:
		return p, &push.InvalidError{Field: "on_shelf", Rule: "unknown_value", Message: "must be yes or no"}
	}
	return p, nil
}
