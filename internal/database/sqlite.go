//go:build !nosqlite

package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite" // also the driver
	sqlitelib "modernc.org/sqlite/lib"
)

func openSQLite(ctx context.Context, path string, maxConns int) (*DB, error) {
	path, _, _ = strings.Cut(path, "?")
	if path == "" {
		return nil, errors.New("DATABASE_URL: sqlite:// needs a path: sqlite:///data/portico.db or sqlite://portico.db")
	}
	// SQLite would let everybody on the machine read a file that it makes; the files beside it get the rights of this one.
	if file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
		_ = file.Close()
	}
	// Acknowledged writes survive a power cut (synchronous FULL). Transactions take the write lock when they begin, so that
	// two of them wait for each other and do not fail half-way.
	options := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
	}}
	sqlDB, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+options.Encode())
	if err != nil {
		return nil, fmt.Errorf("opening SQLite: %w", err)
	}
	if maxConns <= 0 {
		maxConns = 16
	}
	sqlDB.SetMaxOpenConns(maxConns)
	sqlDB.SetMaxIdleConns(maxConns)
	db := &DB{DB: bun.NewDB(sqlDB, sqlitedialect.New()), path: path}
	if _, err := db.ExecContext(ctx, "SELECT count(*) FROM sqlite_schema"); err != nil {
		_ = sqlDB.Close()
		return nil, fmt.Errorf("DATABASE_URL: cannot open SQLite file %s (%w): the folder must exist and be writable, the file a SQLite database", path, err)
	}
	return db, nil
}

func uniqueInSQLite(err error) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && (lite.Code() == sqlitelib.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY)
}

func foreignKeyInSQLite(err error) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && lite.Code() == sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY
}

func awayInSQLite(err error) bool {
	lite, ok := errors.AsType[*sqlite.Error](err)
	return ok && (lite.Code()&0xff == sqlitelib.SQLITE_BUSY || lite.Code()&0xff == sqlitelib.SQLITE_FULL) // extended codes add bits above
}
