/* ewf.h - the parts of the EWF reader: ewf.c opens and reads, ewfwalk.c walks the sections of one segment file into chunks, ewfsalvage.c finds chunks that
 * no table leads to.
 * Facts: docs/formats/ewf.md. */
#ifndef ETLIFT_EWF_H
#define ETLIFT_EWF_H

#include <pthread.h>

#include "chunkcache.h"
#include "dumpfmt.h"
#include "inputset.h"

#define EWF_HEADER         13u
#define EWF_SECTION        76u
#define EWF_CHUNK_MAX      (64u << 20) /* bytes of a chunk; the format's usual ones are 32 KiB to 1 MiB */
#define EWF_CHUNK_USUAL    32768u      /* 64 sectors of 512: taken when nothing says how large a chunk is */
#define EWF_TABLE_MAX      (1u << 24)  /* entries of one table */
#define EWF_CHUNKS_MAX     (UINT64_C(1) << 28)
#define EWF_SECTIONS_MAX   (1u << 20)                 /* of one segment */
#define EWF_PACKED_MAX(sz) ((sz) + (sz) / 512 + 1024) /* no chunk is packed into more */

struct ewf_chunk {
	uint64_t off;
	uint32_t len; /* bytes in the file; 0: its place is lost */
	uint16_t seg; /* number in the set of files */
	bool packed;
};

struct ewf_gap { /* an unknown number of chunks is missing before chunk `at` */
	size_t at;
};

struct ewf {
	struct inputset *files;
	struct notes *notes; /* while opening */
	struct ewf_chunk *v;
	size_t n, cap;
	struct ewf_gap *gap;
	size_t n_gaps, cap_gaps;
	bool has_volume, volume_sound;
	bool foreign;      /* the segment just walked is of another set */
	uint8_t set[16];   /* GUID of the acquisition; zeros in old versions */
	uint32_t n_chunks; /* as the volume says */
	uint32_t chunk_size;
	uint64_t media; /* bytes, as the volume says; later, as they are */
	bool has_md5, has_sha1, md5_differs;
	uint8_t md5[16], sha1[20];
	/* reading */
	uint64_t second_at; /* media chunk where v[second] stands, when something is lost in between */
	size_t first_n, second;
	struct chunkcache *cache;
	pthread_mutex_t lock; /* of what follows */
	uint8_t *bad, *told;  /* a bit for each chunk of v */
	bool any_bad;
	void (*inner_late)(void *ctx, struct notes *notes); /* of the container inside */
	void *inner_ctx;
};

/* Adler-32 over n bytes. */
uint32_t ewf_adler(const void *p, size_t n);

/* Appends the chunks of segment file `seg` (its header is known to be sound). Damage is a note and, where chunks are lost, a gap. Fails only for
 * want of memory or at a limit. *ended: the segment is the last one (`done`), or goes on in another (`next`). */
enum ewf_end { EWF_END_CUT, EWF_END_NEXT, EWF_END_DONE };
int ewf_walk(struct ewf *x, unsigned seg, enum ewf_end *ended, struct err *e);

/* Finds the chunks in [from, end) of segment file `seg` without a table: those that prove themselves, in order. lost: something that is no chunk stands
 * before this one. found() returns 0, or ERR_*, which ends it. *proved: bytes of all chunks. Returns how far they go, or ERR_*. */
enum { EWF_SALVAGE_CUT, EWF_SALVAGE_TO_END, EWF_SALVAGE_ALL };
typedef int ewf_found_fn(void *ctx, const struct ewf_chunk *c, bool lost, struct err *e);
int ewf_salvage(const struct ewf *x, unsigned seg, uint64_t from, uint64_t end, ewf_found_fn *found, void *ctx, uint64_t *proved,
		struct err *e);

int ewf_add_gap(struct ewf *x, struct err *e); /* at the present end of v; once */

#endif
