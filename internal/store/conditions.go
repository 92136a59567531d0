package store

import (
	"strconv"
	"strings"
)

// conditions is the WHERE of a list, made only of what is asked for: each combination is then planned with the index that it has, whereas
// a parameter that may be empty is planned for all there is.
type conditions struct {
	where []string
	args  []any
}

// arg adds a parameter and returns its place, such as $3.
func (c *conditions) arg(v any) string {
	c.args = append(c.args, v)
	return "$" + strconv.Itoa(len(c.args))
}

// add adds a condition whose last part is v, where it is given.
func (c *conditions) add(given bool, condition string, v any) {
	if given {
		c.where = append(c.where, condition+c.arg(v))
	}
}

// sql is the clause, with blanks around it; empty where nothing was asked for.
func (c *conditions) sql() string {
	if len(c.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.where, " AND ") + " "
}
