package sieve

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"posta/internal/message"
)

// dateTests are RFC 5260.
func dateTests() []spec {
	zone := []tag{{name: "zone", args: []kind{str}, group: "zone"}, {name: "originalzone", group: "zone"}}
	return []spec{
		{name: "date", test: true, caps: []string{"date"}, match: true, tags: slices.Concat(zone, indexTags()), args: []kind{str, str, strs}, check: checkDate, eval: evalDate},
		{name: "currentdate", test: true, caps: []string{"date"}, match: true, tags: zone[:1], args: []kind{str, strs}, check: checkDate, eval: evalCurrentDate},
	}
}

func dateParts() []string {
	return []string{"year", "month", "day", "date", "julian", "hour", "minute", "second", "time", "iso8601", "std11", "zone", "weekday"}
}

func checkDate(c *compiler, k *call) {
	checkIndex(c, k)
	if k.spec.name == "date" {
		checkNames(c, k)
	}
	what := k.args[len(k.args)-2]
	if s, ok := what.constant(); ok && !slices.Contains(dateParts(), fold(s)) {
		c.fail(what.pos, "there is no part %s of a date; there are %s", shown(s), strings.Join(dateParts(), ", "))
	}
	if args, ok := k.tag("zone"); ok {
		if s, ok := args[0].constant(); ok {
			if _, err := parseZone(s); err != nil {
				c.fail(args[0].pos, "%v", err)
			}
		}
	}
}

// parseZone reads "+hhmm" (RFC 5260 §4).
func parseZone(s string) (*time.Location, error) {
	if len(s) == 5 && (s[0] == '+' || s[0] == '-') && digits(s[1:]) == s[1:] {
		h, _ := strconv.Atoi(s[1:3])
		m, _ := strconv.Atoi(s[3:])
		if m < 60 {
			off := (h*60 + m) * 60
			if s[0] == '-' {
				off = -off
			}
			return time.FixedZone(s, off), nil
		}
	}
	return nil, fmt.Errorf(":zone takes a zone such as \"+0100\", not %s", shown(s))
}

// zoned brings a time to the zone of the test: the owner's unless a tag tells another.
func (r *run) zoned(k *call, t time.Time) (time.Time, bool) {
	if k.has("originalzone") {
		return t, true
	}
	args, ok := k.tag("zone")
	if !ok {
		return t.In(r.env.Now.Location()), true
	}
	loc, err := parseZone(r.text(args[0]))
	if err != nil {
		r.fail(k.pos, nil, "%s: %v", k.spec.name, err)
		return t, false
	}
	return t.In(loc), true
}

func evalDate(r *run, k *call) bool {
	t := r.begin(k)
	name := fold(r.text(k.args[0]))
	what := fold(r.text(k.args[1]))
	for _, fields := range r.headers(k) {
		for _, f := range r.named(k, fields, name) {
			s := f.raw()
			if i := strings.LastIndexByte(s, ';'); i >= 0 { // Received and its like (§4)
				s = s[i+1:]
			}
			if !r.spend(dateCost) {
				return false
			}
			when, err := message.ParseDate(s)
			if err != nil {
				continue
			}
			when, ok := r.zoned(k, when)
			if !ok {
				return false
			}
			if t.try(datePart(when, what), "") {
				return true
			}
		}
	}
	return t.end()
}

func evalCurrentDate(r *run, k *call) bool {
	t := r.begin(k)
	now, ok := r.zoned(k, r.env.Now)
	if !ok {
		return false
	}
	if t.try(datePart(now, fold(r.text(k.args[0]))), "") {
		return true
	}
	return t.end()
}

// datePart is a part of a date as text (RFC 5260 §4.2).
func datePart(t time.Time, part string) string {
	layout := ""
	switch part {
	case "julian": // the modified Julian day: days since 17 November 1858
		y, m, d := t.Date()
		return strconv.FormatInt(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()/86400+40587, 10)
	case "weekday":
		return strconv.Itoa(int(t.Weekday()))
	case "year":
		layout = "2006"
	case "month":
		layout = "01"
	case "day":
		layout = "02"
	case "date":
		layout = "2006-01-02"
	case "hour":
		layout = "15"
	case "minute":
		layout = "04"
	case "second":
		layout = "05"
	case "time":
		layout = "15:04:05"
	case "iso8601":
		layout = "2006-01-02T15:04:05-07:00"
	case "std11":
		layout = "Mon, 02 Jan 2006 15:04:05 -0700"
	case "zone":
		layout = "-0700"
	}
	return t.Format(layout)
}
