// Package record is the format in which blob/pack and blob/s3 keep blobs: bytes ↔ values, over an
// io.ReaderAt.
//
// A unit (pack file or S3 object) is a unit header, then records back to back, and in a sealed pack a
// footer. All numbers are little endian; every checksum is CRC-32C (Castagnoli, RFC 3720 §12.1).
//
//	unit header, 64 bytes          record header, 96 bytes             footer, 40 bytes
//	 0 "PostaU1\n"                  0 "PoRc"                            0 "PoEn"
//	 8 salt              8          4 salt of the unit        8         4 salt of the unit      8
//	16 time made, ms     8         12 version = 1             1        12 length of last batch  4
//	24 reserved, zero   36         13 format, 0 = as received 1        16 end of the records    8
//	60 checksum of 0..60 4         14 compression             1        24 number of records     8
//	                               15 cipher, 0 = none        1        32 reserved              4
//	                               16 key id, 0 = none        4        36 checksum of 0..36     4
//	                               20 length of accept record 4
//	                               24 length of the payload   8
//	                               32 the same, as stored     8
//	                               40 blob id                16
//	                               56 SHA-256 of the payload 32
//	                               88 into its batch          4
//	                               92 checksum of 0..92       4
//
// The record header is followed by the accept record and its checksum, then by the stored payload in
// chunks of 64 KiB, each with its checksum, so that a range can be read and verified by itself. The
// checksum of the accept record starts from that of the header, that of chunk i from the same plus i+1:
// a chunk in the wrong place does not verify.
//
// Records that share one sync are a batch; each says how many bytes it lies behind the start of its batch.
// So after a crash the last batch, of which any part may be torn because nobody was told of it, can be
// told from the ones before, in which a gap is damage. The footer repeats the length of the last batch if
// the pack was ended after a crash.
//
// The salt is random and never leaves the unit. It makes a record header unforgeable: a message that
// contains the bytes of a record is not mistaken for one when a scan has to find its feet again after
// a damaged stretch.
package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"posta/internal/blob"
)

// Sizes of the format, in bytes.
const (
	UnitHeaderBytes = 64
	HeaderBytes     = 96
	FooterBytes     = 40
	ChunkBytes      = 64 << 10
	sumBytes        = 4

	// MinBytes is the length of the shortest record.
	MinBytes = HeaderBytes + sumBytes
)

const (
	unitMagic   = "PostaU1\n"
	recordMagic = "PoRc"
	footerMagic = "PoEn"
	version     = 1
)

// Compression says how the payload is stored.
type Compression uint8

// The compressions. Only payloads of at most MaxCompressBytes are compressed.
const (
	None Compression = 0
	Zstd Compression = 1
	S2   Compression = 2

	MaxCompressBytes = 1 << 20
)

// Salt marks the records of one unit.
type Salt [8]byte

