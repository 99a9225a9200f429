// eStargz: a gzip whose members are the blocks of single files, with a table at the end that says where each file is, so that
// whoever runs the image can fetch only what is read. See docs/estargz.md of containerd/stargz-snapshotter.

package codec

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
)

// An eStargz layer is a gzip whose members are the blocks of single files, with a table at the end that says where each
// is: who runs the image can fetch what is read only. See docs/estargz.md of containerd/stargz-snapshotter.
const (
	stargzChunk = 1 << 20 // bytes of a file in one member: a block

	annotationTable = "containerd.io/snapshot/stargz/toc.digest"
	annotationSize  = "io.containers.estargz.uncompressed-size"
)

// StargzTable is the name of the table in the tar. It is of the layer, and no file of the image.
const StargzTable = "stargz.index.json"

// PaxXattr begins the names of the PAX records of a tar that are extended attributes.
const PaxXattr = "SCHILY.xattr."

// AboutBlob returns those annotations of a layer that say what is where in its bytes: of eStargz, and of zstd:chunked.
func AboutBlob(annotations map[string]string) map[string]string {
	var about map[string]string
	for name, value := range annotations {
		if name == annotationTable || name == annotationSize || strings.HasPrefix(name, "io.github.containers.zstd-chunked.") {
			if about == nil {
				about = map[string]string{}
			}
			about[name] = value
		}
	}
	return about
}

// stargzFormat is its level, as that of gzipFormat. Every block is a member of its own.
type stargzFormat int

func (stargzFormat) blockSize() int { return stargzChunk }

func (stargzFormat) mostWorkers() int { return gzipFormat(0).mostWorkers() }

func (stargzFormat) head() []byte { return nil }

func (stargzFormat) tail(uint32, uint64) []byte { return nil }

func (c stargzFormat) newEncoder() (encoder, error) {
	z, err := flate.NewWriter(nil, int(c))
	if err != nil {
		return nil, err
	}
	return func(out *bytes.Buffer, block, _ []byte) error {
		out.Write(gzipFormat(c).head())
		z.Reset(out)
		if _, err := z.Write(block); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		end := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(block))
		out.Write(binary.LittleEndian.AppendUint32(end, uint32(len(block))))
		return nil
	}, nil
}

// tableEntry is what the table says of a file, or of a chunk of one that is not its first: a TOCEntry of the specification.
type tableEntry struct {
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Size        int64             `json:"size,omitempty"`
	ModTime     string            `json:"modtime,omitempty"`
	LinkName    string            `json:"linkName,omitempty"`
	Mode        int64             `json:"mode,omitempty"`
	UID         int               `json:"uid,omitempty"`
	GID         int               `json:"gid,omitempty"`
	Offset      int64             `json:"offset,omitempty"` // the place in the blob of the gzip member with its content
	DevMajor    int64             `json:"devMajor,omitempty"`
	DevMinor    int64             `json:"devMinor,omitempty"`
	Xattrs      map[string][]byte `json:"xattrs,omitempty"`
	Digest      string            `json:"digest,omitempty"`
	ChunkOffset int64             `json:"chunkOffset,omitempty"`
	ChunkSize   int64             `json:"chunkSize,omitempty"` // nothing in the last one
	ChunkDigest string            `json:"chunkDigest,omitempty"`
}

// tableTypes are the names of types of entries in the table.
var tableTypes = map[byte]string{tar.TypeReg: "reg", tar.TypeDir: "dir", tar.TypeSymlink: "symlink", tar.TypeLink: "hardlink",
	tar.TypeChar: "char", tar.TypeBlock: "block", tar.TypeFifo: "fifo"}

