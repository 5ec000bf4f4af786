/** @file etlift.h
 * The public interface of libetlift: ETW sessions out of Windows memory images.
 *
 * For C and for foreign-function interfaces (ctypes and the like): opaque handles, plain structs, no macros needed, no global state.
 * Functions that can fail return 0 (or a count) or a negative ETLIFT_E_* code, and write one line into `error` (NULL: nobody listens;
 * ETLIFT_ERROR_MAX bytes are always enough). The line may quote names from evidence: it holds no control characters, but may hold any other
 * text. The library prints nothing, never exits, reads no environment variable, opens evidence read-only, and writes only where it is told.
 * A handle belongs to one thread at a time. Strings are UTF-8. Times are Windows FILETIME (100 ns since 1601-01-01 UTC); 0 = unknown.
 *
 * Structs only grow at the end. A struct that the caller gives begins with `size`: set it to sizeof before the call; the library fills no
 * more than that.
 *
 * A program in C and one in Python stand in contrib/examples. */
#ifndef ETLIFT_H
#define ETLIFT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes that hold every error line, with its NUL. */
#define ETLIFT_ERROR_MAX 512

/** What went wrong. */
enum {
	ETLIFT_E_IO = -1,           /**< the operating system refused a read or a write */
	ETLIFT_E_NOMEM = -2,        /**< out of memory */
	ETLIFT_E_FORMAT = -3,       /**< damaged beyond use */
	ETLIFT_E_TRUNC = -4,        /**< ends too early */
	ETLIFT_E_NOTFOUND = -5,     /**< there is none */
	ETLIFT_E_LIMIT = -7,        /**< a limit of the program was reached */
	ETLIFT_E_UNSUPPORTED = -8,  /**< understood, but not supported */
	ETLIFT_E_USAGE = -9,        /**< the caller's words are off */
	ETLIFT_E_EXISTS = -11,      /**< the output folder is not empty */
	ETLIFT_E_INTERRUPTED = -12, /**< a callback asked to stop */
	ETLIFT_E_NOIMAGE = -13,     /**< no memory image */
	ETLIFT_E_NOKERNEL = -14     /**< a memory image without Windows kernel, usable profile or ETW session */
};

/** The library's version.
 * @return such as "0.1.0" */
const char *etlift_version(void);

/** The optional libraries that are built in.
 * @return their names, separated by spaces */
const char *etlift_features(void);

/** A word for an error code.
 * @param code an ETLIFT_E_* value
 * @return "io", "nomem", ...; never NULL */
const char *etlift_error_word(int code);

/** Frees what the library handed over.
 * @param p may be NULL */
void etlift_free(void *p);

/** @name Opening an image
 * @{ */

/** Options of etlift_open(). */
typedef struct etlift_options etlift_options;
/** An open image. */
typedef struct etlift_image etlift_image;

/** New options, all at their defaults.
 * @return to be freed by etlift_options_free(); NULL: out of memory */
etlift_options *etlift_options_new(void);

/** Frees options; images that were opened with them do not need them any more.
 * @param o may be NULL */
void etlift_options_free(etlift_options *o);

/** Sets an option. Names are as on the command line: symbols, profile, no-builtin ("" or "build"), dtb, pagefile, sidecar, spill. symbols and
 * pagefile may be set several times.
 * @param o the options
 * @param name without dashes
 * @param value copied
 * @return 0, ETLIFT_E_USAGE (no such name, bad value), ETLIFT_E_NOMEM */
int etlift_options_set(etlift_options *o, const char *name, const char *value);

/** Opens an image and looks for its kernel. One without a kernel opens too: a crash dump's ETW block needs none.
 * @param out the image; NULL after a failure
 * @param path of the image
 * @param o may be NULL
 * @param error one line after a failure; may be NULL
 * @param error_size bytes of `error`
 * @return 0 or ETLIFT_E_* */
int etlift_open(etlift_image **out, const char *path, const etlift_options *o, char *error, size_t error_size);

/** Closes an image; strings that it handed out are gone.
 * @param im may be NULL */
void etlift_close(etlift_image *im);

/** What is known of an image and its kernel. */
struct etlift_facts {
	uint32_t size;           /**< in: sizeof(struct etlift_facts) */
	uint32_t build;          /**< of Windows; 0 unknown */
	const char *format;      /**< container; strings live until etlift_close() */
	const char *arch;        /**< "x64", "x86", "arm64", NULL unknown */
	uint64_t bytes;          /**< of the file */
	uint64_t physical_bytes; /**< of memory in the image */
	int32_t has_kernel;      /**< base and pdb_* are valid */
	uint32_t cpus;           /**< 0 unknown */
	uint64_t base;           /**< virtual address of the kernel; 0 unknown */
	uint64_t dtb;            /**< physical address of its page tables; 0 unknown */
	int64_t system_time;     /**< when the image was taken; 0 unknown */
	int64_t boot_time;       /**< when Windows started; 0 unknown */
	const char *pdb_name;    /**< NULL unknown */
	uint8_t pdb_guid[16];    /**< in Windows' memory order */
	uint32_t pdb_age;        /**< beside the GUID */
	uint32_t reserved;       /**< 0 */
	const char *profile;     /**< the layout that is used; NULL: none */
	const char *match;       /**< how it was found: "guid", "isf", "pdb", "given", "build", "inferred"; NULL: none */
};

/** Facts of an image.
 * @param im the image
 * @param out its `size` is set by the caller
 * @param error one line after a failure; may be NULL
 * @param error_size bytes of `error`
 * @return 0 or ETLIFT_E_* */
