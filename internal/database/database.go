// Package database opens the one database that application and jobs share, PostgreSQL or SQLite, and runs transactions in
// which rows and jobs are written together.
package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/portico-web/portico/internal/health"
)

const (
	connectTimeout = 5 * time.Second
	// busyTimeout is how long a SQLite connection waits for another's write before it gives up.
	busyTimeout = 10 * time.Second
)

// DB is an open database. It embeds bun's handle; all methods may be called concurrently.
type DB struct {
	*bun.DB
	// Pool is PostgreSQL's pool, which bun and the job queue share; nil on SQLite.
	Pool *pgxpool.Pool
	path string // SQLite's file
}

// Open connects to the database at rawURL, postgres://… or sqlite://PATH, and makes sure that it answers. maxConns bounds
// the connections; 0 leaves the choice to the driver. Errors name the setting and never hold the URL's password.
func Open(ctx context.Context, rawURL string, maxConns int) (*DB, error) {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	switch scheme {
	case "postgres", "postgresql":
		return openPostgres(ctx, rawURL, maxConns)
	case "sqlite":
		return openSQLite(ctx, rest, maxConns)
	default:
		return nil, fmt.Errorf("DATABASE_URL: unknown scheme %q: use postgres://user:password@host:5432/name or sqlite://path/to/file.db", scheme)
	}
}

func openPostgres(ctx context.Context, rawURL string, maxConns int) (*DB, error) {
	config, err := pgxpool.ParseConfig(rawURL)
	if err != nil {
		return nil, errors.New("DATABASE_URL: not a valid postgres:// URL: use postgres://user:password@host:5432/name")
	}
	if maxConns > 0 {
		config.MaxConns = int32(min(maxConns, 1000))
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening the PostgreSQL pool: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("DATABASE_URL: cannot reach PostgreSQL at %s, database %q (%s): is it running, and are user and password right?",
			address(config.ConnConfig), config.ConnConfig.Database, lastLine(rootCause(err)))
	}
	return &DB{DB: bun.NewDB(stdlib.OpenDBFromPool(pool), pgdialect.New()), Pool: pool}, nil
}

func address(config *pgx.ConnConfig) string {
	return fmt.Sprintf("%s:%d", config.Host, config.Port)
}

// lastLine is the last line of an error's text: PostgreSQL's driver tells one failure a line for each way it tried, with TLS
// first, and the last one got furthest.
func lastLine(err error) string {
	text := strings.TrimSpace(err.Error())
	return strings.TrimSpace(text[strings.LastIndex(text, "\n")+1:])
}

// rootCause is the innermost error of a single chain: the drivers wrap with whole connection strings.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// IsPostgres tells which of the two dialects this database speaks.
func (db *DB) IsPostgres() bool { return db.Dialect().Name() == dialect.PG }

// Close closes all connections after their work in flight.
func (db *DB) Close() error {
	err := db.DB.Close()
	if db.Pool != nil {
		db.Pool.Close()
	}
	return err
}

// Check is a readiness check: does the database answer.
func (db *DB) Check(ctx context.Context) health.Result {
	if err := db.PingContext(ctx); err != nil {
		return health.Result{Status: health.Failed, Detail: "the database does not answer"}
	}
	return health.Result{Status: health.OK}
}
