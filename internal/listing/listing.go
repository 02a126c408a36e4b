// Package listing answers lists as Django REST framework does: page by page with a count and links, filtered by field,
// ordered by field; a parameter that nobody knows is refused.
package listing

import (
	"context"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/uptrace/bun"

	"github.com/portico-web/portico/internal/fault"
	"github.com/portico-web/portico/internal/httpx"
)

// MaxPageSize bounds the items of a page; a client that asks for more gets this many.
const MaxPageSize = 100

// Params are the query parameters that every list takes. Embedded in a huma input, they also refuse parameters that the
// input does not declare, and text that a database cannot hold.
type Params struct {
	Page     int64  `query:"page" minimum:"1" default:"1" doc:"Which page, from 1."`
	PageSize int64  `query:"page_size" minimum:"1" default:"20" doc:"Items a page; more than 100 means 100."`
	Ordering string `query:"ordering" doc:"Fields to order by, separated by commas; a minus before a field reverses it." example:"-created_at,id"`
	url      url.URL
}

// Resolve is called by huma once the declared parameters are read.
func (p *Params) Resolve(ctx huma.Context) []error {
	p.url = ctx.URL()
	var problems []error
	for name := range p.url.Query() {
		if !declared(ctx.Operation(), name) {
			problems = append(problems, &huma.ErrorDetail{Location: "query." + printable(name), Message: "unknown query parameter"})
		}
	}
	return append(problems, RefuseUnstorable(ctx)...)
}

// RefuseUnstorable finds query parameters with text that PostgreSQL takes for an error: null characters and broken UTF-8.
func RefuseUnstorable(ctx huma.Context) []error {
	var problems []error
	url := ctx.URL()
	for name, values := range url.Query() {
		for _, value := range values {
			if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
				problems = append(problems, &huma.ErrorDetail{Location: "query." + printable(name), Message: "not a valid value", Value: ""})
			}
		}
	}
	return problems
}

func declared(op *huma.Operation, name string) bool {
	for _, param := range op.Parameters {
		if param.In == "query" && param.Name == name {
			return true
		}
	}
	return false
}

// printable keeps a name that a client made up short and valid before it is told back.
func printable(name string) string {
	name = strings.ToValidUTF8(name, "?")
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "")
	}
	return name
}

// Filter is an optional query parameter.
type Filter[T any] struct {
	Value T
	Set   bool
}

func (f *Filter[T]) Receiver() reflect.Value      { return reflect.ValueOf(&f.Value).Elem() }
func (f *Filter[T]) OnParamSet(isSet bool, _ any) { f.Set = isSet }
func (Filter[T]) Schema(r huma.Registry) *huma.Schema {
	return huma.SchemaFromType(r, reflect.TypeFor[T]())
}

// Where keeps the rows whose column stands in the relation op (=, >=, <) to the filter's value, when that is set.
func Where[T any](query *bun.SelectQuery, column, op string, filter Filter[T]) {
	if filter.Set {
		query.Where("? "+op+" ?", bun.Ident(column), filter.Value)
	}
}

// Order orders query by the fields that the client named, or by fallback. columns maps each field that may be ordered by
// to its column and must hold "id", which settles ties.
func (p *Params) Order(query *bun.SelectQuery, columns map[string]string, fallback string) error {
	ordering := p.Ordering
	if ordering == "" {
		ordering = fallback
	}
	named := map[string]bool{}
	for field := range strings.SplitSeq(ordering, ",") {
		field = strings.TrimSpace(field)
		direction := "ASC"
		if name, descending := strings.CutPrefix(field, "-"); descending {
			field, direction = name, "DESC"
		}
		column, ok := columns[field]
		if !ok {
			return fault.Field("ordering", "Unknown field.")
		}
		if named[field] { // its first place has decided; databases refuse too many terms
			continue
		}
		named[field] = true
		query.OrderExpr("? "+direction, bun.Ident(column))
	}
	if !named["id"] {
		query.OrderExpr("? DESC", bun.Ident(columns["id"]))
	}
	return nil
}

// Page is one page of a list.
type Page[T any] struct {
	Count    int64   `json:"count" doc:"Items on all pages together."`
	Next     *string `json:"next" format:"uri" nullable:"true"`
	Previous *string `json:"previous" format:"uri" nullable:"true"`
	Results  []T     `json:"results" nullable:"false"`
}

// Fetch counts the rows of query and reads the page that p asks for. decorate adds what only reading needs, such as joins
// for more columns. A page beyond the end is a NotFound fault.
func Fetch[T any](ctx context.Context, p *Params, query *bun.SelectQuery, decorate ...func(*bun.SelectQuery)) (*Page[T], error) {
	size := min(max(p.PageSize, 1), MaxPageSize)
	page := max(p.Page, 1)
	count, err := query.Count(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting: %w", err)
	}
	pages := max((count+size-1)/size, 1)
	if page > pages {
		return nil, fault.New(fault.NotFound, "Invalid page.")
	}
	out := &Page[T]{Count: count, Results: make([]T, 0, min(size, count))}
	if count > 0 {
		for _, more := range decorate {
			more(query)
		}
		if err := query.Limit(size).Offset((page-1)*size).Scan(ctx, &out.Results); err != nil {
			return nil, fmt.Errorf("reading a page: %w", err)
		}
	}
	if page < pages {
		out.Next = p.link(ctx, page+1)
	}
	if page > 1 {
		out.Previous = p.link(ctx, page-1)
	}
	return out, nil
}

// Map is page with every item converted.
func Map[A, B any](page *Page[A], convert func(*A) B) *Page[B] {
	out := &Page[B]{Count: page.Count, Next: page.Next, Previous: page.Previous, Results: make([]B, len(page.Results))}
	for i := range page.Results {
		out.Results[i] = convert(&page.Results[i])
	}
	return out
}

// link is the absolute address of another page of this list, as the client reaches it.
func (p *Params) link(ctx context.Context, page int64) *string {
	client := httpx.ClientOf(ctx)
	query := p.url.Query()
	query.Set("page", strconv.FormatInt(page, 10))
	if page == 1 {
		query.Del("page")
	}
	link := url.URL{Scheme: "http", Host: client.Host, Path: p.url.Path, RawQuery: query.Encode()}
	if client.Secure {
		link.Scheme = "https"
	}
	text := link.String()
	return &text
}