// Header is the head of a record.
type Header struct {
	blob.Entry              // Location as Unit, Offset, Length: filled by Read
	Stored      int64       // bytes of the payload as stored
	Compression Compression // how
	Cipher      uint8       // 0: none; no cipher is defined yet
	KeyID       uint32
	IntoBatch   uint32 // bytes from the start of its batch to the record
	seed        uint32 // checksum of the fixed part
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Length of a record with an accept record of accept bytes and a stored payload of stored bytes.
func Length(accept int, stored int64) int64 {
	return HeaderBytes + int64(accept) + sumBytes + stored + sumBytes*chunks(stored)
}

func chunks(stored int64) int64 { return (stored + ChunkBytes - 1) / ChunkBytes }

// payloadOffset is where the first chunk begins, from the start of the record.
func (h *Header) payloadOffset() int64 { return HeaderBytes + int64(len(h.Accept)) + sumBytes }

func (h *Header) length() int64 { return Length(len(h.Accept), h.Stored) }

// chunkSum is the checksum of chunk i of a record.
func chunkSum(seed uint32, i int64, data []byte) uint32 {
	return crc32.Update(seed+uint32(i)+1, castagnoli, data)
}

// AppendUnitHeader appends the header of a unit.
func AppendUnitHeader(dst []byte, salt Salt, made time.Time) []byte {
	var b [UnitHeaderBytes]byte
	copy(b[:], unitMagic)
	copy(b[8:], salt[:])
	binary.LittleEndian.PutUint64(b[16:], uint64(made.UnixMilli()))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return append(dst, b[:]...)
}

// ReadSalt reads the header of a unit and returns its salt. If the unit header is damaged, but a record
// header follows in its place, the salt is taken from there and returned with an ErrCorrupt.
func ReadSalt(r io.ReaderAt) (Salt, error) {
	var b [UnitHeaderBytes + HeaderBytes]byte
	n, err := r.ReadAt(b[:], 0)
	if n < UnitHeaderBytes {
		if err == io.EOF {
			err = fmt.Errorf("%w: the unit is shorter than its header", blob.ErrCorrupt)
		}
		return Salt{}, err
	}
	head := b[:UnitHeaderBytes]
	if string(head[:8]) == unitMagic && crc32.Checksum(head[:60], castagnoli) == binary.LittleEndian.Uint32(head[60:]) {
		return Salt(head[8:16]), nil
	}
	bad := fmt.Errorf("%w: unit header", blob.ErrCorrupt)
	rec := b[UnitHeaderBytes:n]
	if len(rec) == HeaderBytes && string(rec[:4]) == recordMagic {
		salt := Salt(rec[4:12])
		if _, _, err := parseFixed(rec, salt); err == nil {
			return salt, bad
		}
	}
	return Salt{}, bad
}

// Footer ends a sealed pack.
type Footer struct {
	End       int64 // where the records end
	Records   int64 // how many there are
	LastBatch int64 // in the last so many bytes before End gaps are no damage; less than 4 GiB
}

// AppendFooter appends a footer.
func AppendFooter(dst []byte, salt Salt, f Footer) []byte {
	var b [FooterBytes]byte
	copy(b[:], footerMagic)
	copy(b[4:], salt[:])
	binary.LittleEndian.PutUint32(b[12:], uint32(f.LastBatch))
	binary.LittleEndian.PutUint64(b[16:], uint64(f.End))
	binary.LittleEndian.PutUint64(b[24:], uint64(f.Records))
	binary.LittleEndian.PutUint32(b[36:], crc32.Checksum(b[:36], castagnoli))
	return append(dst, b[:]...)
}

// ReadFooter reads the footer at the end of a unit of size bytes. ErrCorrupt if there is none.
func ReadFooter(r io.ReaderAt, size int64, salt Salt) (Footer, error) {
	var b [FooterBytes]byte
	if size < UnitHeaderBytes+FooterBytes {
		return Footer{}, fmt.Errorf("%w: no footer", blob.ErrCorrupt)
	}
	if n, err := r.ReadAt(b[:], size-FooterBytes); n < FooterBytes {
		return Footer{}, err
	}
	f := Footer{
		End:       int64(binary.LittleEndian.Uint64(b[16:])),
		Records:   int64(binary.LittleEndian.Uint64(b[24:])),
		LastBatch: int64(binary.LittleEndian.Uint32(b[12:])),
	}
	if string(b[:4]) != footerMagic || Salt(b[4:12]) != salt ||
		crc32.Checksum(b[:36], castagnoli) != binary.LittleEndian.Uint32(b[36:]) ||
		f.End < UnitHeaderBytes || f.End > size-FooterBytes {
		return Footer{}, fmt.Errorf("%w: no footer", blob.ErrCorrupt)
	}
	return f, nil
}

// appendHeader appends the fixed part, the accept record and its checksum, and sets h.seed.
func appendHeader(dst []byte, salt Salt, h *Header) []byte {
	var b [HeaderBytes]byte
	copy(b[:], recordMagic)
	copy(b[4:], salt[:])
	b[12], b[14], b[15] = version, byte(h.Compression), h.Cipher
	binary.LittleEndian.PutUint32(b[16:], h.KeyID)
	binary.LittleEndian.PutUint32(b[20:], uint32(len(h.Accept)))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.Size))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.Stored))
	copy(b[40:], h.ID[:])
	copy(b[56:], h.SHA256[:])
	binary.LittleEndian.PutUint32(b[88:], h.IntoBatch)
	h.seed = crc32.Checksum(b[:92], castagnoli)
	binary.LittleEndian.PutUint32(b[92:], h.seed)
	dst = append(dst, b[:]...)
	dst = append(dst, h.Accept...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Update(h.seed, castagnoli, h.Accept))
}

var errHeader = fmt.Errorf("%w: record header", blob.ErrCorrupt)

// parseFixed reads the fixed part of a record header and the length of its accept record.
func parseFixed(b []byte, salt Salt) (Header, int, error) {
	seed := binary.LittleEndian.Uint32(b[92:])
	if string(b[:4]) != recordMagic || !bytes.Equal(b[4:12], salt[:]) || crc32.Checksum(b[:92], castagnoli) != seed {
		return Header{}, 0, errHeader
	}
	accept := binary.LittleEndian.Uint32(b[20:])
	size, stored := binary.LittleEndian.Uint64(b[24:]), binary.LittleEndian.Uint64(b[32:])
	h := Header{Stored: int64(stored), Compression: Compression(b[14]), Cipher: b[15], KeyID: binary.LittleEndian.Uint32(b[16:]), seed: seed}
	h.Size = int64(size)
	h.ID, h.SHA256 = blob.ID(b[40:56]), [32]byte(b[56:88])
	h.IntoBatch = binary.LittleEndian.Uint32(b[88:])
	plain := h.Compression == None && h.Cipher == 0
	if accept > blob.MaxAcceptBytes || size > blob.MaxBodyBytes || stored > blob.MaxBodyBytes || plain && size != stored {
		return Header{}, 0, errHeader
	}
	return h, int(accept), nil
}

// supported tells whether this version can read the payload.
func (h *Header) supported(b []byte) error {
	if b[12] != version || b[13] != 0 || h.Cipher != 0 || h.Compression > S2 {
		return fmt.Errorf("blob %v: version %d, format %d, compression %d, cipher %d: %w", h.ID, b[12], b[13], h.Compression, h.Cipher, errors.ErrUnsupported)
	}
	if h.Compression != None && (h.Size > MaxCompressBytes || h.Stored >= h.Size) {
		return errHeader
	}
	return nil
}

// SaltAt returns the salt that the record at off claims, for those who trust the location and want to spare
// the reading of the unit header.
func SaltAt(r io.ReaderAt, off int64) (Salt, error) {
	var b [HeaderBytes]byte
	if err := readFull(r, b[:], off); err != nil {
		return Salt{}, err
	}
	return Salt(b[4:12]), nil
}
