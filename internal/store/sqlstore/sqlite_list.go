package sqlstore

import "strconv"

// sqliteList passes a list as JSON text, so that one prepared statement serves
// lists of every length.
func sqliteList(n int, ids []int64) (string, any) {
	buf := make([]byte, 0, 2+8*len(ids))
	buf = append(buf, '[')
	for i, id := range ids {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = strconv.AppendInt(buf, id, 10)
	}
	return "(SELECT value FROM json_each($" + strconv.Itoa(n) + "))", string(append(buf, ']'))
}