int etlift_image_facts(etlift_image *im, struct etlift_facts *out, char *error, size_t error_size);

/** The losses so far: what could not be had.
 * @param im the image
 * @return how many */
size_t etlift_losses(const etlift_image *im);

/** One loss as a line of text.
 * @param im the image
 * @param i from 0
 * @return valid until the next call on this image; NULL behind the last */
const char *etlift_loss(const etlift_image *im, size_t i);

/** @}
 * @name Sessions and their buffers
 * @{ */

/** One buffer of a session, as it was recovered. */
struct etlift_buffer {
	int32_t has_va;          /**< va is known */
	int32_t has_pa;          /**< pa is known */
	int32_t has_file_offset; /**< file_offset is known */
	int32_t has_same_as;     /**< this one is a copy: same_as is valid */
	uint64_t va;             /**< virtual address of the first byte */
	uint64_t pa;             /**< physical address of the first byte */
	uint64_t file_offset;    /**< where that lies in the image's file */
	uint64_t same_as;        /**< address of the buffer that this is a copy of; its events are not counted twice in a .etl */
	uint32_t from;           /**< bits, see etlift_from_name() */
	uint32_t cpu;            /**< index of the processor that wrote it */
	uint64_t sequence;       /**< the buffer's own number */
	uint32_t events;         /**< records in data */
	uint32_t data_bytes;     /**< length of data */
	const uint8_t *data;     /**< whole records, each on an 8-byte boundary counted from the first */
	int64_t first_event;     /**< 0 unknown */
	int64_t last_event;      /**< 0 unknown */
};

/** One ETW session. */
struct etlift_session {
	uint32_t silo;                        /**< 0: the host; others are containers */
	uint32_t id;                          /**< logger id */
	int32_t has_va;                       /**< va is known */
	int32_t has_guid;                     /**< guid is known */
	uint64_t va;                          /**< of the logger context */
	const char *name;                     /**< NULL: unreadable. Hostile: may hold any text */
	const char *log_file;                 /**< NULL: none. Hostile as well */
	uint8_t guid[16];                     /**< in Windows' memory order */
	uint32_t mode;                        /**< LogFileMode as found */
	uint32_t clock;                       /**< 0 unknown, 1 QPC, 2 system time, 3 CPU cycles */
	int64_t start_time;                   /**< 0 unknown */
	uint32_t buffer_size;                 /**< bytes */
	uint32_t buffers_lost;                /**< as Windows counted */
	uint32_t events_lost;                 /**< as Windows counted */
	uint32_t found_by;                    /**< bits, see etlift_found_by_name() */
	uint32_t n_buffers;                   /**< with ETLIFT_LIST_ONLY: met, without contents, and `buffers` is NULL */
	uint32_t n_residual;                  /**< length of residual */
	const struct etlift_buffer *buffers;  /**< in the order of the .etl */
	const struct etlift_buffer *residual; /**< records of an earlier use of a buffer */
};

/** Flags of etlift_sessions() and etlift_recover(). */
enum {
	ETLIFT_DEEP = 1,        /**< also run the finders that scan memory although pointers led to sessions */
	ETLIFT_NO_RESIDUAL = 2, /**< leave out events of an earlier use of a buffer */
	ETLIFT_LIST_ONLY = 4,   /**< sessions without the contents of their buffers */
	ETLIFT_FORCE = 8        /**< write into a folder that is not empty */
};

/** Calls fn for every session, sorted by silo, id, address.
 * @param im the image
 * @param flags ETLIFT_DEEP, ETLIFT_NO_RESIDUAL, ETLIFT_LIST_ONLY
 * @param fn all that it is given is borrowed for the call; a non-zero answer ends the run with ETLIFT_E_INTERRUPTED
 * @param ctx handed to fn
 * @param error one line after a failure; may be NULL
 * @param error_size bytes of `error`
 * @return the number of sessions, or ETLIFT_E_* */
int64_t etlift_sessions(etlift_image *im, uint32_t flags, int (*fn)(void *ctx, const struct etlift_session *s), void *ctx, char *error,
			size_t error_size);

/** A word for a bit of etlift_session::found_by.
 * @param bit its number
 * @return "table", ... "unknown" */
const char *etlift_found_by_name(unsigned bit);

/** A word for a bit of etlift_buffer::from.
 * @param bit its number
 * @return "global_list", ... "unknown" */
const char *etlift_from_name(unsigned bit);

/** @}
 * @name Jobs
 * @{ */

/** Sums of etlift_recover(). */
struct etlift_result {
	uint32_t size;     /**< in: sizeof(struct etlift_result) */
	uint32_t sessions; /**< found */
	uint32_t files;    /**< .etl files written */
	uint32_t losses;   /**< named in the report */
	uint64_t events;   /**< in those files */
};

/** What `etlift recover` does: DIR/sessions/..., DIR/report.json and DIR/report.html. With ETLIFT_E_NOKERNEL the reports are written all the
 * same.
 * @param im the image
 * @param dir must be new or empty unless ETLIFT_FORCE is given
 * @param flags ETLIFT_DEEP, ETLIFT_NO_RESIDUAL, ETLIFT_FORCE
 * @param result may be NULL; its `size` is set by the caller
 * @param error one line after a failure; may be NULL
 * @param error_size bytes of `error`
 * @return 0 or ETLIFT_E_* */
int etlift_recover(etlift_image *im, const char *dir, uint32_t flags, struct etlift_result *result, char *error, size_t error_size);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
