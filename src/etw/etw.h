/* etw.h - the seam: sessions and buffers as plain values, with no pointer back into memory.
 *
 * Above it (recover) everything knows memory and nothing knows what is written; below it (etlwrite, decode, report) the reverse. `.etl`
 * files come in here too. Times named *_time are FILETIME (100 ns since 1601, UTC); times named *_ts are raw values of the session's
 * clock. Offsets "in the buffer" count from the first byte of its WMI_BUFFER_HEADER, which is 0x48 bytes long.
 * Facts: docs/etl-format.md, docs/live-buffers.md. */
#ifndef ETLIFT_ETW_H
#define ETLIFT_ETW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guid.h"

#define ETW_BUFFER_HEADER_SIZE 0x48u
#define ETW_BUFFER_SIZE_MAX    0x1000000u /* 16 MB: the API's limit */
#define ETW_TIME_ZONE_SIZE     0xacu      /* TIME_ZONE_INFORMATION */
#define ETW_CPUS_MAX           2048u      /* Windows' own limit of logical processors: a higher index in a header is no processor */

enum etw_clock { ETW_CLOCK_UNKNOWN = 0, ETW_CLOCK_QPC = 1, ETW_CLOCK_SYSTEM_TIME = 2, ETW_CLOCK_CPU_CYCLE = 3 };

/* How a session was found: bits of etw_session.found_by, in the report's words (etw_found_by_name). */
enum {
	ETW_FOUND_TABLE = 1 << 0,
	ETW_FOUND_DEBUGGER_DATA = 1 << 1,
	ETW_FOUND_SLOT = 1 << 2,
	ETW_FOUND_CONSUMER = 1 << 3,
	ETW_FOUND_POOL_SCAN = 1 << 4,
	ETW_FOUND_SHAPE_SCAN = 1 << 5,
	ETW_FOUND_SECONDARY_DUMP = 1 << 6,
	ETW_FOUND_CARVED = 1 << 7 /* by its buffers alone */
};

/* How a buffer was reached: bits of etw_buffer.from (etw_from_name). */
enum {
	ETW_FROM_GLOBAL_LIST = 1 << 0,
	ETW_FROM_BUFFER_QUEUE = 1 << 1,
	ETW_FROM_OVERFLOW_QUEUE = 1 << 2,
	ETW_FROM_BATCHED = 1 << 3,
	ETW_FROM_COMPRESSION = 1 << 4,
	ETW_FROM_SCRATCH = 1 << 5,
	ETW_FROM_PLACEHOLDER = 1 << 6,
	ETW_FROM_PROCESSOR = 1 << 7,
	ETW_FROM_CURRENT = 1 << 8,
	ETW_FROM_DIRTY = 1 << 9,
	ETW_FROM_USER_LIST = 1 << 10,
	ETW_FROM_SECONDARY_DUMP = 1 << 11,
	ETW_FROM_CARVED = 1 << 12,
	ETW_FROM_FILE = 1 << 13 /* read from a .etl file; never in a report of recover */
};

/* LogFileMode bits that the program acts on (etl-format.md section 7). */
#define ETW_MODE_SEQUENTIAL                 0x1u
#define ETW_MODE_CIRCULAR                   0x2u
#define ETW_MODE_APPEND                     0x4u
#define ETW_MODE_NEWFILE                    0x8u
#define ETW_MODE_REAL_TIME                  0x100u
#define ETW_MODE_BUFFERING                  0x400u
#define ETW_MODE_COMPRESSED                 0x4000000u
#define ETW_MODE_NO_PER_PROCESSOR_BUFFERING 0x10000000u

/* WMI_BUFFER_HEADER, all members as found (layouts.md section 2). */
struct etw_bufhdr {
	uint32_t buffer_size, saved_offset, current_offset;
	int32_t reference_count;
	uint64_t timestamp, sequence;
	uint64_t link;      /* +0x20: free-list link or clock word */
	uint16_t processor; /* +0x28, 16 bits as found; what counts as the index is a trait, see etw_settle_opts */
	uint16_t logger_id;
	uint32_t state, offset;
	uint16_t flag, type;
	uint64_t flink, blink; /* +0x38, +0x40 */
};

enum etw_why { /* contract: gaps[].why */
	       ETW_PAGE_MISSING,
	       ETW_TORN_RECORD,
	       ETW_BAD_RECORD,
	       ETW_COPIED /* nothing is lost: records that another buffer has (copies.h), and its file */
};

