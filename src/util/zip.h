/* zip.h - the members of a ZIP archive, also a large one (ZIP64) or one that was cut short. Reading only; names are as they stand in the file.
 * Source: PKWARE APPNOTE 6.3. Not read: archives over several disks, encryption. */
#ifndef ETLIFT_ZIP_H
#define ETLIFT_ZIP_H

#include <stdbool.h>

#include "buf.h"
#include "input.h"

#define ZIP_MEMBERS_MAX (1u << 20)
#define ZIP_STORED      0
#define ZIP_DEFLATED    8

struct zip_member {
	char *name;
	uint64_t header; /* file offset of its own header */
	uint64_t packed, size;
	uint16_t method;
};

struct zip {
	struct zip_member *v; /* in the order of the directory */
	size_t n, cap;
	char comment[256]; /* the beginning of the archive's comment */
	bool salvaged;     /* there is no directory: members were found by their own headers */
	bool cut;          /* more than ZIP_MEMBERS_MAX, or a directory that ends early */
};

/* Fills *z (zeroed before). ERR_NOTMINE: nothing of an archive. zip_free() also after a failure. */
int zip_list(struct zip *z, struct input *in, struct err *e);
void zip_free(struct zip *z);

/* Where a member's bytes stand in the file. ERR_FORMAT: its own header is not there. */
int zip_data(struct input *in, const struct zip_member *m, uint64_t *off, struct err *e);

/* A whole member, unpacked, appended to out. ERR_LIMIT: more than `most` bytes; ERR_FORMAT: damaged; ERR_UNSUPPORTED: packed otherwise. */
int zip_read(struct input *in, const struct zip_member *m, uint64_t most, struct buf *out, struct err *e);

#endif
