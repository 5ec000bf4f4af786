/* carvework.h - what the parts of the carver share. Inside src/recover only: carvegroup.c (groups), carveanchor.c (times), carvemap.c (addresses), carvejoin.c
 * (pages), carvefits.c (does a page go on), carvepfn.c (pages by the page frame number database), carveentry.c (by tables that nothing leads to), carvelast.c (where a last record ends),
 * carverounds.c (whose pages first), carvebehind.c (pages in
 * place behind a gap), carvecut.c (the page that the image ends in), carveunpack.c and carveseek.c (packed buffers), carveloose.c (pages without a buffer), carvesame.c
 * (buffers that are there twice), carvesize.c (how large files become), carveprivate.c (contexts inside processes). */
#ifndef ETLIFT_CARVEWORK_H
#define ETLIFT_CARVEWORK_H

#include "addrset.h"
#include "carve.h"
#include "carvescan.h"
#include "hash.h"
#include "kview.h"

struct carve_tied { /* a page that stands at its buffer's next address, or stood there before it was freed (carvepfn.c), or by an old table (carveentry.c) */
	uint64_t pa;
	uint32_t buf;  /* in carve.buf, behind them in carve.packed */
	uint32_t page; /* of the buffer; from 1 on */
	bool sure;     /* it is in use there, and the only one */
};

struct carve_buf { /* one place where a buffer begins */
	const struct carve_found *f;
	bool live;             /* belongs to a session that was recovered */
	bool has_va, user;     /* mapped: in the kernel, or in the process `pid` */
	bool shared;           /* in other processes as well, and nothing tells which one it is of */
	uint64_t va, pid, dtb; /* dtb: of that process */
	uint64_t *page;        /* owned; physical page of each of its pages, ETW_NO_PA where none was found */
	uint32_t n_pages;
	uint64_t *held; /* owned; pages it can't do without, ascending, while the rest is not known */
	size_t n_held;
	const struct carve_tied *tied; /* in carve.tied; ascending by page */
	size_t n_tied;
	uint64_t *before; /* owned; `page` as it was before a second try */
	uint64_t *own;    /* owned; the same, ascending: these pages may be taken again */
	uint32_t n_before;
	uint32_t
		n_row; /* pages behind the first that follow it physically, with records that go on: known before anything is looked for elsewhere */
	uint32_t n_used;      /* of `page`, behind the first, that no other buffer may have */
	bool doubt;           /* it was put together by a step that has not become certain: carverounds.c */
	bool pending, wishes; /* this pass's answer, or `held`, is not checked against the other buffers' yet */
	/* of a packed one (f->shape.stored), by carve_unpack_all(); `page` is NULL when it is none after all: */
	uint32_t good; /* records are whole up to here; less than f->shape.end: the rest is lost */
	bool spoilt;   /* because the stream goes wrong, not only because a page is not there */
	uint64_t first_ts, last_ts;
	/* pages that no buffer has (carveloose.c); f->pa is where their first record begins, f->shape.end where the last one ends, from the first page on: */
	bool loose, cut; /* cut: a record goes on in a page that was not found */
};

struct carve_loose { /* a run of such pages */
	struct carve_found f;
	struct carve_buf b; /* of f */
};

struct carve_step { /* from one page of a buffer to the next */
	struct carve_buf *b;
	const struct carve_part *p;
	uint64_t before, last; /* page, and time of the last record in it */
};

struct carve_live { /* a session that was recovered */
	uint32_t silo, id, buffer_size;
	bool has_va; /* of the context */
	uint64_t va;
	enum etw_clock clock;
	bool has_reference;
	int64_t reference_time, start_time;
	uint64_t reference_ts;
	char *name; /* owned */
	uint32_t mode;
};

struct carve_mended { /* a buffer of a recovered session that has all of its pages again */
	uint32_t silo, id;
	uint64_t va, bytes;
};

struct carve_body { /* what records have been seen already */
	char sha256[SHA256_HEX];
	uint64_t at; /* virtual address of the buffer that has them, else its physical one */
};

