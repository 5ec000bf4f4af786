/* libraries.h - the libraries that can be built in, once, for `--version` and etlift_features().
 *
 * LIBRARIES(X) calls X(name, built in: 0 or 1, what for). The Makefile finds the optional ones and sets HAVE_*. */
#ifndef ETLIFT_LIBRARIES_H
#define ETLIFT_LIBRARIES_H

#ifdef HAVE_LZMA
#define LIB_LZMA 1
#else
#define LIB_LZMA 0
#endif
#ifdef HAVE_MSPACK
#define LIB_MSPACK 1
#else
#define LIB_MSPACK 0
#endif
#ifdef HAVE_ZSTD
#define LIB_ZSTD 1
#else
#define LIB_ZSTD 0
#endif
#ifdef HAVE_LZ4
#define LIB_LZ4 1
#else
#define LIB_LZ4 0
#endif
#ifdef HAVE_BZ2
#define LIB_BZ2 1
#else
#define LIB_BZ2 0
#endif
#ifdef HAVE_SNAPPY
#define LIB_SNAPPY 1
#else
#define LIB_SNAPPY 0
#endif
#ifdef HAVE_LZO
#define LIB_LZO 1
#else
#define LIB_LZO 0
#endif
#ifdef HAVE_EXPAT
#define LIB_EXPAT 1
#else
#define LIB_EXPAT 0
#endif
#ifdef HAVE_YARA
#define LIB_YARA 1
#else
#define LIB_YARA 0
#endif

#define LIBRARIES(X)                                                                                                                       \
	X("zlib", 1, "built-in data, gzip")                                                                                                \
	X("cjson", 1, "profiles")                                                                                                          \
	X("libcrypto", 1, "hashes")                                                                                                        \
	X("liblzma", LIB_LZMA, "xz")                                                                                                       \
	X("libmspack", LIB_MSPACK, "compressed PDB files")                                                                                 \
	X("libzstd", LIB_ZSTD, "zstd")                                                                                                     \
	X("liblz4", LIB_LZ4, "lz4")                                                                                                        \
	X("libbz2", LIB_BZ2, "bzip2")                                                                                                      \
	X("libsnappy", LIB_SNAPPY, "snappy pages")                                                                                         \
	X("liblzo2", LIB_LZO, "lzo pages, lzop")                                                                                           \
	X("libexpat", LIB_EXPAT, "instrumentation manifests")                                                                              \
	X("libyara", LIB_YARA, "etlift scan")

#endif