struct etw_gap {
	uint32_t offset, bytes; /* in the buffer as it was */
	enum etw_why why;
};

/* One buffer. `body` = its records closed up; the first byte of body stands at orig_start in the buffer as it was and at offset 0x48 in the
 * rebuilt one. Records in body are whole and walk exactly to its end. */
struct etw_buffer {
	bool has_va, has_pa, has_file_offset, has_pid, has_same_as, has_ts;
	bool headless;                /* no header was found: hdr and cpu mean nothing, pa is that of the first page */
	uint64_t va, pa, file_offset; /* of the header's first byte */
	uint64_t pid;                 /* user-space copies: the process whose space va lies in */
	uint32_t from;                /* ETW_FROM_* bits */
	struct etw_bufhdr hdr;
	uint32_t cpu;        /* processor index */
	uint32_t orig_start; /* 0x48, or where residual records begin */
	uint32_t orig_end;   /* end of data in the buffer as it was */
	uint8_t *body;       /* owned */
	uint32_t body_len;
	uint32_t packed_bytes; /* of the compressed stream that the records were unpacked from; 0: they stood there as they are */
	struct etw_gap *gaps;  /* owned, ascending, not overlapping */
	size_t n_gaps;
	uint32_t n_events;          /* records in body */
	uint64_t first_ts, last_ts; /* smallest and largest record time; valid if has_ts */
	uint64_t same_as;           /* va of the buffer that this one is a copy of: its events are not written twice */
	uint64_t *page_pa;  /* owned; physical address of each page that the buffer as it was lies in; ETW_NO_PA: not in the image */
	uint32_t n_page_pa; /* 0: not known (a file, a crash dump's block, an unpacked row) */
};
#define ETW_NO_PA UINT64_MAX

struct etw_consumer {
	uint64_t va, pid;
	bool has_pid, wow64;
	char *process;    /* UTF-8, owned; NULL unknown */
	uint32_t buffers; /* user buffers held */
	uint32_t silo, session_id;
	bool has_session;
};

struct etw_enable { /* one session that a provider is enabled for */
	uint32_t silo, session_id;
	uint8_t level;
	uint64_t match_any, match_all;
};

struct etw_provider { /* one registration, or a GUID entry without one */
	struct guid guid;
	char *name;    /* UTF-8, owned; NULL unknown */
	bool is_group; /* a provider group's own entry */
	bool has_group;
	struct guid group;
	bool has_pid;
	uint64_t pid;
	char *process; /* owned; NULL */
	bool registered;
	struct etw_enable *enabled; /* owned */
	size_t n_enabled;
};

struct etw_session {
	uint32_t silo, id;
	bool has_va, has_guid, has_reference, has_buffer_size;
	bool no_id;        /* whose the buffers are is not known: id means nothing */
	uint64_t va;       /* logger context */
	char *name;        /* UTF-8, owned; NULL: unreadable */
	uint8_t *name16;   /* the same as UTF-16LE bytes without NUL, as found; owned, may be NULL */
	size_t name16_len; /* bytes */
	char *log_file;    /* UTF-8, owned; NULL: none or unreadable */
	uint8_t *log_file16;
	size_t log_file16_len;
	struct guid guid;
	uint32_t mode; /* LoggerMode as found */
	enum etw_clock clock;
	int64_t reference_time; /* ReferenceTime.StartTime, FILETIME: pairs with reference_ts */
	uint64_t reference_ts;  /* ReferenceTime.StartPerfClock */
	int64_t start_time;     /* StartTime, FILETIME; 0 unknown */
	uint32_t buffer_size;
	bool lean; /* a rebuilt file's buffers are as small as their records allow, whatever buffer_size says */
	bool has_counters;
	uint32_t buffers_written, buffers_lost, events_lost;
	bool has_thread;
	uint32_t thread_id, process_id; /* of the logger thread */
	uint32_t found_by;              /* ETW_FOUND_* bits */
	struct etw_buffer *buffers;     /* owned; in the order of the .etl once etw_session_order() ran */
	size_t n_buffers, cap_buffers;
	struct etw_buffer *residual; /* owned */
	size_t n_residual, cap_residual;
	uint8_t *header_records; /* owned; records of the header buffer behind the first, when the session came from a file; else NULL */
	size_t header_records_len;
	uint32_t buffer_count;          /* buffers met, also ones that were lost; for `sessions` */
	struct etw_consumer *consumers; /* owned */
	size_t n_consumers, cap_consumers;
	struct etw_provider *providers; /* owned: those enabled for this session, with this session's enable only */
	size_t n_providers, cap_providers;
};

