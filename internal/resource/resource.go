// Package resource holds what the HTTP sides of single things (a school, a board, a post) share: addresses by number, entity
// tags with conditional requests (RFC 9110 section 13), and optimistic changes.
package resource

import (
	"context"
	"net/http"
	"time"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
)

// Read is the input of reading one thing.
type Read struct {
	ID          int64  `path:"id" doc:"The number of the thing."`
	IfNoneMatch string `header:"If-None-Match" doc:"ETags that the client holds already; 304 when one is current."`
}

// Target is the input that names the thing to change or delete.
type Target struct {
	ID      int64  `path:"id" doc:"The number of the thing."`
	IfMatch string `header:"If-Match" doc:"Only when the thing is still in the state with one of these ETags; 412 otherwise."`
}

// Output is one thing with its entity tag.
type Output[T any] struct {
	Status   int
	ETag     string `header:"ETag"`
	Location string `header:"Location" hidden:"true"`
	Body     T
}

// Empty is the answer to a deletion.
type Empty struct{}

// Show answers 200 with item, or 304 when the client holds this representation already.
func Show[T any](item T, ifNoneMatch string) (*Output[T], error) {
	out, err := answer(http.StatusOK, item)
	if err == nil && ifNoneMatch != "" && httpx.HasETag(ifNoneMatch, out.ETag) {
		out.Status = http.StatusNotModified
	}
	return out, err
}

// Created answers 201 with item, which lives at location.
func Created[T any](item T, location string) (*Output[T], error) {
	out, err := answer(http.StatusCreated, item)
	if err == nil {
		out.Location = location
	}
	return out, err
}

func answer[T any](status int, item T) (*Output[T], error) {
	tag, err := httpx.ETag(item)
	return &Output[T]{Status: status, ETag: tag, Body: item}, err
}

// maxTries bounds how often a change is tried again because another one came first.
const maxTries = 8

// Change reads a thing, lets edit change it, and writes it with swap, which must do so only while the row is still the one
// that was read and tells whether it was. When another change came first it starts again, unless the client asked by
// ifMatch for one certain state: then, and whenever that state is not the current one, it fails with PreconditionFailed.
func Change[T any](ctx context.Context, ifMatch string, read func(context.Context) (T, error),
	edit func(*T) error, swap func(ctx context.Context, old, changed T) (bool, error),
) (T, error) {
	var none T
	for range maxTries {
		old, err := read(ctx)
		if err != nil {
			return none, err
		}
		changed := old
		if err := edit(&changed); err != nil {
			return none, err
		}
		if ifMatch != "" {
			tag, err := httpx.ETag(old)
			if err != nil {
				return none, err
			}
			if !httpx.HasETag(ifMatch, tag) {
				break
			}
		}
		done, err := swap(ctx, old, changed)
		if err != nil {
			return none, err
		}
		if done {
			return changed, nil
		}
	}
	if ifMatch == "" {
		return none, fault.New(fault.Conflict, "Others are changing this right now. Please try again.")
	}
	return none, fault.New(fault.PreconditionFailed, "This has been changed since you read it.")
}

// Now is the moment in the precision that databases keep, microseconds, in UTC.
func Now(clock func() time.Time) httpx.Time {
	return httpx.Time{Time: clock().UTC().Truncate(time.Microsecond)}
}

// After is Now for a change of something last changed at old: always later, so that equal times mean an equal state.
func After(clock func() time.Time, old httpx.Time) httpx.Time {
	now := Now(clock)
	if !now.After(old.Time) {
		now.Time = old.Add(time.Microsecond)
	}
	return now
}