// newTableEntry returns what the table says of an entry of the tar, without its content.
func newTableEntry(h *tar.Header) (*tableEntry, error) {
	e := &tableEntry{Name: h.Name, Type: tableTypes[h.Typeflag], LinkName: h.Linkname, Mode: h.Mode, UID: h.Uid, GID: h.Gid,
		DevMajor: h.Devmajor, DevMinor: h.Devminor}
	if e.Type == "" {
		return nil, fmt.Errorf("%s: a tar entry of type %q has no name in eStargz", h.Name, h.Typeflag)
	}
	if e.Type == "reg" {
		e.Size = h.Size
	}
	if h.ModTime.Unix() != 0 {
		e.ModTime = h.ModTime.UTC().Format(time.RFC3339)
	}
	for name, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(name, PaxXattr); ok {
			if e.Xattrs == nil {
				e.Xattrs = map[string][]byte{}
			}
			e.Xattrs[name] = []byte(value)
		}
	}
	return e, nil
}

// stargz copies a tar, entry by entry, into a compressor, which begins a member for each file. It keeps an entry of the table for
// each file until the end.
type stargz struct {
	z       *compressor
	in      *tar.Reader
	out     *tar.Writer
	entries []*tableEntry
}

// writeStargz writes the tar that write writes, and the table behind it. It returns the digest of the table.
func writeStargz(z *compressor, write func(io.Writer) error) (string, error) {
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.CloseWithError(write(w))
	}()
	defer func() {
		r.Close()
		<-written
	}()
	s := &stargz{z: z, in: tar.NewReader(r), out: tar.NewWriter(z), entries: []*tableEntry{}}
	for {
		h, err := s.in.Next()
		if err == io.EOF { //nolint:errorlint // A stream ends with io.EOF itself.
			break
		}
		if err == nil {
			err = s.entry(h)
		}
		if err != nil {
			return "", err
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // the error is that of write
		return "", err
	}
	return s.table()
}

// entry copies one entry of the tar.
func (s *stargz) entry(h *tar.Header) error {
	e, err := newTableEntry(h)
	if err != nil {
		return err
	}
	if err := s.out.WriteHeader(h); err != nil {
		return err
	}
	s.entries = append(s.entries, e)
	if e.Type != "reg" {
		return nil
	}
	return s.content(e)
}

// content writes the content of a file in members that have nothing else.
func (s *stargz) content(file *tableEntry) error {
	sum := sha256.New()
	if file.Size >= WholeFrom {
		s.z.StartFile()
	} else {
		s.z.cut()
	}
	for e := file; e.ChunkOffset < file.Size; {
		size := min(stargzChunk, file.Size-e.ChunkOffset)
		chunk := sha256.New()
		s.z.offsetTo(&e.Offset)
		if _, err := io.CopyN(io.MultiWriter(s.out, sum, chunk), s.in, size); err != nil {
			return err
		}
		e.ChunkDigest = fmt.Sprintf("sha256:%x", chunk.Sum(nil))
		rest := file.Size - e.ChunkOffset - size
		if rest == 0 {
			break
		}
		e.ChunkSize = size
		e = &tableEntry{Name: file.Name, Type: "chunk", ChunkOffset: e.ChunkOffset + size}
		s.entries = append(s.entries, e)
	}
	s.z.cut()
	file.Digest = fmt.Sprintf("sha256:%x", sum.Sum(nil))
	return nil
}

// table writes the table, in members of its own, and the footer that says where it is.
func (s *stargz) table() (string, error) {
	if err := s.out.Flush(); err != nil {
		return "", err
	}
	at, err := s.z.drain()
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(map[string]any{"version": 1, "entries": s.entries})
	if err != nil {
		return "", err
	}
	if err := s.out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: StargzTable, Size: int64(len(data))}); err != nil {
		return "", err
	}
	if _, err := s.out.Write(data); err != nil {
		return "", err
	}
	s.z.to.trailer = stargzFooter(at)
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data)), s.out.Close()
}

// stargzFooter is an empty gzip member of 51 bytes with where the table is in its extra field (RFC 1952, 2.3.1.1).
func stargzFooter(at int64) []byte {
	where := fmt.Sprintf("%016xSTARGZ", at)
	f := gzipFormat(0).head()
	f[3] = 4 // it has an extra field
	f = binary.LittleEndian.AppendUint16(f, uint16(4+len(where)))
	f = append(f, 'S', 'G')
	f = binary.LittleEndian.AppendUint16(f, uint16(len(where)))
	f = append(f, where...)
	return append(f, gzipFormat(0).tail(0, 0)...)
}
