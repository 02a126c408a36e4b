package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
)

// Tx is a transaction that bun and the job queue can both write in. It belongs to one goroutine.
type Tx struct {
	bun.Tx
	pg pgx.Tx
}

// Postgres is the same transaction as a pgx.Tx, or nil on SQLite. It must not be committed or rolled back.
func (tx Tx) Postgres() pgx.Tx { return tx.pg }

// RunInTx runs fn in one transaction: committed when fn returns nil, rolled back when it returns an error or panics.
func (db *DB) RunInTx(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error {
	if !db.IsPostgres() {
		return db.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return fn(ctx, Tx{Tx: tx}) })
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("taking a connection: %w", err)
	}
	defer conn.Close()
	return conn.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		var raw *pgx.Conn
		err := conn.Conn.Raw(func(driverConn any) error {
			raw = driverConn.(*stdlib.Conn).Conn()
			return nil
		})
		if err != nil {
			return fmt.Errorf("reaching the connection beneath: %w", err)
		}
		return fn(ctx, Tx{Tx: tx, pg: pinnedTx{raw}})
	})
}

// pinnedTx presents the transaction that database/sql has open on a connection as a pgx.Tx. Its end is database/sql's
// business; Begin makes a savepoint, so nested transactions work.
type pinnedTx struct{ conn *pgx.Conn }

var errNotOurs = errors.New("this transaction is ended by RunInTx alone")

func (t pinnedTx) Begin(ctx context.Context) (pgx.Tx, error) {
	if _, err := t.conn.Exec(ctx, "SAVEPOINT pinned"); err != nil {
		return nil, err
	}
	return &savepoint{pinnedTx: t}, nil
}
func (t pinnedTx) Commit(context.Context) error   { return errNotOurs }
func (t pinnedTx) Rollback(context.Context) error { return errNotOurs }
func (t pinnedTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return t.conn.CopyFrom(ctx, table, columns, rows)
}

func (t pinnedTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.conn.SendBatch(ctx, b)
}
func (t pinnedTx) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }
func (t pinnedTx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return t.conn.Prepare(ctx, name, sql)
}

func (t pinnedTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.conn.Exec(ctx, sql, args...)
}

func (t pinnedTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.conn.Query(ctx, sql, args...)
}

func (t pinnedTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.conn.QueryRow(ctx, sql, args...)
}
func (t pinnedTx) Conn() *pgx.Conn { return t.conn }

// savepoint is a transaction within the pinned one. PostgreSQL nests savepoints of one name, the innermost first.
type savepoint struct {
	pinnedTx
	done bool
}

func (s *savepoint) Commit(ctx context.Context) error {
	return s.end(ctx, "RELEASE SAVEPOINT pinned")
}

func (s *savepoint) Rollback(ctx context.Context) error {
	return s.end(ctx, "ROLLBACK TO SAVEPOINT pinned; RELEASE SAVEPOINT pinned")
}

func (s *savepoint) end(ctx context.Context, sql string) error {
	if s.done {
		return pgx.ErrTxClosed
	}
	s.done = true
	_, err := s.conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}
