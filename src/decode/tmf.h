/* tmf.h - trace message format files: what WPP messages mean. A message is (message GUID, number) -> a format and the arguments that the payload
 * holds one behind the other, without padding. Form and sources: docs/decoding.md. */
#ifndef ETLIFT_TMF_H
#define ETLIFT_TMF_H

#include "err.h"
#include "schema.h"

#define TMF_BYTES_MAX    ((size_t)64 << 20) /* of one file */
#define TMF_MESSAGES_MAX 1000000u           /* of all */
#define TMF_LINE_MAX     16384u             /* bytes; a longer line is passed over */
#define TMF_ARGS_MAX     64u                /* of one message */
#define TMF_FIRST_ARG    10u                /* %1 .. %9 mean the message's header */

struct tmf;

struct tmf_message {
	struct guid guid;
	uint16_t number;
	const char *broken;                          /* NULL, or why its arguments can't be read */
	const char *module, *place;                  /* module's name; "FILE_cLINE" */
	const char *file, *function, *level, *flags; /* NULL: not said */
	const char *format;
	struct schema schema;       /* one field for each argument, in order */
	uint16_t arg[TMF_ARGS_MAX]; /* number of each in the format */
};

struct tmf *tmf_new(void); /* NULL: out of memory */
void tmf_free(struct tmf *t);

/* Adds the messages of one file's text; the first definition of a message stays. The count of messages, ERR_NOTMINE (none, and no header line
 * either), ERR_LIMIT, ERR_NOMEM. Lines that are not understood are passed over. */
int tmf_read(struct tmf *t, const uint8_t *p, size_t n, struct err *e);

const struct tmf_message *tmf_find(const struct tmf *t, const struct guid *guid, uint16_t number);

/* --tmf PATH: files and folders (every *.tmf there). The count of messages, or ERR_*. */
struct deffile_report;
int tmf_read_path(struct tmf *t, const char *path, const struct deffile_report *report, struct err *e);

#endif