struct carve_rec {       /* one record of a buffer that may be there twice (carvesame.c) */
	uint64_t key[2]; /* key[1] 0: an empty slot */
	uint64_t pa, at; /* of the buffer that has it: physical address (ETW_NO_PA: none), and what same_as names it by */
};

struct carve {
	struct image *im;
	struct carve_opts o;
	struct carve_scan scan;
	struct carve_buf *buf; /* owned; as scan.found, ascending by physical address */
	size_t n;
	struct carve_buf *packed; /* owned; as scan.packed, ascending by physical address */
	size_t n_packed;
	struct carve_loose *loose; /* owned */
	size_t n_loose;
	struct carve_tied *tied; /* owned; by buffer and page */
	size_t n_tied;
	bool tables;             /* there is no page frame number database: nothing but page tables leads to pages */
	bool trust;              /* no page is lost, it is supposed: carverounds.c; steps that were believed then: */
	struct carve_step *step; /* owned */
	size_t n_steps, cap_steps;
	bool entries_looked, entries_limited; /* carveentry.c has looked, and found too many */
	struct carve_live *live;              /* owned */
	size_t n_live, cap_live;
	struct carve_body *body; /* owned; open addressing, sha256[0] == 0: empty */
	size_t n_bodies, cap_bodies;
	struct carve_rec *rec; /* owned; open addressing */
	size_t n_recs, cap_recs;
	struct addrset known_ts;     /* first times of the buffers that they are of */
	bool same_limited;           /* there were too many */
	struct carve_mended *mended; /* owned */
	size_t n_mended, cap_mended;
	uint64_t *part_times; /* owned; of scan.part that no buffer has yet, ascending */
	size_t n_part_times;
	uint64_t *times;        /* owned; first event times of all that were found, ascending */
	struct addrset old;     /* where loose records would begin that are residual ones of a buffer */
	struct addrset claimed; /* physical pages: | 1 of buffers that are put together, | 2 held */
	uint64_t ways;          /* pages tried by carvechain.c, */
	uint64_t behind;        /* and read by carvebehind.c, */
	uint64_t tail_reads;    /* and by carvetail.c */
	uint64_t seeks[2]; /* and by carveunpack.c, which makes so many bytes; [1]: for those that claim to be much more than they take: */
	uint64_t unpacked[2];
	uint64_t settled; /* bytes of records of orphans; */
	uint64_t padded;  /* and bytes of files that carvesize.c lets be mostly fill */
	size_t progress;  /* grows with each buffer put together and each page held */
	uint8_t *raw;     /* owned; a buffer being put together */
	size_t cap_raw;
	struct carve_counts counts;
};

/* ---- groups (carvegroup.c, carveanchor.c) ---------------------------------------------------------------------------------------------- */

struct carve_item { /* one orphaned buffer */
	struct carve_buf *b;
	enum carve_origin origin;
	bool open;            /* it may be a cached file's: its neighbours tell */
	uint32_t id, size;    /* size: 0: a packed buffer does not say it */
	bool dates;           /* its records carry FILETIMEs */
	uint64_t head;        /* 0 unknown */
	size_t ring;          /* item that stands for all of one ring */
	uint64_t ring_pa;     /* where that one stands */
	bool in_ring;         /* there are others in it */
	bool inside;          /* it is a ring inside a process: of a private logger */
	bool placed;          /* its ring has a place for it in the memory of the process `space` */
	uint64_t space;       /* of such a ring: the root of that process's page tables; 0 unknown, and for the kernel's */
	size_t file;          /* 1 + which of carve_groups.h: the header of its file; 0 unknown */
	bool firm;            /* where it stands tells that it is that file's */
	bool late;            /* the same, but the file had ended before, by its header */
	bool held;            /* of all headers only that one begins before and ends behind it */
	bool local;           /* that only when its times are read as local ones */
	enum carve_sure sure; /* that it is, or whose ring it hangs in; in a group: of the least sure of them */
	uint64_t apart;       /* of a ring whose head is not known, among those of several sessions: something that is only its own; 0 */
	size_t rivals;        /* groups of its origin, id, size and clock */
};

