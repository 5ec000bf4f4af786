/* aff4.h - the parts of the AFF4 reader: aff4volume.c opens volumes and finds members, aff4.c picks the image, aff4map.c makes a medium of a map's pieces,
 * aff4stream.c reads image streams, aff4rdf.c what volumes say about themselves. Facts: docs/formats/aff4.md. */
#ifndef ETLIFT_AFF4_H
#define ETLIFT_AFF4_H

#include <pthread.h>

#include "aff4rdf.h"
#include "chunkcache.h"
#include "dumpfmt.h"
#include "zip.h"

#define AFF4_VOLUMES_MAX 64u
#define AFF4_TARGETS_MAX 4096u       /* streams that one map may point to */
#define AFF4_PIECES_MAX  (1u << 24)  /* of a map */
#define AFF4_CHUNK_MAX   (64u << 20) /* unpacked; the usual one is 32 KiB */
#define AFF4_CHUNK_USUAL 32768u
#define AFF4_CHUNKS_MAX  (UINT64_C(1) << 28)
#define AFF4_SEGMENT_MAX (1u << 20)            /* chunks in a bevy */
#define AFF4_MEMBER_MAX  (UINT64_C(256) << 20) /* of members that are read as a whole */
#define AFF4_RUNS_MAX    1024u
#define AFF4_PLACE_MAX   (UINT64_C(1) << 52)
#define AFF4_FILL_MAX    (UINT64_C(1) << 40) /* bytes that stand in a map as "zeros" and the like, altogether */

struct aff4_member {
	char *urn;    /* aff4://... */
	uint32_t vol; /* number of the volume */
	const struct zip_member *z;
};

enum aff4_pack { AFF4_STORED, AFF4_SNAPPY, AFF4_LZ4, AFF4_DEFLATE, AFF4_ZLIB, AFF4_PACK_UNKNOWN };

struct aff4_chunk {
	uint64_t off; /* in the file; in the unpacked bevy where the bevy is packed itself */
	uint32_t len; /* 0: not there */
	uint16_t vol;
};

#define AFF4_UNPACKED 4u /* packed bevies that are kept unpacked at a time */

struct aff4 {
	struct input *vol[AFF4_VOLUMES_MAX]; /* borrowed: the dump keeps them */
	struct zip zip[AFF4_VOLUMES_MAX];
	size_t n_vols;
	struct notes *notes;   /* while opening */
	struct aff4_member *m; /* sorted by URN */
	size_t n_m, cap_m;
	char *volume; /* URN of the first volume; "" unknown */
	struct aff4rdf rdf;
	struct aff4_stream **stream; /* used by the image */
	size_t n_streams;
	const char *compression;                            /* for `info`; NULL: none */
	pthread_mutex_t lock;                               /* of what streams keep about damage */
	void (*inner_late)(void *ctx, struct notes *notes); /* of the container inside */
	void *inner_ctx;
};

/* The value of a hexadecimal digit, or -1. */
static inline int aff4_hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* ---- aff4volume.c ---- */
/* The volume that d->in is; x is empty. Damage of the archive is noted. ERR_NOTMINE: a page of memory with an archive's first bytes; ERR_NOIMAGE: an
 * archive that is no volume; what zip_list() says. */
int aff4_volume_first(struct dump *d, struct aff4 *x, struct err *e);
/* Adds the volume in the folder of `path` that has members of `urn` (d keeps it); x has room for one. 1: added, 0: there is none, ERR_*. */
int aff4_volume_find(struct dump *d, struct aff4 *x, const char *path, const char *urn, struct err *e);

/* The first member whose URN is not before this one: x->m is sorted. x->n_m: none. */
size_t aff4_from(const struct aff4 *x, const char *urn);
/* The member of this URN, or NULL. */
const struct aff4_member *aff4_find(const struct aff4 *x, const char *urn);
/* The member URN/tail. */
const struct aff4_member *aff4_find_in(const struct aff4 *x, const char *urn, const char *tail);
int aff4_read_member(struct aff4 *x, const struct aff4_member *m, struct buf *out, struct err *e); /* all of it */

/* ---- aff4stream.c ---- */
struct aff4_stream {
	struct aff4 *x;
	char *urn;
	uint64_t size; /* bytes */
	uint32_t chunk_size, per_segment;
	enum aff4_pack pack;
	bool always_packed; /* one writer packs also what does not get smaller */
	struct aff4_chunk *v;
	size_t n;
	struct chunkcache *cache;
	uint8_t *bad, *told; /* a bit for each chunk; x->lock */
	bool any_bad;
	struct {
		uint32_t bevy;
		uint64_t used;
		struct buf b;
	} unpacked[AFF4_UNPACKED];
	uint64_t clock;
	pthread_mutex_t unpack_lock;
};

/* Is there such a stream in the volumes: its first bevy, or a later one? */
bool aff4_stream_there(const struct aff4 *x, const char *urn);
/* Opens it, or finds it opened; borrowed. ERR_NOTFOUND: no bevy of it is there. */
int aff4_stream_open(struct aff4 *x, const char *urn, struct aff4_stream **out, struct err *e);
int aff4_stream_read(struct aff4_stream *s, uint64_t off, void *buf, size_t len, struct err *e); /* all or nothing */
uint64_t aff4_stream_extent(const struct aff4_stream *s, uint64_t off, uint64_t len, bool *there);
bool aff4_stream_whole(const struct aff4_stream *s); /* no chunk of it is missing */
void aff4_stream_late(struct aff4_stream *s, struct notes *notes);
void aff4_stream_free(struct aff4_stream *s);

/* ---- aff4map.c ---- */
struct aff4_run {
	uint64_t at, len;
};

/* The medium that a map or a stream makes; closing it frees x. With runs a stream's bytes stand in them, one after the other; else from 0 on. */
int aff4_medium(struct aff4 *x, const char *urn, const struct aff4_run *run, size_t n_runs, const char *name, struct input **out,
		struct err *e);
/* There is a map of this URN, and it can be read. */
bool aff4_map_there(struct aff4 *x, const char *urn);
/* URNs that a map points to and that are not in the volumes: the first one, or NULL. Owned by the caller. */
char *aff4_map_lacks(struct aff4 *x, const char *urn);
/* What a map's line of targets names when it is no stream: 1 bytes all alike (*fill), 2 nothing that could be read, 0 a stream. */
int aff4_symbol(const char *urn, uint8_t *fill);

void aff4_free(struct aff4 *x);

#endif
