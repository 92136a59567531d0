package push

import (
	"fmt"
	"slices"
	"strings"
)

// Expr is the value of a template field or page: literal text with names in double braces, as in "{{product.price}}海贝".
// It is no language: a name is looked up, nothing is computed.
//
// Names: topic, caption, tips, product.code, product.title, product.price, task.id, recipient.user_id and
// recipient.<column>, a column of the upload (case and spaces as in its header).
type Expr struct {
	// literals and names alternate, starting and ending with a literal: len(literals) == len(names)+1.
	literals []string
	names    []string
}

// TaskNames are the names that are the same for every recipient of a task.
func TaskNames() []string {
	return []string{"topic", "caption", "tips", "product.code", "product.title", "product.price", "task.id"}
}

const recipientPrefix = "recipient."

// ParseExpr reads source. An unknown name, an empty one and an unclosed brace are an *InvalidError for field.
func ParseExpr(field, source string) (Expr, error) {
	var e Expr
	rest := source
	for {
		literal, after, found := strings.Cut(rest, "{{")
		if strings.Contains(literal, "}}") {
			return Expr{}, &InvalidError{Field: field, Rule: "bad_expression", Message: `has "}}" without "{{"`}
		}
		e.literals = append(e.literals, literal)
		if !found {
			return e, nil
		}
		name, tail, closed := strings.Cut(after, "}}")
		if !closed {
			return Expr{}, &InvalidError{Field: field, Rule: "bad_expression", Message: `has "{{" without "}}"`}
		}
		name = strings.TrimSpace(name)
		if !knownName(name) {
			return Expr{}, &InvalidError{Field: field, Rule: "unknown_variable", Message: fmt.Sprintf(
				"uses {{%s}}, which is not known; known are %s and recipient.<column>", name, strings.Join(TaskNames(), ", "))}
		}
		e.names = append(e.names, name)
		rest = tail
	}
}

func knownName(name string) bool {
	if column, ok := strings.CutPrefix(name, recipientPrefix); ok {
		return column != "" && !strings.ContainsAny(column, "{}")
	}
	return slices.Contains(TaskNames(), name)
}

// Uses says whether the expression names something that starts with prefix, for example "product." or "topic".
func (e Expr) Uses(prefix string) bool {
	return slices.ContainsFunc(e.names, func(n string) bool { return strings.HasPrefix(n, prefix) })
}

// Columns lists the columns of the upload that the expression needs.
func (e Expr) Columns() []string {
	var columns []string
	for _, n := range e.names {
		if c, ok := strings.CutPrefix(n, recipientPrefix); ok && c != "user_id" {
			columns = append(columns, c)
		}
	}
	return columns
}

// Bind resolves the names of the task and returns an expression in which only the recipient's are left.
func (e Expr) Bind(task map[string]string) Expr {
	bound := Expr{literals: []string{e.literals[0]}}
	for i, name := range e.names {
		if strings.HasPrefix(name, recipientPrefix) {
			bound.names = append(bound.names, name)
			bound.literals = append(bound.literals, e.literals[i+1])
			continue
		}
		bound.literals[len(bound.literals)-1] += task[name] + e.literals[i+1]
	}
	return bound
}

// Static returns the text of an expression that is the same for every recipient. ok is false while names are left.
func (e Expr) Static() (text string, ok bool) {
	if len(e.names) > 0 {
		return "", false
	}
	return e.literals[0], true
}

// Render fills in a bound expression for one recipient. column returns the value of a column of the upload.
func (e Expr) Render(userID string, column func(name string) string) string {
	if len(e.names) == 0 {
		return e.literals[0]
	}
	var b strings.Builder
	for i, name := range e.names {
		b.WriteString(e.literals[i])
		if c := strings.TrimPrefix(name, recipientPrefix); c == "user_id" {
			b.WriteString(userID)
		} else {
			b.WriteString(column(c))
		}
	}
	b.WriteString(e.literals[len(e.names)])
	return b.String()
}
