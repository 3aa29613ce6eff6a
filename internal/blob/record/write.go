package record

import (
	"encoding/binary"
	"fmt"
	"io"

	"posta/internal/blob"
)

// Check tells whether a record keeps the limits.
func Check(rec *blob.Record) error {
	if rec.Body.Size() > blob.MaxBodyBytes || len(rec.Accept) > blob.MaxAcceptBytes || rec.ID.IsZero() {
		return fmt.Errorf("%w: blob %v of %d bytes with an accept record of %d", blob.ErrInvalid, rec.ID, rec.Body.Size(), len(rec.Accept))
	}
	return nil
}

// Append appends a record whose payload lies in memory, intoBatch bytes behind the start of its batch. It costs one copy of the payload and one pass
// of CRC-32C.
func Append(dst []byte, salt Salt, rec *blob.Record, intoBatch int64, codec *Codec) []byte {
	payload, _ := rec.Body.Mem()
	h := headerOf(rec, intoBatch)
	payload, h.Compression = codec.compress(payload)
	h.Stored = int64(len(payload))
	dst = appendHeader(dst, salt, &h)
	for i := int64(0); len(payload) > 0; i++ {
		chunk := payload[:min(ChunkBytes, len(payload))]
		payload = payload[len(chunk):]
		dst = append(dst, chunk...)
		dst = binary.LittleEndian.AppendUint32(dst, chunkSum(h.seed, i, chunk))
	}
	return dst
}

func headerOf(rec *blob.Record, intoBatch int64) Header {
	h := Header{Stored: rec.Body.Size(), IntoBatch: uint32(intoBatch)}
	h.ID, h.SHA256, h.Size, h.Accept = rec.ID, rec.SHA256, rec.Body.Size(), rec.Accept
	return h
}

// Write writes a record to w as a stream, uncompressed, with a buffer of one chunk, and returns its
// length. A body that is shorter than its size is ErrInvalid.
func Write(w io.Writer, salt Salt, rec *blob.Record, intoBatch int64) (int64, error) {
	h := headerOf(rec, intoBatch)
	if _, err := w.Write(appendHeader(make([]byte, 0, MinBytes+len(rec.Accept)), salt, &h)); err != nil {
		return 0, err
	}
	buf := make([]byte, 0, min(h.Size, ChunkBytes)+sumBytes)
	for i := int64(0); i*ChunkBytes < h.Size; i++ {
		chunk := buf[:min(ChunkBytes, h.Size-i*ChunkBytes)]
		if n, err := rec.Body.ReadAt(chunk, i*ChunkBytes); n < len(chunk) {
			return 0, fmt.Errorf("%w: blob %v: body ends at %d of %d bytes: %w", blob.ErrInvalid, rec.ID, i*ChunkBytes+int64(n), h.Size, err)
		}
		if _, err := w.Write(binary.LittleEndian.AppendUint32(chunk, chunkSum(h.seed, i, chunk))); err != nil {
			return 0, err
		}
	}
	return h.length(), nil
}
