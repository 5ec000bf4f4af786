/* kview.h - what the kernel finders of one run share: silos, logger contexts, per-CPU slots, processes, consumers.
 *
 * Inside src/recover only. A finder (finders.def) adds logger contexts by address; the driver then loads one session at a time, so that
 * memory stays bounded by one session. Everything here is a list of small facts with a named limit; nothing holds buffer bytes.
 * Facts: docs/live-buffers.md. */
#ifndef ETLIFT_KVIEW_H
#define ETLIFT_KVIEW_H

#include "buf.h"
#include "etw.h"
#include "kernel.h"
#include "ksnap.h"
#include "note.h"
#include "object.h"
#include "process.h"

/* Named limits. Real machines: 1 host and a few container silos, at most 256 loggers each, some hundred consumers, 2,000 GUIDs. */
#define KV_SILOS_MAX      1024u
#define KV_LOGGERS_MAX    4096u /* slots of one logger table */
#define KV_REFS_MAX       16384u
#define KV_CPUS_MAX       2048u /* Windows' own limit is 2,048 logical processors */
#define KV_SLOTS_MAX      (1u << 18)
#define KV_CONSUMERS_MAX  16384u
#define KV_GUIDS_MAX      (1u << 17)
#define KV_REGS_MAX       (1u << 19)
#define KV_LIST_MAX       (1u << 17) /* nodes of one list whose length nothing else bounds */
#define KV_CONTEXT_ALIGN  64u        /* logger contexts are cache-line aligned on all builds seen; trait context_align */
#define KV_HDR_LINK       0x20u      /* SlistEntry and GlobalEntry of _WMI_BUFFER_HEADER where the profile does not tell: since Windows 7 */
#define KV_HDR_ENTRY      0x38u
#define KV_BUFFER_MIN     0x100u /* smallest BufferSize believed (the API's least is 0x400) */
#define KV_FASTREF_MASK64 0xfull
#define KV_FASTREF_MASK32 0x7ull
#define KV_BUFFERS_MAX    65536u /* buffers of one session */
#define KV_DBGDATA_TABLE  0x10u  /* in EtwpDebuggerData: address of the host's logger table */

struct ksilo {
	uint64_t state;  /* _ETW_SILODRIVERSTATE; 0: a build that keeps all of it in globals */
	uint64_t table;  /* first slot of the logger table; 0 unknown */
	uint32_t slots;  /* how many */
	uint64_t guids;  /* first GUID hash bucket; 0 unknown */
	uint64_t blocks; /* per-CPU tracing blocks; 0: none, see prof_traits.slots_in_prcb */
};

struct kref { /* one logger context */
	uint32_t silo, id;
	uint64_t va; /* 0: none was found, only a slot names the session */
	uint32_t found_by;
	uint64_t buffer; /* then: the buffer in that slot; else 0 */
};

struct kslot { /* a per-CPU slot that holds a buffer */
	uint32_t silo, id, cpu;
	uint64_t buffer;
};

struct kconsumer {
	uint64_t va;
	uint32_t silo, id;
	bool has_session;
	uint64_t context; /* the logger context whose ring it hangs in; 0 unknown */
	uint64_t eprocess;
	uint64_t list_head, count; /* user addresses, see consumers.c */
	bool wow64;
	bool from_ring, from_handle;
	uint32_t buffers; /* walked copies */
};

struct kguid_enable { /* one enable slot of one GUID entry */
	uint32_t silo, id;
	uint64_t entry; /* _ETW_GUID_ENTRY */
	struct guid guid;
	bool is_group;
	struct etw_enable enable;
};

struct kview {
	struct kernel *k;
	struct notes *notes; /* may be NULL */
	const struct etw_system *sys;
	bool deep;    /* run the finders that scan memory as well */
	bool damaged; /* a logger table, or a part of one, is lost: there may be sessions that only a scan finds */
	struct ksilo *silo;
	size_t n_silos, cap_silos;
	struct kref *ref; /* sorted by silo, id, va once kview_find() is through */
	size_t n_refs, cap_refs;
	struct kslot *slot; /* sorted by silo, id, cpu */
	size_t n_slots, cap_slots;
	struct kconsumer *consumer; /* sorted by va */
	size_t n_consumers, cap_consumers;
	struct process_list procs;
	struct kguid_enable *enable; /* sorted by silo, id, guid */
	size_t n_enables, cap_enables;
};

int kview_open(struct kview **out, struct kernel *k, const struct etw_system *sys, struct notes *notes, struct err *e);
void kview_close(struct kview *v); /* takes NULL */

