package sqlstore

import "sync"

// pgBlock is by how much the SEQUENCEs of the schema go up: each call reserves as
// many ids for this process.
const pgBlock = 64

// pgSequences gives ids out of reserved blocks. A SEQUENCE is not rolled back, so
// a block is good whatever becomes of the transaction that reserved it.
type pgSequences struct {
	mu   sync.Mutex
	have map[sequence]idRange
}

func newPGSequences() *pgSequences { return &pgSequences{have: map[sequence]idRange{}} }

func (p *pgSequences) id(t *tx, s sequence) (int64, error) {
	if n, ok := p.take(s); ok {
		return n, nil
	}
	var first int64
	if err := t.row("SELECT nextval('seq_" + string(s) + "')").scan(&first); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// What another goroutine has reserved meanwhile is dropped.
	p.have[s] = idRange{first + 1, first + pgBlock}
	return first, nil
}

func (p *pgSequences) take(s sequence) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.have[s]
	if r.next == r.end {
		return 0, false
	}
	p.have[s] = idRange{r.next + 1, r.end}
	return r.next, true
}
