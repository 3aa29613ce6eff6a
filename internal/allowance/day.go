package allowance

import (
	"encoding/binary"
	"time"
)

// hours is how many hours are counted: the running one and the 24 before it.
const hours = 25

// maxHour bounds what is read back as the messages of one hour.
const maxHour = 1 << 30

// Day is what an account sent lately. The zero Day is nothing.
type Day struct {
	hour   int64         // the newest, in hours since 1970
	sent   [hours]uint32 // sent[i] in the hour before it by i
	warned int64         // the hour in which its people were warned last; 0 is never
}

// Answer is what came of one message.
type Answer struct {
	OK    bool
	Sent  int       // with this one, if it is OK
	Limit int       // as it was given
	Free  time.Time // if it is not OK: when the next one may go
	Warn  bool      // four fifths of the limit are used, and nobody was told today
}

// Take is one more message at a time, if the limit, at least 1, lets it go. A refused
// one is not counted: a mail program that tries again uses nothing up.
func (d Day) Take(limit int, now time.Time) (Day, Answer) {
	d = d.at(now)
	a := Answer{Sent: d.Sent(now), Limit: limit}
	if a.Sent >= limit {
		a.Free = d.free(limit)
		return d, a
	}
	d.sent[0]++
	a.Sent++
	a.OK = true
	if a.Sent*5 >= limit*4 && (d.warned == 0 || d.hour-d.warned >= 24) {
		d.warned, a.Warn = d.hour, true
	}
	return d, a
}

// Give gives a message back that was taken at a time.
func (d Day) Give(at, now time.Time) Day {
	d = d.at(now)
	if i := d.hour - hourOf(at); i >= 0 && i < hours && d.sent[i] > 0 {
		d.sent[i]--
	}
	return d
}

// Sent is how many messages count at a time.
func (d Day) Sent(now time.Time) (n int) {
	d = d.at(now)
	for _, k := range d.sent {
		n += int(k)
	}
	return n
}

// at brings the hours forward. A clock that goes back counts in the newest hour.
func (d Day) at(now time.Time) Day {
	h := hourOf(now)
	step := h - d.hour
	if step <= 0 {
		return d
	}
	out := Day{hour: h, warned: d.warned}
	for i := step; i < hours; i++ {
		out.sent[i] = d.sent[i-step]
	}
	return out
}

// free is when fewer messages than the limit count: some hour's are forgotten.
func (d Day) free(limit int) time.Time {
	left := 0
	for _, k := range d.sent {
		left += int(k)
	}
	for i := hours - 1; i > 0; i-- {
		if left -= int(d.sent[i]); left < limit {
			return timeOf(d.hour - int64(i) + hours)
		}
	}
	return d.until()
}

// until is when nothing of it counts any more.
func (d Day) until() time.Time { return timeOf(d.hour + hours) }

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

func timeOf(hour int64) time.Time { return time.Unix(hour*3600, 0).UTC() }

// append encodes the day.
func (d Day) append(b []byte) []byte {
	b = binary.AppendVarint(b, d.hour)
	b = binary.AppendVarint(b, d.warned)
	for _, k := range d.sent {
		b = binary.AppendUvarint(b, uint64(k))
	}
	return b
}

// parseDay reads what append wrote; anything else is nothing.
func parseDay(b []byte) Day {
	var d Day
	for _, p := range []*int64{&d.hour, &d.warned} {
		v, n := binary.Varint(b)
		if n <= 0 || v < 0 || v > 1<<40 {
			return Day{}
		}
		*p, b = v, b[n:]
	}
	for i := range d.sent {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > maxHour {
			return Day{}
		}
		d.sent[i], b = uint32(v), b[n:]
	}
	if len(b) > 0 {
		return Day{}
	}
	return d
}
