package clone

// element is a value that is not a hole.
func (r *reader) element() (any, error) {
	v, err := r.value()
	if _, is := v.(hole); is {
		return nil, malformed(r.at-1, "a hole outside of an array")
	}
	return v, err
}

// counted takes the number after an end, which says again how many there were.
func (r *reader) counted(got int) error {
	at := r.at
	n, err := r.varint()
	if err == nil && int64(n) != int64(got) {
		err = malformed(at, "%d properties or elements were announced, there are %d", n, got)
	}
	return err
}

func (r *reader) mapping() (any, error) {
	m := &Map{}
	r.number(m)
	for n := 0; ; n += 2 {
		if r.is(tagMapEnd) {
			return m, r.counted(n)
		}
		k, err := r.element()
		if err != nil {
			return nil, err
		}
		v, err := r.element()
		if err != nil {
			return nil, err
		}
		m.Set(k, v)
	}
}

func (r *reader) set() (any, error) {
	s := &Set{}
	r.number(s)
	for n := 0; ; n++ {
		if r.is(tagSetEnd) {
			return s, r.counted(n)
		}
		v, err := r.element()
		if err != nil {
			return nil, err
		}
		s.Add(v)
	}
}

// key takes the key of a property.
func (r *reader) key() (string, error) {
	t, err := r.tag()
	if err != nil {
		return "", err
	}
	switch t {
	case tagInt32:
		n, err := r.int32()
		return numberKey(float64(n)), err
	case tagUint32:
		n, err := r.varint()
		return numberKey(float64(n)), err
	case tagDouble:
		f, err := r.double()
		return numberKey(f), err
	case tagOneByte:
		b, err := r.sized()
		if err != nil {
			return "", err
		}
		if r.names == nil {
			r.names = new(names)
		}
		return r.names.of(b), nil
	case tagUTF8, tagTwoByte:
		return r.text(t)
	}
	return "", malformed(r.at-1, "tag %q where the key of a property must be", t)
}

// properties takes properties up to an end and returns how many there were.
func (r *reader) properties(end byte, set func(key string, value any)) (int, error) {
	for n := 0; ; n++ {
		if r.is(end) {
			return n, nil
		}
		k, err := r.key()
		if err != nil {
			return n, err
		}
		v, err := r.element()
		if err != nil {
			return n, err
		}
		set(k, v)
	}
}

func (r *reader) plain() (any, error) {
	var to any
	var n int
	var err error
	if r.options.Exact {
		o := &Object{}
		r.number(o)
		to = o
		n, err = r.properties(tagObjectEnd, o.Set)
	} else {
		m := make(map[string]any)
		r.number(m)
		to = m
		n, err = r.properties(tagObjectEnd, func(k string, v any) { m[k] = v })
	}
	if err != nil {
		return nil, err
	}
	return to, r.counted(n)
}

// names are keys of properties that have been read: objects of one kind have the same,
// and these can be one string.
type names struct {
	used bool
	list [64]string
}

// of is the string of a key in Latin-1.
func (n *names) of(b []byte) string {
	if len(b) == 0 || len(b) > 32 || !isASCII(b) {
		return fromLatin1(b)
	}
	known := &n.list[(uint(len(b))+5*uint(b[0])+11*uint(b[len(b)/2])+23*uint(b[len(b)-1]))%uint(len(n.list))]
	if *known != string(b) {
		n.used = true
		*known = string(b)
	}
	return *known
}

func (n *names) forget() {
	if n != nil && n.used {
		*n = names{}
	}
}
