package clone

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// place is a string that is sorted: where it is in the list, and what nearly always
// decides, eight of its bytes from where those of the list begin to differ, the first
// as the most significant one.
type place struct {
	head uint64
	at   int
}

// fewKeys is up to how many keys comparing is quicker than counting: all counts have to
// be cleared and summed up.
const fewKeys = 128

// sortKeys sorts the keys that the writer has beyond so many, and returns them in their
// order. They are behind the others then; forgetKeys takes both away.
func (w *writer) sortKeys(from int) []string {
	keys := w.keys[from:]
	n := len(keys)
	common := commonPrefix(keys)
	w.places = slices.Grow(w.places[:0], 2*n)[:2*n]
	places, other := w.places[:n], w.places[n:]
	for i, k := range keys {
		var head [8]byte
		copy(head[:], k[common:])
		places[i] = place{binary.BigEndian.Uint64(head[:]), i}
	}
	if n > fewKeys {
		places = sortByHead(places, other)
	} else {
		slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.head, b.head) })
	}
	for i := 0; i < n; {
		j := i + 1
		for j < n && places[j].head == places[i].head {
			j++
		}
		if j-i > 1 {
			slices.SortFunc(places[i:j], func(a, b place) int { return strings.Compare(keys[a.at], keys[b.at]) })
		}
		i = j
	}
	for _, p := range places {
		w.keys = append(w.keys, keys[p.at])
	}
	return w.keys[from+n:]
}

// forgetKeys takes the keys beyond so many off the stack.
func (w *writer) forgetKeys(from int) {
	clear(w.keys[from:])
	w.keys = w.keys[:from]
}

// commonPrefix is how many bytes all strings of a list begin with alike.
func commonPrefix(list []string) int {
	if len(list) == 0 {
		return 0
	}
	common := list[0]
	for _, s := range list[1:] {
		n := 0
		for n < len(common) && n < len(s) && common[n] == s[n] {
			n++
		}
		common = common[:n]
	}
	return len(common)
}

// sortByHead sorts by counting, one byte of the heads after the other from the least
// significant one. It returns one of the two lists, of one length.
func sortByHead(list, other []place) []place {
	var counts [8][256]int
	for _, p := range list {
		for i := range counts {
			counts[i][byte(p.head>>(8*i))]++
		}
	}
	for i := range counts {
		count := &counts[i]
		if count[byte(list[0].head>>(8*i))] == len(list) {
			continue // all have the same
		}
		next := 0
		for b, n := range count {
			count[b] = next
			next += n
		}
		for _, p := range list {
			b := byte(p.head >> (8 * i))
			other[count[b]] = p
			count[b]++
		}
		list, other = other, list
	}
	return list
}
