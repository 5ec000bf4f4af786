/* winimg.h - a made Windows kernel in a made memory: what etlift's finders rest on, every assumption with its source in docs/testing.md.
 *
 * Offsets and symbol addresses come from a profile; nothing else of src/ is used but byte helpers. */
#ifndef ETLIFT_WINIMG_H
#define ETLIFT_WINIMG_H

#include <stdio.h>

#include "buf.h"
#include "profile.h"
#include "winmem.h"

#define WI_PROCS_MAX    64
#define WI_SESSIONS_MAX 128
#define WI_BUFFERS_MAX  1024
#define WI_SILOS_MAX    4
#define WI_CPUS_MAX     64 /* with slots of their own */
#define WI_PROVIDERS    64
#define WI_LOSSES       256
#define WI_NAME_UNITS   32767 /* of a UNICODE_STRING */

struct wi_opts {
	uint64_t mib, seed, hole; /* hole: MiB of RAM below the hole; 0: 3 GiB */
	unsigned cpus, handles;   /* handles: in one process, on objects of no interest */
	bool low_stub, encoded_kdbg, large_pages, decoy_roots, self_map;
	enum wm_arch arch;
	uint64_t perf_freq;
	int64_t system_time, boot_time;
	int32_t bias;              /* minutes */
	bool foreign_guid;         /* an identity that no profile knows */
	bool kpti;                 /* each process has a second root for user mode, which maps little of the kernel */
	int hint;                  /* DirectoryTableBase of a crash header: HINT_* */
	uint32_t pe_time, pe_size; /* of the kernel file's header; 0: any */
	uint64_t pte_mask;         /* InvalidPteMask, where the kernel has one */
	unsigned trimmed;          /* pages of paged pool in transition */
	unsigned pagefile_n;       /* number of the pagefile that pages go to */
	bool with_pagefile;        /* the reader gets it: what is in it is no loss */
	bool no_globals;           /* the image does not lead to the host's silo state */
	bool no_kdbg;              /* the debugger block is wiped */
	bool no_etwdata;           /* EtwpDebuggerData is wiped */
	bool bare_etwdata;         /* ... publishes no offsets of the buffer header */
	bool bad_ends;             /* the first and the last buffer of every ring don't lead back to its head */
	bool bad_consumers;        /* the heads of the rings of consumers hold no addresses */
	unsigned
		bigpool; /* the pool's table of big allocations: 1 with contexts that stand on pages of their own, 2 with buffers, 3 both */
	bool pfn;        /* a page frame number database */
	bool no_headers; /* the kernel file's headers are not in memory */
	bool no_kuser;   /* nor is the shared page, nor a mapping for it */
	bool narrow_slist;           /* heads of lists as on 64-bit processors without cmpxchg16b */
	unsigned nt_major, nt_minor; /* of the shared page; 0: as the build has it */
	unsigned nt_build;           /* that the kernel exports; 0: as the layout's */
};

enum { /* places in the type table */
       TYPE_TYPE = 2,
       TYPE_JOB = 6,
       TYPE_PROCESS,
       TYPE_THREAD,
       TYPE_FILE,
       TYPE_REGISTRATION,
       TYPE_CONSUMER,
       WI_TYPES
};

enum { HINT_KERNEL, HINT_PROCESS, HINT_USER, HINT_NONE };

struct wi_process {
	uint64_t pid, eprocess, table_entries, user_root;
	char name[16];
	bool wow64;
	unsigned silo;
	struct winspace space;
	uint64_t heap; /* next free user address */
	uint64_t handle[1024];
	unsigned n_handles;
};

struct wi_silo {
	uint64_t state, table, hash, blocks;
	uint64_t slot[WI_CPUS_MAX]; /* per CPU: address of its slot array */
};

enum wi_form {
	WI_UNUSED,
	WI_LOGGING,
	WI_REUSED,
	WI_FLUSHED,
	WI_FLUSHED_FULL,
	WI_TORN,
	WI_PLACEHOLDER,
	WI_CSWITCH,    /* state 2 */
	WI_FLUSHING,   /* state 3: being written */
	WI_PENDING,    /* state 4: full, waits to be packed */
	WI_PACKED,     /* state 5: a row of packed ones; made by wi_session_tie */
	WI_STANDS_FOR, /* state 6: keeps the order of a packed one */
	WI_FORMS
};

/* Ways in which a buffer hangs: bits in the order of the report's words. */
enum {
	WAY_GLOBAL = 1,
	WAY_QUEUE = 2,
	WAY_OVERFLOW = 4,
	WAY_BATCHED = 8,
	WAY_COMPRESSION = 16,
	WAY_SCRATCH = 32,
	WAY_PLACEHOLDER = 64,
	WAY_PROCESSOR = 128,
	WAY_CURRENT = 256,
	WAY_DIRTY = 512,
	WAY_USER = 1024
};