/* What the numbers of a file's buffers say of it: nothing, or less; that most of those which its header counts are there, each once (of wall-clock files, some); that all are; that the last of
 * them was flushed when the file was closed, too. */
enum carve_borne { CARVE_BORNE_NOT, CARVE_BORNE_MOST, CARVE_BORNE_ALL, CARVE_BORNE_WHOLE };

struct carve_file { /* what the first buffer of an .etl file says */
	uint32_t id, size;
	enum etw_clock clock;
	int64_t start, boot, stop; /* FILETIME; stop: EndTime, 0 while the file is written */
	uint64_t t0, freq;
	uint64_t last; /* the latest clock value that an event of this file can have; UINT64_MAX: not known */
	uint32_t mode, build, cpus, mhz, timer, written, events_lost, buffers_lost;
	uint8_t major, minor, pointer_size;
	uint8_t zone[ETW_TIME_ZONE_SIZE];
	char *name, *file; /* owned */
	uint8_t *more;     /* owned; the records of the header buffer behind the first; NULL: none */
	size_t more_len;
	uint64_t end;           /* physical address behind the header buffer; 0: not known */
	uint64_t end_va;        /* the same where the kernel maps it; 0: it does not */
	size_t same;            /* which of carve_groups.h stands for it: the first that says the same */
	bool taken;             /* there are buffers that are this file's for sure */
	uint64_t head;          /* of the ring that those hang in; 0 unknown */
	uint64_t closed_at;     /* its clock 3 s before its EndTime, or at its begin; 0: it is still written, or that is not known */
	uint64_t near_end;      /* the same, for a short file nearer */
	bool strangers;         /* there are buffers of its id, size and clock that no header can have had: one at least is lost */
	enum carve_borne borne; /* by all that may be its buffers */
	unsigned whole;         /* rings each of which has all its numbers */
};

struct carve_groups {
	struct carve *c;
	struct carve_item *v;
	size_t n;
	struct carve_file *h;
	size_t n_h, cap_h;
	size_t *order; /* owned; those of h that stand for themselves, by id, kind of clock and begin */
	size_t n_order;
	struct kview *view; /* NULL: no kernel, or it was not needed yet */
	int64_t boot;       /* that of most files in h; 0: there is none */
	bool boot_looked_for;
};

/* FILETIME of a year from 2000 to 2099? */
static inline bool carve_is_date(uint64_t t)
{
	return t > UINT64_C(125911584000000000) && t < UINT64_C(157469184000000000);
}

/* carvering.c: rings, their heads, and the processes that they are in. 0 or ERR_NOMEM. */
int carve_find_rings(struct carve_groups *g);
/* Which group a ring without a head belongs to. Items sorted by kind. */
void carve_adopt(struct carve_groups *g);
/* Origin, id, size, kind of clock, process. */
bool carve_same_kind(const struct carve_item *x, const struct carve_item *y);
/* The same file's, and as surely so: what may be another's is written apart. */
static inline bool carve_same_claim(const struct carve_item *x, const struct carve_item *y)
{
	return x->file == y->file && (!x->file || x->sure == y->sure);
}

/* Which buffers are of the same file as a header buffer: those that stand behind it in memory, each where the one before ends (carvefiles.c). Items in any order. */
int carve_find_files(struct carve_groups *g);
/* Buffers that nothing in them tells to be a file's (`open`), but the view of one that they stand in. Before the rest. */
int carve_find_views(struct carve_groups *g);
/* The same for the others of files, by id, size and time, once rings and heads are known. */
int carve_choose_files(struct carve_groups *g);

