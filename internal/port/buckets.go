package port

import "paceline/internal/port/dispatch"

// place is a lane that can get clients by their addresses.
type place struct {
	number int
	rank   int
}

// buckets says which lane gets the clients of which bucket. Each rank's claim to
// a bucket is a number made of the two, and the highest wins, among the lanes of
// a rank likewise: so a rank that leaves gives up its own buckets alone, and gets the
// same ones when it is back, in whatever lane.
func buckets(places []place) (lanes [dispatch.Buckets]uint8) {
	for b := range lanes {
		var best place
		var rankClaim, laneClaim uint32
		for i, p := range places {
			r, l := claim(b, p.rank), claim(b, p.number)
			if i == 0 || r > rankClaim || p.rank == best.rank && l > laneClaim {
				best, rankClaim, laneClaim = p, r, l
			}
		}
		lanes[b] = uint8(best.number)
	}
	return lanes
}

// claim mixes the two numbers: the last steps of MurmurHash3, each of which can be
// undone, so that no two ranks below 2^22 have the same claim to a bucket.
func claim(bucket, of int) uint32 {
	h := uint32(of)*dispatch.Buckets | uint32(bucket)
	h *= 0x9e3779b1
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}
