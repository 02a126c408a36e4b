package database

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/portico-web/portico/internal/fault"
)

// Fault returns err as an unavailable fault when it is the database that is away, starting, ending, or full: the same request may
// succeed in a moment. All else, nil too, it returns as it is.
func Fault(err error) error {
	if _, known := errors.AsType[*fault.Error](err); known || !isAway(err) {
		return err
	}
	return &fault.Error{Kind: fault.Unavailable, Message: "The service is not available right now. Please try again in a moment.", RetryAfter: 2 * time.Second, Cause: err}
}

// isAway goes by PostgreSQL's appendix of error codes, and by what the driver tells of a connection that broke.
func isAway(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "57P01", "57P02", "57P03", "25006": // it shuts down, crashed, starts, or has become a standby
			return true
		}
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") // connection, resources
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed) || awayInSQLite(err)
}

// IsUniqueViolation tells whether a write failed because a row with the same unique value exists.
func IsUniqueViolation(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "23505"
	}
	return uniqueInSQLite(err)
}

// IsForeignKeyViolation tells whether a write failed because the row it points to does not exist.
func IsForeignKeyViolation(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "23503"
	}
	return foreignKeyInSQLite(err)
}

// isLockTimeout tells whether a statement gave up waiting for a lock that others hold.
func isLockTimeout(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "55P03"
}