/* carveclaim.c. A buffer that may be of a file, by its time and ring. */
struct carve_claim {
	size_t file; /* which of carve_groups.h */
	uint64_t number, first;
	struct carve_item *it;
};
struct carve_claim carve_claim_of(size_t file, struct carve_item *it);
/* Can a buffer of the file have this number, by how many its header counts? */
bool carve_number_fits(const struct carve_file *h, const struct carve_item *it);
/* What v[0, n), all of one file, say of it. They are sorted. */
enum carve_borne carve_borne_out(const struct carve_groups *g, struct carve_claim *v, size_t n);
/* The same into `borne` of each file that v[0, n) name. */
void carve_weigh_files(struct carve_groups *g, struct carve_claim *v, size_t n);
/* A buffer of files that no header can have had is told to all headers of its id, size and clock: key[0, n) are such buffers'. They are sorted. */
uint64_t carve_stranger_key(const struct carve_item *it);
void carve_tell_strangers(struct carve_groups *g, uint64_t *key, size_t n);

/* Physical address behind the last byte of b in its file; 0: it ends with a page that the next one need not follow. */
uint64_t carve_file_end(const struct carve_buf *b);

/* carveheader.c. Remembers what the first buffer of a file says; one that says nothing sensible is left out. 0 or ERR_NOMEM. */
int carve_take_header(struct carve_groups *g, const struct carve_buf *b);
/* Puts those together that say the same, and finds out until when each can have events. After the last of them was taken. 0 or ERR_NOMEM. */
int carve_headers_ready(struct carve_groups *g);
void carve_headers_free(struct carve_groups *g);

/* Those of the id, size and clock of `it` that can have had events from `first` to `last`: the latest CARVE_FITS of them, latest begun first. *more: there may be
 * others. *inside: of the same id and size there is one that begins between the two. */
#define CARVE_FITS 16u
size_t carve_headers_fit(const struct carve_groups *g, const struct carve_item *it, uint64_t first, uint64_t last, size_t fit[CARVE_FITS],
			 bool *more, bool *inside);
/* For buffers that are no file's, whose session may have had one: the header that fits best, or NULL. *n: how many do. */
const struct carve_file *carve_header_for(const struct carve_groups *g, const struct carve_item *it, uint64_t first, uint64_t last,
					  unsigned *n);
/* Had the file begun at this clock value? */
bool carve_file_begun(const struct carve_file *h, uint64_t ts);
/* Can a buffer with events from `first` to `last` be the file's, by when that began and ended? */
bool carve_file_holds(const struct carve_file *h, uint64_t first, uint64_t last);
/* And not only when these are read as local times? */
static inline bool carve_file_plain(const struct carve_file *h, uint64_t first, uint64_t last)
{
	return h->t0 <= first && last <= h->last;
}
/* None of its records can be later: the time at which a flushed buffer was switched out, or, where that is not known, what the first one's allows. */
uint64_t carve_latest(const struct carve_shape *s);

/* First and last event of a buffer. */
static inline uint64_t carve_first_ts(const struct carve_buf *b)
{
	return b->f->shape.stored ? b->first_ts : b->f->shape.walk.first_ts;
}

static inline uint64_t carve_last_ts(const struct carve_buf *b)
{
	uint64_t latest = carve_latest(&b->f->shape), last = b->f->shape.walk.last_ts;

	if (b->f->shape.stored)
		return b->last_ts;
	return last < latest ? last : latest;
}
/* Clock, anchor, how sure, name and other facts of the group that `it` is the first of. o->s has id and buffer size. 0 or ERR_NOMEM. */
int carve_anchor_find(struct carve_groups *g, struct carve_orphan *o, const struct carve_item *it, uint64_t first_ts, uint64_t last_ts);
/* The kernel's context that the head of o lies in, if it is still there: 1, into o->s, which held nothing but id and buffer size. 0, ERR_NOMEM. */
int carve_context(struct carve_groups *g, struct carve_orphan *o);
/* The frequency of the performance counter, where the system itself does not tell it (carverate.c): from header buffers of files of this boot, after the scan; from
 * pairs of contexts, once heads are known. The latter: 0 or ERR_NOMEM. */
void carve_rate_of_files(struct carve *c);
int carve_rate_of_contexts(struct carve_groups *g);
int carve_set_name(struct etw_session *s, const char *name);

/* ---- one buffer -------------------------------------------------------------------------------------------------------------------------- */

