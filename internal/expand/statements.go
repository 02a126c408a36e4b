package expand

// creatable are the kinds of object that CREATE makes without touching what is there.
var creatable = []string{"TABLE", "VIEW", "SEQUENCE", "TYPE", "DOMAIN", "SCHEMA", "EXTENSION", "COLLATION", "STATISTICS", "FUNCTION", "PROCEDURE", "AGGREGATE", "TRIGGER"}

// created is what a statement makes, if it makes something.
func (j *judge) created(s statement) (object, bool) {
	r := reader{tokens: s.tokens}
	if !r.accept("CREATE") {
		return object{}, false
	}
	for r.any("OR", "REPLACE", "GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED", "RECURSIVE", "MATERIALIZED", "VIRTUAL", "CONSTRAINT", "UNIQUE") != "" {
		continue
	}
	kind := r.any(append(creatable, "INDEX")...)
	if kind == "" {
		return object{}, false
	}
	r.accept("CONCURRENTLY")
	r.accept("IF", "NOT", "EXISTS")
	if kind == "INDEX" && len(r.tokens) > r.at && r.tokens[r.at].is("ON") {
		return object{}, false // it names itself
	}
	name := r.name(j.dialect)
	return object{kind, name}, name != ""
}

// statement judges one statement, and remembers what it makes.
func (j *judge) statement(s statement) []verdict {
	r := &reader{tokens: s.tokens}
	switch r.any("CREATE", "DROP", "ALTER", "TRUNCATE", "DELETE", "INSERT", "UPDATE", "SELECT", "WITH", "VALUES", "SET", "COMMENT", "ANALYZE", "GRANT") {
	case "CREATE":
		verdicts := j.create(s, r)
		if made, ok := j.created(s); ok {
			j.fresh[made] = true
		}
		return verdicts
	case "DROP":
		return j.drop(r)
	case "ALTER":
		return j.alter(r)
	case "TRUNCATE":
		r.accept("TABLE")
		return j.each(r, "TABLE", removed("these rows"))
	case "DELETE":
		return j.deletes(s)
	case "INSERT", "UPDATE":
		if r.accept("OR", "REPLACE") {
			return []verdict{removed("the rows that this takes the place of")}
		}
		return j.deletes(s)
	case "SELECT", "WITH", "VALUES":
		return j.deletes(s)
	case "SET":
		_ = r.accept("LOCAL") || r.accept("SESSION")
		if r.any("lock_timeout", "statement_timeout", "maintenance_work_mem", "work_mem", "client_min_messages") != "" {
			return nil
		}
	case "COMMENT", "ANALYZE", "GRANT":
		return nil
	}
	return []verdict{unknown}
}

// each returns the verdict unless all names that follow are of fresh objects.
func (j *judge) each(r *reader, kind string, otherwise verdict) []verdict {
	for _, part := range r.parts() {
		part.accept("ONLY")
		if !j.isFresh(kind, part.name(j.dialect)) {
			return []verdict{otherwise}
		}
	}
	return nil
}

// deletes looks for rows that go, in a statement that may have others within.
func (j *judge) deletes(s statement) []verdict {
	for r := (&reader{tokens: s.tokens}); r.at < len(r.tokens); {
		merged := r.accept("THEN", "DELETE")
		if !merged && !r.accept("DELETE", "FROM") {
			r.at++
			continue
		}
		r.accept("ONLY")
		if merged || !j.isFresh("TABLE", r.name(j.dialect)) {
			return []verdict{removed("these rows")}
		}
	}
	return nil
}

func (j *judge) create(s statement, r *reader) []verdict {
	replace := r.accept("OR", "REPLACE")
	look := *r
	unique := look.accept("UNIQUE")
	if look.accept("INDEX") {
		return j.createIndex(&look, unique)
	}
	made, ok := j.created(s)
	switch {
	case !ok:
		return []verdict{unknown}
	case made.kind == "TRIGGER":
		return j.createTrigger(r)
	case replace && !j.isFresh(made.kind, made.name) && j.dialect == Postgres:
		return []verdict{refuse("it may replace what the version before uses", "make it under a new name")}
	}
	return nil
}

func (j *judge) createIndex(r *reader, unique bool) []verdict {
	concurrently := r.accept("CONCURRENTLY")
	r.accept("IF", "NOT", "EXISTS")
	if !r.accept("ON") {
		r.name(j.dialect)
		r.accept("ON")
	}
	r.accept("ONLY")
	var verdicts []verdict
	if concurrently && j.inTransaction {
		verdicts = append(verdicts, verdict{Refused, "CONCURRENTLY does not work in a transaction", "name the file NAME.up.sql, without .tx", true})
	}
	if j.isFresh("TABLE", r.name(j.dialect)) {
		return verdicts
	}
	if unique {
		verdicts = append(verdicts, refuse("writes of the version before may break it", "make it one version after the last that writes duplicates"))
	}
	if !concurrently && j.dialect == Postgres {
		verdicts = append(verdicts, hint("writes to the table wait until the index is made",
			"on a large table use CREATE INDEX CONCURRENTLY, in a file NAME.up.sql without .tx"))
	}
	return verdicts
}

func (j *judge) createTrigger(r *reader) []verdict {
	for ; r.at < len(r.tokens); r.at++ {
		if r.accept("ON") {
			if j.isFresh("TABLE", r.name(j.dialect)) {
				return nil
			}
			break
		}
	}
	return []verdict{refuse("it changes what writes of the version before do", "")}
}

func (j *judge) drop(r *reader) []verdict {
	r.accept("MATERIALIZED")
	kind := r.any(append(creatable, "INDEX")...)
	if kind == "" {
		return []verdict{removed("it")}
	}
	concurrently := r.accept("CONCURRENTLY")
	tolerant := r.accept("IF", "EXISTS")
	for _, part := range r.parts() {
		name := part.name(j.dialect)
		// What an attempt before left half done, this file makes anew.
		again := kind == "INDEX" && tolerant && j.indexes[object{kind, name}]
		if !again && !j.isFresh(kind, name) {
			return []verdict{removed("it")}
		}
	}
	if concurrently && j.inTransaction {
		return []verdict{{Refused, "CONCURRENTLY does not work in a transaction", "name the file NAME.up.sql, without .tx", true}}
	}
	return nil
}

func (j *judge) alter(r *reader) []verdict {
	r.accept("MATERIALIZED")
	kind := r.any(append(creatable, "INDEX")...)
	if kind == "" {
		return []verdict{unknown}
	}
	r.accept("IF", "EXISTS")
	r.accept("ONLY")
	name := r.name(j.dialect)
	if j.isFresh(kind, name) {
		if r.accept("RENAME", "TO") {
			j.fresh[object{kind, r.name(j.dialect)}] = true
		}
		return nil
	}
	r.accept("*")
	switch {
	case kind == "TABLE" && name != "":
		return j.alterTable(r)
	case r.accept("RENAME"), r.accept("SET", "SCHEMA"):
		return []verdict{renamed}
	case kind == "TYPE" && r.accept("ADD", "VALUE"):
		return nil
	}
	return []verdict{unknown}
}
