package listing

import (
	"time"

	"github.com/uptrace/bun"
)

// Times are the filters by the two instants that every row has, exactly or as a span; embedded in an input as Params are.
type Times struct {
	CreatedAt     Filter[time.Time] `query:"created_at"`
	CreatedFrom   Filter[time.Time] `query:"created_at__gte" doc:"Created at this moment or later."`
	CreatedBefore Filter[time.Time] `query:"created_at__lt" doc:"Created before this moment."`
	UpdatedAt     Filter[time.Time] `query:"updated_at"`
	UpdatedFrom   Filter[time.Time] `query:"updated_at__gte" doc:"Changed at this moment or later."`
	UpdatedBefore Filter[time.Time] `query:"updated_at__lt" doc:"Changed before this moment."`
}

// Where applies the filters; the columns are those of query's model.
func (t *Times) Where(query *bun.SelectQuery) {
	for _, span := range []struct {
		column, op string
		filter     Filter[time.Time]
	}{
		{"created_at", "=", t.CreatedAt}, {"created_at", ">=", t.CreatedFrom}, {"created_at", "<", t.CreatedBefore},
		{"updated_at", "=", t.UpdatedAt}, {"updated_at", ">=", t.UpdatedFrom}, {"updated_at", "<", t.UpdatedBefore},
	} {
		if span.filter.Set {
			query.Where("?TableAlias.? "+span.op+" ?", bun.Ident(span.column), storable(span.filter.Value))
		}
	}
}

// storable is t within the years that both databases can compare, and in their precision.
func storable(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Microsecond)
	switch {
	case t.Year() < 1:
		return time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	case t.Year() > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}