/* The buffer that begins at this physical address, or NULL. */
struct carve_buf *carve_at(const struct carve *c, uint64_t pa);

/* The packed buffer that begins at this physical address, or NULL. */
struct carve_buf *carve_packed_at(const struct carve *c, uint64_t pa);

/* Addresses: first by what ring neighbours say, then by page tables, for buffers that are not live. 0 or ERR_NOMEM. */
int carve_map(struct carve *c);

/* Fills b->tied of all buffers. Before anything is put together. 0 or ERR_NOMEM. */
int carve_tie(struct carve *c);
/* The same by page tables that nothing leads to any more (carveentry.c), once, where there is no page frame number database: for buffers that have no pages
 * yet, if there are any but `live` ones, or when one of those (`live`) lacks some. 0 or ERR_NOMEM. */
int carve_entries(struct carve *c, bool live);
/* Takes v[0, n), in any order, for c->tied. */
void carve_tie_to(struct carve *c, struct carve_tied *v, size_t n);
/* How many pages b has a part of, by its header. */
uint32_t carve_pages_of(const struct carve_buf *b);
/* The first of b->tied for this page or a later one. */
size_t carve_tied_from(const struct carve_buf *b, uint32_t page);
/* The nth (from 0) of those for this page: that comes first whose first record is the next one after `after`. False: there are no more. */
#define CARVE_TIED_MAX 16u /* generations of one page */
bool carve_tied_page(const struct carve *c, const struct carve_buf *b, uint32_t page, uint64_t after, unsigned nth, uint64_t *pa);

/* Are the links of b 32 bits wide? */
bool carve_narrow(const struct carve *c, const struct carve_buf *b);

#define CARVE_LINK_LEAST 0x10000u /* below it no link leads anywhere */
/* And what they are; 0 where the buffer has none. */
void carve_links(const struct carve *c, const struct carve_buf *b, uint64_t *flink, uint64_t *blink);

/* Room for n bytes at c->raw. */
int carve_room(struct carve *c, size_t n);

/* Finds b->page, unless it is known. known[0, n) are the pages that are (ETW_NO_PA: not), counted from the buffer's first; may be NULL.
 * `patience`: how much longer than between the records so far the time to the next page's records may be. `whole`: only if all pages are
 * found (b->page stays NULL when not). `mutual`: of pages found by their records only those to which no other page leads with less time
 * between. `row`: only pages that follow each other physically. `all`: all places for all pages are looked at, and the
 * buffer is put together only if there is one way to do it; with `doubt` also if there are several, of which the pages they have in common are
 * taken. `tight`: no page that begins later than the longest time between this buffer's records so far allows. `tied`: only mapped pages and those that
 * carve_tie() found. 0 or ERR_NOMEM. */
struct carve_how {
	const uint64_t *known;
	uint32_t n_known;
	uint64_t patience;
	bool whole;
	bool mutual;
	bool row;
	bool all;
	bool doubt;
	bool tight;
	bool tied;
};
int carve_join(struct carve *c, struct carve_buf *b, const struct carve_how *how);

/* The pages of b are its own from now on. With `all` the caller does that, when no other buffer wants them. 0 or ERR_NOMEM. */
int carve_claim(struct carve *c, struct carve_buf *b);

/* Of a buffer with a gap, the pages in place behind it that are sure (carvebehind.c). `early`: unless another page may stand where the gap is. 0 or ERR_NOMEM. */
int carve_behind(struct carve *c, struct carve_buf *b, bool early);

/* Buffers that go on in a page which the image ends in: the page's beginning is theirs (carvecut.c). After carve_join_all(). 0 or ERR_NOMEM. */
int carve_cut(struct carve *c);
/* What carve_bytes() has not of such a page: the bytes that are there into c->raw, and off the ranges that are missing. */
void carve_cut_bytes(struct carve *c, const struct carve_buf *b, struct etw_range *missing, size_t max, size_t *n_missing);

