/* etlift.h - the public interface of libetlift: ETW sessions out of Windows memory images.
 *
 * For C and for foreign-function interfaces (ctypes and the like): opaque handles, plain structs, no macros needed, no global state.
 * Functions that can fail return 0 (or a count) or a negative ETLIFT_E_* code, and write one line into `error` (NULL: nobody listens;
 * ETLIFT_ERROR_MAX bytes are always enough). The line may quote names from evidence: it holds no control characters, but may hold any other
 * text. The library prints nothing, never exits, reads no environment variable, opens evidence read-only, and writes only where it is told.
 * A handle belongs to one thread at a time. Strings are UTF-8. Times are Windows FILETIME (100 ns since 1601-01-01 UTC); 0 = unknown.
 *
 * Structs only grow at the end. A struct that the caller gives begins with `size`: set it to sizeof before the call; the library fills no
 * more than that. */
#ifndef ETLIFT_H
#define ETLIFT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ETLIFT_ERROR_MAX 512

enum {
	ETLIFT_E_IO = -1,           /* the operating system refused a read or a write */
	ETLIFT_E_NOMEM = -2,        /* out of memory */
	ETLIFT_E_FORMAT = -3,       /* damaged beyond use */
	ETLIFT_E_TRUNC = -4,        /* ends too early */
	ETLIFT_E_NOTFOUND = -5,     /* there is none */
	ETLIFT_E_LIMIT = -7,        /* a limit of the program was reached */
	ETLIFT_E_UNSUPPORTED = -8,  /* understood, but not supported */
	ETLIFT_E_USAGE = -9,        /* the caller's words are off */
	ETLIFT_E_EXISTS = -11,      /* the output folder is not empty */
	ETLIFT_E_INTERRUPTED = -12, /* a callback asked to stop */
	ETLIFT_E_NOIMAGE = -13,     /* no memory image */
	ETLIFT_E_NOKERNEL = -14     /* a memory image without Windows kernel, usable profile or ETW session */
};

const char *etlift_version(void);        /* "0.1.0" */
const char *etlift_features(void);       /* names of the optional libraries that are built in, separated by spaces */
const char *etlift_error_word(int code); /* "io", "nomem", ...; never NULL */
void etlift_free(void *p);               /* frees what the library handed over; takes NULL */

/* ---- opening an image ------------------------------------------------------------------------------------------------------------ */

typedef struct etlift_options etlift_options;
typedef struct etlift_image etlift_image;

etlift_options *etlift_options_new(void); /* NULL: out of memory */
void etlift_options_free(etlift_options *o);
/* Names as on the command line: symbols, profile, no-builtin ("" or "build"), dtb, pagefile, sidecar, spill. symbols and pagefile may be set
 * several times. 0, ETLIFT_E_USAGE (no such name, bad value), ETLIFT_E_NOMEM. */
int etlift_options_set(etlift_options *o, const char *name, const char *value);

/* o may be NULL. An image without a kernel opens too: a crash dump's ETW block needs none. */
int etlift_open(etlift_image **out, const char *path, const etlift_options *o, char *error, size_t error_size);
void etlift_close(etlift_image *im); /* takes NULL */

struct etlift_facts {
	uint32_t size;           /* in: sizeof(struct etlift_facts) */
	uint32_t build;          /* 0 unknown */
	const char *format;      /* container; strings live until etlift_close() */
	const char *arch;        /* "x64", "x86", "arm64", NULL unknown */
	uint64_t bytes;          /* of the file */
	uint64_t physical_bytes; /* in the image */
	int32_t has_kernel;      /* base, pdb_* are valid */
	uint32_t cpus;           /* 0 unknown */
	uint64_t base, dtb;      /* 0 unknown */
	int64_t system_time, boot_time;
	const char *pdb_name;
	uint8_t pdb_guid[16]; /* in Windows' memory order */
	uint32_t pdb_age;
	uint32_t reserved;
	const char *profile, *match; /* NULL: none */
};

int etlift_image_facts(etlift_image *im, struct etlift_facts *out, char *error, size_t error_size);

/* The losses so far: what could not be had. Text of number i (until the next call on this image), NULL behind the last. */
size_t etlift_losses(const etlift_image *im);
const char *etlift_loss(const etlift_image *im, size_t i);

/* ---- sessions and their buffers --------------------------------------------------------------------------------------------------- */

struct etlift_buffer {
	int32_t has_va, has_pa, has_file_offset, has_same_as;
	uint64_t va, pa, file_offset, same_as;
	uint32_t from; /* bits, see etlift_from_name() */
	uint32_t cpu;
	uint64_t sequence;
	uint32_t events; /* records in data */
	uint32_t data_bytes;
	const uint8_t *data; /* whole records, each on an 8-byte boundary counted from the first */
	int64_t first_event, last_event;
};

struct etlift_session {
	uint32_t silo, id;
	int32_t has_va, has_guid;
	uint64_t va;
	const char *name;     /* NULL: unreadable */
	const char *log_file; /* NULL: none */
	uint8_t guid[16];
	uint32_t mode;
	uint32_t clock; /* 0 unknown, 1 QPC, 2 system time, 3 CPU cycles */
	int64_t start_time;
	uint32_t buffer_size, buffers_lost, events_lost;
	uint32_t found_by;  /* bits, see etlift_found_by_name() */
	uint32_t n_buffers; /* with ETLIFT_LIST_ONLY: met, without contents, and `buffers` is NULL */
	uint32_t n_residual;
	const struct etlift_buffer *buffers;  /* in the order of the .etl */
	const struct etlift_buffer *residual; /* records of an earlier use of a buffer */
};

enum { ETLIFT_DEEP = 1, ETLIFT_NO_RESIDUAL = 2, ETLIFT_LIST_ONLY = 4, ETLIFT_FORCE = 8 };

/* Calls fn for every session, sorted by silo, id, address; everything is borrowed for the call. A non-zero answer of fn ends the run with
 * ETLIFT_E_INTERRUPTED. Returns the number of sessions. */
int64_t etlift_sessions(etlift_image *im, uint32_t flags, int (*fn)(void *ctx, const struct etlift_session *s), void *ctx, char *error,
			size_t error_size);

const char *etlift_found_by_name(unsigned bit); /* "table", ... "unknown" */
const char *etlift_from_name(unsigned bit);     /* "global_list", ... "unknown" */

/* ---- jobs -------------------------------------------------------------------------------------------------------------------------- */

struct etlift_result {
	uint32_t size; /* in: sizeof(struct etlift_result) */
	uint32_t sessions, files, losses;
	uint64_t events;
};

/* What `etlift recover` does: DIR/sessions/... and DIR/report.json. The folder must be new or empty unless ETLIFT_FORCE. With
 * ETLIFT_E_NOKERNEL report.json is written all the same. result may be NULL. */
int etlift_recover(etlift_image *im, const char *dir, uint32_t flags, struct etlift_result *result, char *error, size_t error_size);

#ifdef __cplusplus
}
#endif
#endif
