// Package migrations holds the schema of minipush as goose migrations, one file per group of tables.
//
// A file that has been released is never edited: a change is a new file, expand first, contract a release later.
// River's own tables live in the schema "river" and are migrated by rivermigrate; internal/store runs both under one lock.
package migrations

import "embed"

// FS holds the *.sql files of this directory.
//
//go:embed *.sql
var FS embed.FS
