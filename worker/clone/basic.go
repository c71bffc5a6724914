package clone

import (
	"encoding/binary"
	"math"
	"reflect"
	"time"
	"unsafe"
)

// basicField is a field of a struct that is read and written in place, without reflection:
// most are, and reflection costs more than what is done with them.
type basicField struct {
	of     basicType
	offset uintptr
}

type basicType uint8

const (
	notBasic basicType = iota
	basicString
	basicInt // of 64 bits
	basicFloat
	basicBool
	basicTime
)

// basicFieldOf says which a property is. Those whose type has a name may have methods
// that say otherwise, and those that can be left out need to be looked at.
func basicFieldOf(t reflect.Type, p property) basicField {
	if len(p.index) != 1 || p.omitEmpty || p.omitZero {
		return basicField{}
	}
	f := t.Field(p.index[0])
	b := basicField{offset: f.Offset}
	switch {
	case f.Type == timeType:
		b.of = basicTime
	case f.Type.PkgPath() != "":
	case f.Type.Kind() == reflect.String:
		b.of = basicString
	case f.Type.Kind() == reflect.Int64, f.Type.Kind() == reflect.Int && math.MaxInt == math.MaxInt64:
		b.of = basicInt
	case f.Type.Kind() == reflect.Float64:
		b.of = basicFloat
	case f.Type.Kind() == reflect.Bool:
		b.of = basicBool
	}
	return b
}

// basic writes a field.
func (w *writer) basic(of basicType, at unsafe.Pointer) error {
	switch of {
	case basicString:
		return w.string(*(*string)(at))
	case basicInt:
		w.int(*(*int64)(at))
	case basicFloat:
		w.number(*(*float64)(at))
	case basicBool:
		w.bool(*(*bool)(at))
	case basicTime:
		return w.date(*(*time.Time)(at))
	case notBasic:
	}
	return nil
}

// basic reads a field, if the data has the commonest form of it here: else it takes
// nothing.
func (r *reader) basic(of basicType, at unsafe.Pointer) bool {
	rest := r.data[r.at:]
	if len(rest) < 2 {
		return false
	}
	switch tag := rest[0]; {
	case of == basicString && tag == tagOneByte:
		n := int(rest[1])
		if n >= 0x80 || len(rest) < 2+n {
			return false
		}
		*(*string)(at) = fromLatin1(rest[2 : 2+n])
		r.at += 2 + n
	case (of == basicInt || of == basicFloat) && tag == tagInt32:
		n, size := binary.Uvarint(rest[1:])
		if size <= 0 || n > math.MaxUint32 {
			return false
		}
		i := int32(uint32(n)>>1) ^ -int32(n&1)
		if of == basicInt {
			*(*int64)(at) = int64(i)
		} else {
			*(*float64)(at) = float64(i)
		}
		r.at += 1 + size
	case of == basicFloat && tag == tagDouble && len(rest) >= 9:
		*(*float64)(at) = math.Float64frombits(binary.LittleEndian.Uint64(rest[1:]))
		r.at += 9
	case of == basicBool && (tag == tagTrue || tag == tagFalse):
		*(*bool)(at) = tag == tagTrue
		r.at++
	case of == basicTime && tag == tagDate && len(rest) >= 9:
		d := Date{Milliseconds: math.Float64frombits(binary.LittleEndian.Uint64(rest[1:]))}
		t, valid := d.Time()
		if !valid {
			return false
		}
		*(*time.Time)(at) = t
		r.unnamed()
		r.at += 9
	default:
		return false
	}
	return true
}