struct wi_record { /* one record of the truth */
	uint32_t off, size;
	uint64_t ts;
	uint8_t lost; /* LOST_*: why its bytes are not in the image */
};

enum { LOST_NOT, LOST_PAGE, LOST_TORN };

struct wi_buffer {
	uint64_t va;
	unsigned ways, cpu;
	enum wi_form form;
	uint64_t sequence;
	unsigned pid; /* a copy in this process (ways = WAY_USER) */
	bool copy_of_kernel;
	uint8_t *raw;   /* as written */
	uint8_t *under; /* what an earlier use left, or NULL */
	uint32_t used;  /* end of data */
	struct wi_record *rec;
	unsigned n_rec;
	struct wi_record *old; /* residual */
	unsigned n_old;
	bool header_lost;
	uint64_t pa;       /* of a page in transition; else 0 */
	uint32_t tail_gap; /* bytes behind the records that a torn header counts as data */
	int packed_in;     /* number of the row that holds it, or -1 */
	uint32_t packed;   /* bytes it takes there */
	uint64_t *page;    /* physical address of each page, by wi_pages() */
	unsigned n_pages;
};

struct wi_provider {
	uint8_t guid[16], group[16];
	unsigned silo, pid, id[8], n, level;
	uint64_t any, all;
	bool registered, is_group, has_group;
};

struct wi_loss { /* what the report must name, once */
	const char *what;
	unsigned silo;
	int session; /* -1: of no session */
	uint64_t va; /* 0: anywhere */
};

struct wi_session {
	unsigned silo, id;
	char name[200]; /* ASCII; hostile bytes by \xHHHH in the recipe become UTF-16 units */
	uint16_t name16[WI_NAME_UNITS + 1];
	unsigned n_name16;
	bool name_lost;
	uint32_t buffer_size, mode, clock;
	uint64_t ctx;
	int64_t start_time;
	uint64_t start_ts;
	uint32_t events_lost, buffers_lost;
	bool in_table, separate_nodes, tail_lost;
	bool tag;           /* the allocation bears its pool tag */
	bool big;           /* the context stands on pages of its own: no header before it */
	bool unreachable;   /* nothing leads to it any more: no part of the truth */
	const char *origin; /* of buffers that only their shape leads to, as the report says; or NULL */
	bool certain;       /* the image holds what their times rest on */
	bool context_kept;  /* the freed context still holds its bytes */
	struct wi_buffer buf[256];
	unsigned n_buf;
	struct {
		uint64_t va;
		unsigned pid, copies;
	} consumers[8];
	unsigned n_consumers, n_unread; /* unread: whose layout nobody knows */
	uint64_t next_ts;               /* for the next event */
	struct wi_session *over;        /* stopped and unmapped: this one's buffers are at its addresses */
	bool even;                      /* all events have one size, and the processors log at the same time: */
	uint64_t cpu_ts[WI_CPUS_MAX];
	struct payload *payload; /* records come from a file; NULL: they are made */
	char dns[1024];          /* "a|b": names of DNS queries among the made events; "" none */
};

struct pagefile { /* what mkdump -p writes */
	uint8_t *bytes;
	uint64_t n; /* pages */
};

struct winimg {
	struct wi_opts o;
	struct profile p;
	struct winmem m;
	struct winspace k; /* the kernel's space */
	unsigned ps;       /* bytes of a pointer */
	uint64_t base, pool, head_process;
	struct wi_process proc[WI_PROCS_MAX];
	unsigned n_proc;
	struct wi_silo silo[WI_SILOS_MAX];
	unsigned n_silos;
	struct wi_session *ses;
	unsigned n_ses;
	uint64_t type_va[16];
	uint8_t cookie;
	unsigned serial; /* of events */
	struct wi_provider prov[WI_PROVIDERS];
	uint64_t prov_entry[WI_PROVIDERS];
	unsigned n_prov;
	struct wi_loss loss[WI_LOSSES];
	unsigned n_losses;
	struct pagefile pagefile;
	uint64_t *table; /* page tables that the page frame number database names; physical addresses */
	unsigned n_tables;
	uint64_t pfn_first, pfn_end; /* where that database stands */
	uint64_t bad_handles;        /* pid of the process whose handle table leads nowhere */
};

void wi_init(struct winimg *w, const struct wi_opts *o, const struct profile *p);
void wi_free(struct winimg *w);
void wi_finish(struct winimg *w); /* ties up lists, handle tables, page tables of processes */

