package worker

import (
	"context"
	"time"
)

// poolTask is a task and what is known of it.
type poolTask struct {
	body    taskBody
	ctx     context.Context // of the one who submitted it
	run     *pendingRun     // nil for Submit
	since   int64           // nanoseconds on the pool's clock; 0 if it is not timed
	timeout time.Duration
	weight  uint16 // for how many tasks it stands in the histograms
	level   int8
}

// taskBody is what runs. A func is a pointer, so that it becomes one without an allocation.
type taskBody interface {
	do(ctx context.Context) error
}

type submitted func(context.Context) error

func (f submitted) do(ctx context.Context) error { return f(ctx) }

// taskSlot holds a task that waits. It is an element of one of the pool's lists, or on
// the list of free ones, so that in the long run nothing is allocated.
type taskSlot struct {
	poolTask
	prev, next *taskSlot
	// admission is set while the submitter waits, too, for room in the queue.
	admission *poolGate
}

// poolGate is where a goroutine outside the pool waits for it.
type poolGate struct {
	open chan struct{} // of one element
	err  error         // set before it opens
	slot *taskSlot     // while a submitter waits; nil once that is decided
}

// taskLevels are the queues of one priority each, from low to high.
type taskLevels struct {
	n    int
	list [TaskHigh - TaskLow + 1]taskList
}

func (q *taskLevels) push(s *taskSlot) {
	q.list[s.level].push(s)
	q.n++
}

func (q *taskLevels) remove(s *taskSlot) {
	q.list[s.level].remove(s)
	q.n--
}

// first is the next task to be run, or nil.
func (q *taskLevels) first() *taskSlot {
	switch {
	case q.list[2].head != nil:
		return q.list[2].head
	case q.list[1].head != nil:
		return q.list[1].head
	}
	return q.list[0].head
}

// victim is the task that gives way to one of this level, or nil.
func (q *taskLevels) victim(level int8, newest bool) *taskSlot {
	for i := range q.list[:level+1] {
		if l := &q.list[i]; newest && l.tail != nil {
			return l.tail
		} else if l.head != nil {
			return l.head
		}
	}
	return nil
}

// taskList is a doubly linked list: a task whose context ends leaves its middle.
type taskList struct{ head, tail *taskSlot }

func (l *taskList) push(s *taskSlot) {
	s.prev, s.next = l.tail, nil
	if l.tail == nil {
		l.head = s
	} else {
		l.tail.next = s
	}
	l.tail = s
}

func (l *taskList) remove(s *taskSlot) {
	if s.prev == nil {
		l.head = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.tail = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}
