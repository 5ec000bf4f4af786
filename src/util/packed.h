/* packed.h - text that is compiled in, packed with zlib by tools/pack.c, and unpacked when asked for. */
#ifndef ETLIFT_PACKED_H
#define ETLIFT_PACKED_H

#include <stddef.h>
#include <stdint.h>

struct packed_file {
	const char *name;          /* file name without its folder */
	const unsigned char *data; /* a zlib stream */
	size_t packed, size;
};

/* The text with a NUL behind it, on the heap, or NULL when out of memory. */
char *packed_text(const struct packed_file *f);

#endif