uint64_t wi_alloc(struct winimg *w, uint64_t n, uint64_t align);                           /* non-paged pool */
void wi_set(struct winimg *w, uint64_t obj, enum prof_field f, uint64_t v, unsigned size); /* nothing when the kernel has no such member */
void wi_symbol(struct winimg *w, enum prof_symbol s, uint64_t v, unsigned size);
bool wi_has(const struct winimg *w, enum prof_field f);
uint64_t wi_symbol_va(const struct winimg *w, enum prof_symbol s); /* 0: this kernel has none */
uint16_t wi_machine(const struct winimg *w);                       /* of the kernel file's header */
uint64_t wi_kuser(const struct winimg *w);                         /* KUSER_SHARED_DATA */
uint64_t wi_nowhere(const struct winimg *w);                       /* an address of the kernel's half where nothing is */
void wi_put_ptr(struct winimg *w, uint64_t va, uint64_t v);
uint64_t wi_get_ptr(struct winimg *w, uint64_t va);
void wi_ring_init(struct winimg *w, uint64_t head);
void wi_ring_add(struct winimg *w, uint64_t head, uint64_t entry); /* at the end */
void wi_types(struct winimg *w);                                   /* the object types */
void wi_handles(struct winimg *w, struct wi_process *p, unsigned fillers);

struct wi_process *wi_process(struct winimg *w, uint64_t pid, const char *name, bool wow64, unsigned silo);
struct wi_process *wi_process_at(struct winimg *w, uint64_t pid); /* NULL: none */
uint64_t wi_object(struct winimg *w, unsigned type, uint32_t body_size);
void wi_handle(struct winimg *w, struct wi_process *p, uint64_t body);

struct wi_session *wi_session(struct winimg *w, unsigned silo, unsigned id, const char *name);
void wi_session_build(struct winimg *w, struct wi_session *s); /* the context, when its facts are set */
struct wi_buffer *wi_buffer(struct winimg *w, struct wi_session *s, enum wi_form form, unsigned cpu, unsigned ways, unsigned events,
			    unsigned old_events);
/* The k-th record was reserved and not written: zeros, or what an earlier use left. */
void wi_tear(struct winimg *w, struct wi_buffer *b, unsigned k);
void wi_session_tie(struct winimg *w, struct wi_session *s); /* lists, when all buffers are there */
uint64_t wi_consumer(struct winimg *w, struct wi_session *s, struct wi_process *p);
void wi_user_copy(struct winimg *w, struct wi_session *s, struct wi_process *p, const struct wi_buffer *of, unsigned events);
/* Adds the provider's GUID entry, its enable slots and (p not NULL) a registration; facts in *f. */
void wi_provider(struct winimg *w, const struct wi_provider *f, struct wi_process *p);
unsigned wi_container(struct winimg *w); /* a further silo; its number, 0: this kernel knows no containers */
/* In the order of the recipe's words. */
enum page_fate { PAGE_GONE, PAGE_TRANSITION, PAGE_SWIZZLED, PAGE_PROTOTYPE, PAGE_PROTO_TRANSITION, PAGE_PAGEFILE };
void wi_lose_page(struct winimg *w, struct wi_session *s, struct wi_buffer *b, unsigned page, enum page_fate fate);
/* The session is stopped, when its buffers are all there: its pages keep their bytes, unmapped or not; its context too, or it is overwritten. */
void wi_stop(struct winimg *w, struct wi_session *s, bool mapped, bool context);
/* The same, and its buffers are those of a logger inside this process. */
struct wi_private_how {
	bool context, mapped;    /* are there */
	bool bare;               /* buffers do not have bit 15 in their id */
	unsigned but;            /* this buffer's mapping is not; none: none has its number */
	struct wi_process *also; /* maps them at the same addresses; NULL: none does */
};
void wi_private(struct winimg *w, struct wi_session *s, struct wi_process *p, const struct wi_private_how *how);
/* The same, and its buffers are pages of the .etl file that it wrote (flag: of their headers), its header buffer among them or not. brim: full ones are full to
 * their last byte. */
void wi_cached(struct winimg *w, struct wi_session *s, bool header, unsigned flag, bool mapped, bool brim);
/* The page of a buffer has been given to something else: its bytes too. */
void wi_pages(struct winimg *w); /* when nothing moves any more: fills `page` of every buffer */
enum page_use { USE_ZEROS, USE_TEXT, USE_CODE };
void wi_overwrite(struct winimg *w, struct wi_buffer *b, unsigned page, enum page_use use);
/* What machine words break or add when all else stands (windamage.c). */
void wi_unlink(struct winimg *w);
void wi_bigpool(struct winimg *w);
void wi_pfn(struct winimg *w); /* the page frame number database; last of all (winpfn.c) */
void wi_loss(struct winimg *w, const char *what, const struct wi_session *s, uint64_t va);
bool wi_fill_forms(enum wi_form form); /* does a buffer in this form hold records? */

#endif
