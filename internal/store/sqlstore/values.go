package sqlstore

import (
	"fmt"
	"reflect"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
)

// micros is a moment as the database has it; the zero Time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment is the inverse of micros.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// value turns an argument into int64, string or []byte, which is all that the
// drivers see. (Their own conversions differ from each other.)
func value(a any) (any, error) {
	switch v := a.(type) {
	case int64, string:
		return v, nil
	case []byte:
		if v == nil {
			return []byte{}, nil
		}
		return v, nil
	case int:
		return int64(v), nil
	case mailbox.AccountID:
		return int64(v), nil
	case mailbox.ID:
		return int64(v), nil
	case mailbox.EmailID:
		return int64(v), nil
	case mailbox.UID:
		return int64(v), nil
	case mailbox.ModSeq:
		return int64(v), nil
	case mailbox.Flags:
		return int64(v), nil
	case bool:
		if v {
			return int64(1), nil
		}
		return int64(0), nil
	case blob.ID:
		return v[:], nil
	case mail.ID:
		return v[:], nil
	case [32]byte:
		return v[:], nil
	case time.Time:
		return micros(v), nil
	case fmt.Stringer, nil:
	case driverList:
		return v.v, nil
	}
	return valueByKind(a)
}

// driverList is an argument made by tx.in that goes to the driver as it is.
type driverList struct{ v any }

func valueByKind(a any) (any, error) {
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return int64(v.Uint()), nil
	case reflect.String:
		return v.String(), nil
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(b), v)
			return b, nil
		}
	}
	return nil, fmt.Errorf("sqlstore: argument of type %T", a)
}

func assignAll(dest, vals []any) error {
	if len(dest) != len(vals) {
		return fmt.Errorf("sqlstore: %d columns for %d targets", len(vals), len(dest))
	}
	for i, d := range dest {
		if err := assign(d, vals[i]); err != nil {
			return fmt.Errorf("sqlstore: column %d: %w", i+1, err)
		}
	}
	return nil
}

// assign puts a value that a cursor gave into a pointer.
func assign(dest, v any) error {
	switch n := v.(type) {
	case int64:
		return assignInt(dest, n)
	case string:
		if d, ok := dest.(*string); ok {
			*d = n
			return nil
		}
	case []byte:
		return assignBytes(dest, n)
	case nil: // an aggregate over nothing
		reflect.ValueOf(dest).Elem().SetZero()
		return nil
	}
	return assignByKind(dest, v)
}

func assignInt(dest any, n int64) error {
	switch d := dest.(type) {
	case *int64:
		*d = n
	case *int:
		*d = int(n)
	case *uint32:
		*d = uint32(n)
	case *bool:
		*d = n != 0
	case *time.Time:
		*d = moment(n)
	case *mailbox.UID:
		*d = mailbox.UID(n)
	case *mailbox.ModSeq:
		*d = mailbox.ModSeq(n)
	case *mailbox.Flags:
		*d = mailbox.Flags(n)
	case *mailbox.ID:
		*d = mailbox.ID(n)
	case *mailbox.EmailID:
		*d = mailbox.EmailID(n)
	case *mailbox.AccountID:
		*d = mailbox.AccountID(n)
	default:
		return assignByKind(dest, n)
	}
	return nil
}

func assignBytes(dest any, b []byte) error {
	switch d := dest.(type) {
	case *[]byte:
		*d = b
	case *blob.ID:
		return fill(d[:], b)
	case *mail.ID:
		return fill(d[:], b)
	case *[32]byte:
		return fill(d[:], b)
	default:
		return assignByKind(dest, b)
	}
	return nil
}

func fill(dst, src []byte) error {
	if len(src) != len(dst) {
		return fmt.Errorf("%d octets where %d are wanted", len(src), len(dst))
	}
	copy(dst, src)
	return nil
}

func assignByKind(dest, v any) error {
	p := reflect.ValueOf(dest)
	if p.Kind() == reflect.Pointer && !p.IsNil() {
		e := p.Elem()
		switch x := v.(type) {
		case int64:
			switch {
			case e.CanInt():
				e.SetInt(x)
				return nil
			case e.CanUint():
				e.SetUint(uint64(x))
				return nil
			}
		case string:
			if e.Kind() == reflect.String {
				e.SetString(x)
				return nil
			}
		case []byte:
			if e.Kind() == reflect.Array && e.Type().Elem().Kind() == reflect.Uint8 && e.Len() == len(x) {
				reflect.Copy(e, reflect.ValueOf(x))
				return nil
			}
		}
	}
	return fmt.Errorf("a %T into a %T", v, dest)
}
