package nodeipc

// Accepted appends what was handed over to list, in no order.
func (p *Primary) Accepted(list []Accepted) []Accepted { return p.accepted.list(list) }
