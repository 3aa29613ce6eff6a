package sqlstore

import (
	"testing"

	"posta/internal/store"
	"posta/internal/store/storetest"
)

func TestSQLiteConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (a, b store.Store) {
		s := openTest(t, t.TempDir())
		return s, s
	})
}
