/* mkaff4.h - makes AFF4 volumes for tests, byte by byte from the format notes (docs/formats/aff4.md), in the forms that writers have. */
#ifndef ETLIFT_MKAFF4_H
#define ETLIFT_MKAFF4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define MKAFF4_PAGE  4096u
#define MKAFF4_CHUNK 32768u

enum mkaff4_form {
	MKAFF4_WINPMEM,  /* version 3: names inside the volume, one stream, information.yaml */
	MKAFF4_WINPMEM2, /* version 2: indexes of u32 beginnings, other words */
	MKAFF4_STANDARD, /* an image that names a map; two streams; zeros and a pattern as such; an unreadable piece */
	MKAFF4_OLD       /* before the standard: another namespace, indexes of u32 ends */
};

struct mkaff4_run {
	uint64_t pfn, pages;
};

struct mkaff4 {
	enum mkaff4_form form;
	const char *pack; /* "snappy", "lz4", "deflate", "zlib", "stored" */
	const struct mkaff4_run *run;
	size_t n_runs;
	const uint8_t *(*page)(void *ctx, uint64_t pfn); /* NULL: zeros */
	void *ctx;
	uint32_t per_segment; /* chunks; 0: 2048 */
	uint64_t cr3, kernel_base;
	bool others;           /* a page file and a file stand in the volume too, larger than memory is said to be */
	bool zip32;            /* an archive without the wide headers */
	bool pack_members;     /* the archive's own compression, of all members */
	bool no_directory;     /* the writer was stopped */
	bool junk_before;      /* something stands before the archive */
	const char *leave_out; /* a member whose name ends so is not written */
	unsigned part;         /* STANDARD: only stream `part` - 1 of 2 is in this volume; 0: both */
};

void mkaff4_build(struct buf *b, const struct mkaff4 *o);
/* How many bytes MKAFF4_CHUNK of them take, packed. */
size_t mkaff4_packed(const char *how, const uint8_t *p);

#endif
