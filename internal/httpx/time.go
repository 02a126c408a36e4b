package httpx

import (
	"database/sql"
	"database/sql/driver"
	"time"
)

// TimeLayout is how instants are written in API answers: RFC 3339 with microseconds, in Korean time.
const TimeLayout = "2006-01-02T15:04:05.000000-07:00"

// seoul has no daylight saving time, so a fixed zone is exact and needs no time zone database.
var seoul = time.FixedZone("KST", 9*60*60)

// Time is an instant as API answers write it.
type Time struct{ time.Time }

// MarshalJSON writes t in TimeLayout.
func (t Time) MarshalJSON() ([]byte, error) {
	text := make([]byte, 0, len(TimeLayout)+2)
	text = append(text, '"')
	text = t.In(seoul).AppendFormat(text, TimeLayout)
	return append(text, '"'), nil
}

// Scan reads an instant from a database row.
func (t *Time) Scan(src any) error {
	if at, ok := src.(time.Time); ok { // what both drivers give
		t.Time = at.UTC()
		return nil
	}
	var value sql.NullTime
	err := value.Scan(src)
	t.Time = value.Time.UTC()
	return err
}

// Value writes the instant to a database, in UTC.
func (t Time) Value() (driver.Value, error) { return t.UTC(), nil }
