package http2

// forgone remembers the streams that were reset last: what is still on its way for them is ignored.
type forgone struct {
	ids  [128]uint32
	at   int
	from uint32 // and all from that one on; 0 for none
}

func (f *forgone) add(id uint32) {
	f.ids[f.at%len(f.ids)] = id
	f.at++
}

func (f *forgone) has(id uint32) bool {
	if f.from > 0 && id >= f.from {
		return true
	}
	for _, forgone := range f.ids {
		if forgone == id {
			return true
		}
	}
	return false
}
