package message

import "slices"

// Field is one line of a head or of a trailer section.
type Field struct {
	ID    Name
	Name  []byte // as it was received; a token
	Value []byte // without white space around it
}

// Is tells whether the field has this name, which need not be a known one.
func (f *Field) Is(name string) bool { return EqualFold(f.Name, name) }

// Fields is an ordered list of fields whose text lies in one buffer. Look-ups walk the list. Slices that it hands out are
// valid until Reset. The zero value is empty and ready to use; it is used by one goroutine at a time.
type Fields struct {
	list   []Field
	buffer []byte
}

// What one message may leave behind for the next. More was an exception, whose memory is given back.
const (
	keptBytes  = 16 << 10
	keptFields = 128
)

// Reset empties the list and forgets its text.
func (f *Fields) Reset() {
	if cap(f.buffer) > keptBytes || cap(f.list) > keptFields {
		*f = Fields{} // both, since the list refers to the buffer
		return
	}
	f.buffer, f.list = f.buffer[:0], f.list[:0]
}

// All is the list itself, in order. Values may be replaced in it; the next edit makes it invalid.
func (f *Fields) All() []Field { return f.list }

// Len is how many fields there are.
func (f *Fields) Len() int { return len(f.list) }

// Get is the value of the first field of this name, or nil.
func (f *Fields) Get(id Name) []byte {
	for i := range f.list {
		if f.list[i].ID == id {
			return f.list[i].Value
		}
	}
	return nil
}

// Count is how many fields have this name.
func (f *Fields) Count(id Name) int {
	count := 0
	for i := range f.list {
		if f.list[i].ID == id {
			count++
		}
	}
	return count
}

// Lookup is the value of the first field of this name, known or not, or nil.
func (f *Fields) Lookup(name string) []byte {
	for i := range f.list {
		if f.list[i].Is(name) {
			return f.list[i].Value
		}
	}
	return nil
}

// Add appends a field of a known name.
func (f *Fields) Add(id Name, value string) {
	f.list = append(f.list, Field{ID: id, Name: f.storeString(id.String()), Value: f.storeString(value)})
}

// AddBytes appends a field of a known name.
func (f *Fields) AddBytes(id Name, value []byte) {
	f.list = append(f.list, Field{ID: id, Name: f.storeString(id.String()), Value: f.Store(value)})
}

// AddNamed appends a field of any name.
func (f *Fields) AddNamed(name, value string) {
	f.AddKnown(Known(name), name, value)
}

// AddKnown appends a field whose name is known to be that one, or Other.
func (f *Fields) AddKnown(id Name, name, value string) {
	f.list = append(f.list, Field{ID: id, Name: f.storeString(name), Value: f.storeString(value)})
}

// AddStored appends a field whose text Store returned, since codecs parse what they stored, or whose text is never changed.
func (f *Fields) AddStored(id Name, name, value []byte) {
	f.list = append(f.list, Field{ID: id, Name: name, Value: value})
}

// Set gives the name exactly one value.
func (f *Fields) Set(id Name, value string) {
	f.Del(id)
	f.Add(id, value)
}

// SetBytes gives the name exactly one value.
func (f *Fields) SetBytes(id Name, value []byte) {
	f.Del(id)
	f.AddBytes(id, value)
}

// Del removes every field of this name.
func (f *Fields) Del(id Name) {
	for i := range f.list {
		if f.list[i].ID == id {
			f.list = slices.DeleteFunc(f.list, func(field Field) bool { return field.ID == id })
			return
		}
	}
}

// DeleteFunc removes the fields that drop names.
func (f *Fields) DeleteFunc(drop func(*Field) bool) {
	kept := f.list[:0]
	for i := range f.list {
		if !drop(&f.list[i]) {
			kept = append(kept, f.list[i])
		}
	}
	clear(f.list[len(kept):])
	f.list = kept
}

// CopyFrom replaces the list by a copy of another.
func (f *Fields) CopyFrom(other *Fields) {
	f.Reset()
	for i := range other.list {
		field := &other.list[i]
		f.list = append(f.list, Field{ID: field.ID, Name: f.Store(field.Name), Value: f.Store(field.Value)})
	}
}

// Store copies text into the buffer and returns the copy.
func (f *Fields) Store(text []byte) []byte {
	start := len(f.buffer)
	f.buffer = append(f.buffer, text...)
	return f.buffer[start:len(f.buffer):len(f.buffer)]
}

func (f *Fields) storeString(text string) []byte {
	start := len(f.buffer)
	f.buffer = append(f.buffer, text...)
	return f.buffer[start:len(f.buffer):len(f.buffer)]
}