/* Runs the finders of finders.def. 0 or ERR_NOMEM: what a finder could not have is a note. */
int kview_find(struct kview *v);

/* Adds a logger context or merges it with what is known of this address, or of this number without an address: a slot may have told of a session
 * before something led to its context. 0, ERR_NOMEM, ERR_LIMIT (noted). */
int kview_add_ref(struct kview *v, uint32_t silo, uint32_t id, uint64_t va, uint32_t found_by);
struct kref *kview_ref(struct kview *v, uint64_t va);
bool kview_knows_id(const struct kview *v, uint32_t silo, uint32_t id);

/* Number of the silo whose state stands at `state`; adds it when it proves itself. Negative: not one, or a limit. */
int kview_silo(struct kview *v, uint64_t state);

/* The host's state, which no symbol led to: false when it does not prove itself. */
bool kview_host(struct kview *v, uint64_t state);

/* Looks for the host's state when nothing has led to it yet (host.c). 0 or ERR_NOMEM. */
int host_search(struct kview *v);

/* Adds the sessions of one silo's logger table (silo.c). 0 or ERR_NOMEM. */
int silo_read_table(struct kview *v, uint32_t silo);

/* Names a slot of a logger table that holds neither a context nor the word for empty; two finders name the same one once. */
void kview_bad_slot(struct kview *v, uint32_t silo, uint32_t id, uint64_t at, uint64_t value);

/* Borrowed until the list grows; NULL: unknown. */
const struct process *kview_process(const struct kview *v, uint64_t eprocess);

/* Adds a process that an object names and the list does not hold. 0 or ERR_NOMEM; what is no process is left out. */
int kview_add_process(struct kview *v, uint64_t eprocess);

/* Its name as UTF-8 on the heap; *out NULL: unreadable. */
int kview_process_name(const struct process *p, char **out);

static inline size_t kview_ptr_size(const struct kview *v)
{
	return v->k->prof.pointer_size == 4 ? 4 : 8;
}

/* In a buffer's header: the node of GlobalList, and the word that links buffers in the other lists. What a profile puts outside of it is none. */
static inline uint32_t kview_entry_off(const struct kview *v)
{
	const struct profile *p = &v->k->prof;

	return prof_has(p, F_BUFHDR_GlobalEntry) && prof_off(p, F_BUFHDR_GlobalEntry) <= ETW_BUFFER_HEADER_SIZE - 8
		       ? prof_off(p, F_BUFHDR_GlobalEntry)
		       : KV_HDR_ENTRY;
}
static inline uint32_t kview_link_off(const struct kview *v)
{
	const struct profile *p = &v->k->prof;

	return prof_has(p, F_BUFHDR_SlistEntry) && prof_off(p, F_BUFHDR_SlistEntry) <= ETW_BUFFER_HEADER_SIZE - 8
		       ? prof_off(p, F_BUFHDR_SlistEntry)
		       : KV_HDR_LINK;
}
/* XP, Server 2003: a buffer's header names its context, and how far its records reach is not known. */
static inline bool kview_buffers_closed(const struct kview *v)
{
	return prof_has(&v->k->prof, F_BUFHDR_LoggerContext);
}
/* Logger contexts stand at multiples of this. */
static inline uint32_t kview_context_align(const struct kview *v)
{
	return v->k->prof.traits.context_align ? v->k->prof.traits.context_align : KV_CONTEXT_ALIGN;
}

/* A pointer that could be one into the kernel. */
bool kview_is_ptr(const struct kview *v, uint64_t va);
uint64_t kview_fast_ref(const struct kview *v, uint64_t value); /* EX_FAST_REF without its count */

/* Finders. Each adds what it finds and leaves notes; 0 or ERR_NOMEM. */
#define FINDER(fn, scans) int fn(struct kview *v);
#include "finders.def"
#undef FINDER

/* Does a logger context with these properties stand at va? `id` negative: any. For addresses that come from ring heads. */
bool context_proves(struct kview *v, uint64_t va, int64_t id, uint32_t buffer_size);

/* From a buffer with this header along its ring to the context that the ring's head lies in; 0: none. `steps` (may be NULL) grows by the
 * nodes that were looked at. */
uint64_t kview_ring_context(struct kview *v, uint64_t buffer, const struct etw_bufhdr *h, unsigned *steps);

/* Adds the consumers that hang in the rings of ref[from ...] (consumers.c). 0 or ERR_NOMEM. */
int consumers_of_refs(struct kview *v, size_t from);

/* The GUID hash tables: fills v->enable. 0 or ERR_NOMEM. */
int guids_collect(struct kview *v);

#endif