/* The pages in which the last records of buffers end, where the page table that led there is lost (carvelast.c). After all else was put together. 0 or ERR_NOMEM. */
int carve_last(struct carve *c);
/* Something leads to the physical addresses [pa, pa + size), so that they are no such page. */
void carve_mapped(struct carve *c, uint64_t pa, uint64_t size);

/* Pages behind the data in which records of an earlier use go on, and what of them is a buffer's (carvetail.c). After carve_cut(). 0 or ERR_NOMEM. */
int carve_tails(struct carve *c);
/* How many pages right behind the one at pa, at most `most`, are b's because of the old records in them. page: the bytes of that one, zeros up to the end of data; left:
 * how much of the buffer there is from its first byte on; row: how many pages up to there the buffer has, if all follow each other physically, else 0. */
uint32_t carve_old_pages(struct carve *c, const struct carve_buf *b, uint64_t pa, const uint8_t page[CARVE_PAGE], uint32_t left,
			 uint32_t row, uint32_t most);

/* All of them, by carve_join(), in the order that leaves the least doubt (carverounds.c). 0 or ERR_NOMEM. */
int carve_join_all(struct carve *c);

/* The pages of all packed buffers that are not live, and how much of each comes out; b->page stays NULL where what stands there proves nothing. What could not be
 * had is named in the notes. 0 or ERR_NOMEM. */
int carve_unpack_all(struct carve *c);
/* Unpacks it into a zeroed *eb but for the address members. 0 or ERR_NOMEM. */
int carve_unpack(struct carve *c, const struct carve_buf *b, struct etw_buffer *eb);

/* Settles b: *eb (address members too) and, where wanted, *rest (may be NULL). body_len 0: nothing was in it. 0 or ERR_NOMEM. */
int carve_settle(struct carve *c, const struct carve_buf *b, struct etw_buffer *eb, struct etw_buffer *rest);

/* Has a buffer with these records been seen? Then *at is its address, 1; else it is remembered under `at`, 0. ERR_NOMEM. */
int carve_seen(struct carve *c, const struct etw_buffer *b, uint64_t *at);

/* Remembers the records of b, of which there may be a copy. 0 or ERR_NOMEM. */
int carve_same_add(struct carve *c, const struct etw_buffer *b);

/* Remembers those of the orphans that may be copies of each other, the most complete one's first. 0 or ERR_NOMEM. */
int carve_same_find(struct carve_groups *g);

/* Does another buffer have all records of b? Then b->same_as names it, 1. If it has some of them they are taken out of b, 0. ERR_NOMEM. */
int carve_same(const struct carve *c, struct etw_buffer *b);

/* The context of a private logger, in the process that b is mapped in; head: of its ring. Fills the facts of *s, whose id and buffer_size it
 * must have. 1, 0 (none stands there), ERR_NOMEM. */
int carve_private_context(struct carve *c, const struct carve_buf *b, uint64_t head, struct etw_session *s);

/* carvegroup.c: the buffers that are not live, sorted by origin and put together. */
typedef int carve_orphan_fn(void *ctx, const struct carve_orphan *o, struct err *e);
int carve_groups(struct carve *c, carve_orphan_fn *fn, void *ctx, struct err *e);

/* Shows a group to fn, whole or in parts, so that what is written of it is not much larger than its records (carvesize.c). What fn answers, or ERR_NOMEM. */
int carve_emit(struct carve *c, struct carve_orphan *o, carve_orphan_fn *fn, void *ctx, struct err *e);

/* Fills c->loose from the pages that nothing has claimed; after the last buffer was put together. 0 or ERR_NOMEM. */
int carve_loose_find(struct carve *c);

/* The records of a run: carve_settle() for b->loose, which has set the address. 0 or ERR_NOMEM. */
int carve_loose_settle(struct carve *c, const struct carve_buf *b, struct etw_buffer *eb);

/* The bytes of b into c->raw; *len of them, and the ranges that are missing (at most max). 0 or ERR_NOMEM. */
int carve_bytes(struct carve *c, const struct carve_buf *b, uint32_t *len, struct etw_range *missing, size_t max, size_t *n_missing);

#endif
