//go:build nosqlite

package database

import (
	"context"
	"errors"
)

// The programs of the images are built with the tag nosqlite: several containers need a database server, and what is never used
// would be a fifth of their size.

func openSQLite(context.Context, string, int) (*DB, error) {
	return nil, errors.New("DATABASE_URL: this program was built without SQLite, as those of the images are: name a PostgreSQL server, or run `portico up`")
}

func uniqueInSQLite(error) bool { return false }

func foreignKeyInSQLite(error) bool { return false }

func awayInSQLite(error) bool { return false }
