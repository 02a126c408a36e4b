package field

// OptionalInt takes a whole number or none: missing, null and "" (a form's empty input) all mean none and leave what is there.
func (c *Checks) OptionalInt(name string, in Int, into **int64) {
	if in.Set && in.problem != null && c.admit(name, in.state) {
		*into = &in.Value
	}
}

// Raw takes a required text as it was sent, white space and all: passwords, and what somebody else checks further.
func (c *Checks) Raw(name string, in Text, into *string) {
	if c.admit(name, in.state) {
		*into = in.Value
	}
}

// RawOptional is Raw for a text that may be missing or null.
func (c *Checks) RawOptional(name string, in Text, into *string) {
	if in.Set && in.problem != null && c.admit(name, in.state) {
		*into = in.Value
	}
}
