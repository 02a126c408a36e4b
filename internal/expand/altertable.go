package expand

var renamed = refuse("the version before uses the old name", "add the new one beside it")

// alterTable judges the actions on a table that is in use.
func (j *judge) alterTable(r *reader) []verdict {
	var verdicts []verdict
	for _, action := range r.parts() {
		verdicts = append(verdicts, j.action(&action)...)
	}
	return verdicts
}

func (j *judge) action(r *reader) []verdict {
	switch {
	case r.accept("ADD"):
		return j.add(r)
	case r.accept("DROP"):
		return []verdict{removed("it")}
	case r.accept("RENAME"), r.accept("SET", "SCHEMA"):
		return []verdict{renamed}
	case r.accept("ALTER"):
		return j.alterColumn(r)
	case r.accept("VALIDATE", "CONSTRAINT"), r.accept("SET", "("):
		return nil
	}
	return []verdict{unknown}
}

func (j *judge) alterColumn(r *reader) []verdict {
	if r.accept("CONSTRAINT") {
		return []verdict{unknown}
	}
	r.accept("COLUMN")
	r.name(j.dialect)
	switch {
	case r.accept("TYPE"), r.accept("SET", "DATA", "TYPE"):
		return []verdict{refuse("the version before expects the old type, and the table may be written anew under a lock", "add a column of the new type")}
	case r.accept("SET", "NOT", "NULL"):
		return []verdict{refuse("the version before may write no value", "let it be one version after the first that always writes one")}
	case r.accept("DROP", "DEFAULT"):
		return []verdict{refuse("the version before may rely on the default", "drop it one version after the last that does")}
	case r.accept("DROP", "NOT", "NULL"):
		return []verdict{hint("the version before meets rows without a value once the new version writes them", "")}
	case r.accept("SET", "DEFAULT"), r.accept("SET", "STATISTICS"):
		return nil
	}
	return []verdict{unknown}
}

// add judges what is added to a table.
func (j *judge) add(r *reader) []verdict {
	if r.accept("CONSTRAINT") {
		r.name(j.dialect)
		return j.constraint(r)
	}
	if look := *r; look.any("CHECK", "FOREIGN", "UNIQUE", "PRIMARY", "EXCLUDE") != "" {
		return j.constraint(r)
	}
	r.accept("COLUMN")
	r.accept("IF", "NOT", "EXISTS")
	if r.name(j.dialect) == "" {
		return []verdict{unknown}
	}
	return j.column(r)
}

func (j *judge) constraint(r *reader) []verdict {
	switch {
	case r.has("NOT", "VALID") && r.any("CHECK", "FOREIGN") != "":
		return []verdict{refuse("writes of the version before may break it, since NOT VALID spares old rows only",
			"make it one version after the last that could break it")}
	case r.any("CHECK", "FOREIGN") != "":
		return []verdict{refuse("rows and writes of the version before may break it, and the table is locked while it is checked",
			"make it one version after the last that could break it, NOT VALID, and VALIDATE CONSTRAINT in a later migration")}
	case r.accept("UNIQUE", "USING", "INDEX"):
		return nil // the index is judged where it is made
	}
	return []verdict{refuse("writes of the version before may break it, and the table is locked while it is made",
		"make it one version after the last that could break it")}
}

// column judges the definition of a new column, behind its name.
func (j *judge) column(r *reader) []verdict {
	var verdicts []verdict
	serial := r.any("serial", "bigserial", "smallserial", "serial2", "serial4", "serial8") != ""
	generated := r.has("GENERATED") || r.has("AS")
	defaulted := r.has("DEFAULT") && !r.has("DEFAULT", "NULL")
	if r.has("NOT", "NULL") && !defaulted && !serial && !generated {
		verdicts = append(verdicts, refuse("the version before writes rows without it", "give it a DEFAULT, or let it be NULL"))
	}
	if r.has("PRIMARY", "KEY") || r.has("UNIQUE") {
		verdicts = append(verdicts, refuse("writes of the version before may break it, and the table is locked while the index is made",
			"add the column alone; a unique index comes one version later"))
	}
	if j.dialect == SQLite {
		return verdicts
	}
	if serial || generated || defaulted && r.calls() {
		verdicts = append(verdicts, hint("the table may be written anew, and nobody reads or writes it meanwhile",
			"on a large table add the column without it, and fill it in steps"))
	}
	if r.has("CHECK") || r.has("REFERENCES") && defaulted {
		verdicts = append(verdicts, hint("the table is locked while its rows are checked", "add a constraint NOT VALID, and VALIDATE CONSTRAINT in a later migration"))
	}
	return verdicts
}

// calls tells whether a DEFAULT calls a function that may give each row another value.
func (r *reader) calls() bool {
	for look := *r; look.at < len(look.tokens); look.at++ {
		if !look.accept("DEFAULT") {
			continue
		}
		if look.accept("now", "(") || look.at >= len(look.tokens) {
			return false
		}
		for ; look.at+1 < len(look.tokens); look.at++ {
			if look.tokens[look.at].kind == word && look.tokens[look.at+1].text == "(" && !look.tokens[look.at].is("CHECK") {
				return true
			}
		}
	}
	return false
}
