package history

import "math"

// scale is how a quantity is kept in few bits, as a floating point number without a
// sign. Below 2^(mantissa+1) units it is exact to the unit, above that to one part in
// 2^(mantissa+2). Zero is 0; the code with all bits set is "no sample".
type scale struct {
	unit           float64
	mantissa, bits uint
}

// The scales of a cell's values.
var (
	cpuScale      = scale{unit: 0.01, mantissa: 8, bits: 12}       // up to 838 cores
	acceptedScale = scale{unit: 1.0 / 3600, mantissa: 7, bits: 12} // one in an hour is the least
	memoryScale   = scale{unit: 4096, mantissa: 11, bits: 16}
	countScale    = scale{unit: 1, mantissa: 4, bits: 8} // up to 491,520
)

func (s scale) none() uint32 { return 1<<s.bits - 1 }

// encode returns the code of a value; NaN is no sample. Values out of range become
// the nearest one in it.
func (s scale) encode(v float64) uint32 {
	if math.IsNaN(v) {
		return s.none()
	}
	units := v / s.unit
	if units <= 0 {
		return 0
	}
	most := s.none() - 1
	if units < float64(uint32(1)<<s.mantissa) {
		return uint32(math.Round(units))
	}
	exponent := math.Ilogb(units) - int(s.mantissa)
	if exponent >= 1<<(s.bits-s.mantissa) {
		return most
	}
	// A fraction that is rounded up to 2 carries into the exponent, as it should.
	code := uint32(exponent)<<s.mantissa + uint32(math.Round(math.Ldexp(units, -exponent)))
	return min(code, most)
}

// decode returns the value of a code, NaN if that is no sample.
func (s scale) decode(code uint32) float64 {
	if code == s.none() {
		return math.NaN()
	}
	exponent, mantissa := code>>s.mantissa, code&(1<<s.mantissa-1)
	if exponent == 0 {
		return float64(mantissa) * s.unit
	}
	return math.Ldexp(float64(mantissa|1<<s.mantissa), int(exponent)-1) * s.unit
}

// cellBytes is the size of one row of a ring.
const cellBytes = 7

// cell is one row: the codes of an instance's values.
type cell [cellBytes]byte

// noCell is the row of a time without a sample.
var noCell = cell{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// point is the values of a row; NaN is no sample.
type point [seriesCount]float64

func pack(p point) cell {
	both := cpuScale.encode(p[CPU])<<12 | acceptedScale.encode(p[Accepted])
	memory := memoryScale.encode(p[Memory])
	return cell{
		byte(both >> 16), byte(both >> 8), byte(both), byte(memory >> 8), byte(memory),
		byte(countScale.encode(p[Queue])), byte(countScale.encode(p[Restarts])),
	}
}

func (c cell) unpack() (p point) {
	both := uint32(c[0])<<16 | uint32(c[1])<<8 | uint32(c[2])
	p[CPU] = cpuScale.decode(both >> 12)
	p[Accepted] = acceptedScale.decode(both & 0xfff)
	p[Memory] = memoryScale.decode(uint32(c[3])<<8 | uint32(c[4]))
	p[Queue] = countScale.decode(uint32(c[5]))
	p[Restarts] = countScale.decode(uint32(c[6]))
	return p
}
