// s2w MODE: packs standard input with klauspost/compress, the S2 and Snappy writer of go-winpmem and Velociraptor, for tests/sys/35-producers.sh.
package main

import (
	"io"
	"os"

	"github.com/klauspost/compress/s2"
)

func main() {
	modes := map[string][]s2.WriterOption{
		"snappy": {s2.WriterSnappyCompat(), s2.WriterBlockSize(64 << 10)},
		"fast":   {},
		"index":  {s2.WriterBetterCompression(), s2.WriterAddIndex()},
		"padded": {s2.WriterBestCompression(), s2.WriterPadding(4096), s2.WriterBlockSize(4 << 20)},
	}
	w := s2.NewWriter(os.Stdout, modes[os.Args[1]]...)
	_, err := io.Copy(w, os.Stdin)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
}
