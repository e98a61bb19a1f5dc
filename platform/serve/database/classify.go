package database

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// SQLSTATE codes, from PostgreSQL's appendix A.
const (
	codeUniqueViolation      = "23505"
	codeSerializationFailure = "40001"
	codeDeadlockDetected     = "40P01"
	codeTooManyConnections   = "53300"
	codeQueryCanceled        = "57014"
	codeReadOnlyTransaction  = "25006"
	classConnection          = "08"
	classOperator            = "57P" // shutdown, crash, cannot connect now
)

// Classify says what a driver's error means to a caller. It returns nil for an
// error it cannot class; that is then an internal one. A stored row's text never
// becomes part of the message.
func Classify(err error) *errs.Error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyCode(pg.Code, err)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return unavailable(err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return unavailable(err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err) {
		return unavailable(err)
	}
	return nil
}

func classifyCode(code string, err error) *errs.Error {
	switch {
	case code == codeSerializationFailure, code == codeDeadlockDetected:
		return errs.Wrap(err, errs.Conflict, "TRANSACTION_CONFLICT",
			"the change collided with another one; read again and retry")
	case code == codeQueryCanceled:
		return errs.Wrap(err, errs.DeadlineExceeded, "STATEMENT_TIMEOUT", "the database took too long")
	case code == codeTooManyConnections, code == codeReadOnlyTransaction,
		strings.HasPrefix(code, classConnection), strings.HasPrefix(code, classOperator):
		return unavailable(err)
	default:
		return nil
	}
}

func unavailable(err error) *errs.Error {
	return errs.Wrap(err, errs.Unavailable, "DATABASE_UNAVAILABLE", "the database does not answer; retry later")
}

// IsUniqueViolation reports whether err is a violation of the unique
// constraint or index; an empty name means any.
func IsUniqueViolation(err error, constraint string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == codeUniqueViolation && (constraint == "" || pg.ConstraintName == constraint)
}

func retryable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == codeSerializationFailure || pg.Code == codeDeadlockDetected)
}