/* What every session of one image shares. 0 = unknown unless a has_ flag says more. */
struct etw_system {
	int64_t boot_time, system_time; /* FILETIME */
	uint64_t perf_freq;             /* Hz */
	uint32_t cpu_mhz;
	uint32_t timer_resolution; /* 100 ns units */
	uint32_t n_cpus;
	uint32_t build;
	uint8_t major, minor; /* NtMajorVersion, NtMinorVersion */
	uint8_t pointer_size; /* 4 or 8 */
	bool has_time_zone;
	uint8_t time_zone[ETW_TIME_ZONE_SIZE]; /* TIME_ZONE_INFORMATION as found */
	bool has_bias;
	int32_t bias;          /* minutes, UTC = local + bias; used when has_time_zone is false */
	bool partition_record; /* this build writes a 0x50 header record (profile trait) */
	bool has_qpc_pair;     /* a {FILETIME, QPC} pair of the whole system, for sessions without one of their own */
	int64_t qpc_pair_time;
	uint64_t qpc_pair_ts;
};

void etw_bufhdr_parse(struct etw_bufhdr *h, const uint8_t p[ETW_BUFFER_HEADER_SIZE]);

/* Zeroed structs are valid empty ones. _clear frees the contents and zeroes. */
void etw_buffer_clear(struct etw_buffer *b);
void etw_session_clear(struct etw_session *s);
void etw_provider_clear(struct etw_provider *p);
void etw_consumer_clear(struct etw_consumer *c);
int etw_provider_copy(struct etw_provider *to, const struct etw_provider *from); /* deep; 0 or ERR_NOMEM */

/* Physical address of the byte at `off` in the buffer as it was. False: it has none that is known. */
bool etw_buffer_pa(const struct etw_buffer *b, uint32_t off, uint64_t *pa);

/* Deep copies into zeroed structs; the session with its buffers, without residual ones, consumers and providers. 0 or ERR_NOMEM (cleared). */
int etw_buffer_copy(struct etw_buffer *to, const struct etw_buffer *from);
int etw_session_copy(struct etw_session *to, const struct etw_session *from);

/* Appends; takes over the contents of *b and zeroes it. 0 or ERR_NOMEM. */
int etw_session_add_buffer(struct etw_session *s, struct etw_buffer *b);
int etw_session_add_residual(struct etw_session *s, struct etw_buffer *b);

/* The order of buffers and residual buffers in the file (memory-recovery.md section 5): by last event time, then cpu, then address; buffers without events
 * last. Stable and total: same input, same order. */
void etw_session_order(struct etw_session *s);

/* The pair {FILETIME, session clock} that all conversion rests on, from the best source there is: the session's own reference; for QPC the
 * system's pair, else boot time and 0 (wrong by the clock's drift since boot). Clock 2 needs none: any time pairs with itself. False: none. */
bool etw_session_anchor(const struct etw_session *s, const struct etw_system *sys, int64_t *time, uint64_t *ts);

/* Session clock -> FILETIME (etl-format.md section 5). False when the clock or what it needs is unknown. */
bool etw_session_time(const struct etw_session *s, const struct etw_system *sys, uint64_t ts, int64_t *out);
/* FILETIME -> the largest clock value not after it; for "not after the image's time". */
bool etw_session_clock_at(const struct etw_session *s, const struct etw_system *sys, int64_t time, uint64_t *ts);

/* Words of the contract; "unknown" outside. Bit number for found_by and from. */
const char *etw_found_by_name(unsigned bit);
const char *etw_from_name(unsigned bit);
const char *etw_state_name(const struct etw_bufhdr *h); /* free ... placeholder, unused (flag 0x100), unknown */
const char *etw_type_name(uint16_t type);
const char *etw_clock_name(enum etw_clock c);
const char *etw_why_name(enum etw_why why);
/* Name of mode bit `bit` ("REAL_TIME"), or NULL for a bit that has none. */
const char *etw_mode_name(unsigned bit);

#endif
