// Package expand tells which statements of a schema change the version before could not work with. While a deploy is under
// way, and after a rollback, that version runs on the new schema: so a change may add (expand), and what is removed
// (contracted) goes one version after the last that uses it.
//
// It judges by the text of migrations alone, and calls safe only what it knows: everything else wants a reviewer, who writes
// `-- expand: reviewed: REASON` on the line before the statement.
package expand

import "fmt"

// Dialect is whose SQL it is.
type Dialect int

const (
	Postgres Dialect = iota
	SQLite
)

// File is a migration.
type File struct {
	Name          string // for people
	SQL           string
	InTransaction bool // as a whole
}

// Severity is what is to be done about a statement.
type Severity string

const (
	Refused  Severity = "refused"  // the version before could not work with the schema after it
	Reviewed Severity = "reviewed" // would be refused, but somebody gave a reason why not
	Hint     Severity = "hint"     // may hold up the site
)

// Finding is a statement that somebody has to think about.
type Finding struct {
	Severity  Severity
	File      string
	Line      int
	Statement string // in one line, shortened
	Why       string // and the reviewer's reason, if there is one
	WayOut    string // "" when there is nothing to do
}

// String is the finding in one line.
func (f Finding) String() string {
	said := fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Statement, f.Why)
	if f.WayOut != "" {
		said += ": " + f.WayOut
	}
	return said
}

// Judge looks through pending migrations in their order. What the applied ones made is in use by the version before; what
// pending ones make for the first time is in use by nobody, and may be treated in any way.
func Judge(dialect Dialect, applied, pending []File) []Finding {
	j := &judge{dialect: dialect, used: map[object]bool{}, fresh: map[object]bool{}}
	for _, file := range applied {
		all, err := statements(dialect, file.SQL)
		if err != nil {
			continue // it was applied: what is not known from it counts as in use all the same, since it is not fresh
		}
		for _, s := range all {
			if made, ok := j.created(s); ok {
				j.used[made] = true
			}
		}
	}
	var findings []Finding
	for _, file := range pending {
		all, err := statements(dialect, file.SQL)
		if err != nil {
			findings = append(findings, Finding{Severity: Refused, File: file.Name, Line: 1, Statement: "the file", Why: "cannot be read: " + err.Error(), WayOut: "mend it"})
			continue
		}
		j.file(file, all)
		for _, s := range all {
			for _, v := range j.statement(s) {
				finding := Finding{v.severity, file.Name, s.line, s.String(), v.why, v.wayOut}
				if v.severity == Refused && s.review != "" && !v.final {
					finding.Severity, finding.Why, finding.WayOut = Reviewed, v.why+"; reviewed: "+s.review, ""
				}
				findings = append(findings, finding)
			}
		}
	}
	return findings
}

// object is something in a schema, such as a table.
type object struct{ kind, name string }

// judge knows what was made before the statement that it looks at.
type judge struct {
	dialect       Dialect
	used          map[object]bool // by the version before
	fresh         map[object]bool // made by pending migrations
	inTransaction bool            // the file that is looked at
	indexes       map[object]bool // that this file makes
}

// file prepares for the statements of a file.
func (j *judge) file(file File, all []statement) {
	j.inTransaction, j.indexes = file.InTransaction, map[object]bool{}
	for _, s := range all {
		if made, ok := j.created(s); ok && made.kind == "INDEX" && !j.used[made] {
			j.indexes[made] = true
		}
	}
}

// isFresh tells whether nobody can be using an object yet.
func (j *judge) isFresh(kind, name string) bool {
	o := object{kind, name}
	return name != "" && j.fresh[o] && !j.used[o]
}

// verdict is what is to be said about a statement.
type verdict struct {
	severity    Severity
	why, wayOut string
	final       bool // no review helps
}

const askReviewer = "have it reviewed: `-- " + reviewMark + " REASON` on the line before"

func refuse(why, wayOut string) verdict {
	if wayOut == "" {
		return verdict{severity: Refused, why: why, wayOut: askReviewer}
	}
	return verdict{severity: Refused, why: why, wayOut: wayOut + ", or " + askReviewer}
}

func hint(why, wayOut string) verdict { return verdict{severity: Hint, why: why, wayOut: wayOut} }

// removed is the verdict on what takes away something that is in use.
func removed(what string) verdict {
	return refuse("the version before may still use "+what, "keep it until one version after the last that uses it")
}

// unknown is the verdict on what nobody taught this package.
var unknown = refuse("it is not known whether the version before can work with this", "")
