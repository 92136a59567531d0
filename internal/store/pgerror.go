package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"minipush/internal/push"
)

// readable turns what Postgres says of a value that it cannot hold into push.ErrUnstorable; any other error stays as it is.
// The codes are character_not_in_repertoire, untranslatable_character and numeric_value_out_of_range.
func readable(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != "22021" && pg.Code != "22P05" && pg.Code != "22003" {
		return err
	}
	return fmt.Errorf("%w: %s", push.ErrUnstorable, pg.Message)
}
