/* common.h - what the commands that open an image share. */
#ifndef ETLIFT_COMMON_H
#define ETLIFT_COMMON_H

#include "cli.h"
#include "job.h"

/* Opens the image of argument 0 by the options, and hashes it with --sha256. 0, or an exit status (the line is printed). */
int open_image(struct cli *c, struct job **out, bool need_profile);

/* Session id and name by (silo, id), for tables and filters. */
struct session_name {
	uint32_t silo, id;
	char *name; /* owned; NULL unreadable */
};
struct session_names {
	struct session_name *v;
	size_t n, cap;
};
/* From a pass without contents; an image without sessions gives none. 0 or ERR_*. */
int session_names(struct session_names *out, struct job *j, struct err *e);
void session_names_free(struct session_names *s);
const struct session_name *session_names_find(const struct session_names *s, uint32_t silo, uint32_t id);

/* --threads; 0: one for each processor. */
unsigned cli_threads(const struct cli *c);

/* --session, --pid: true when nothing was asked, or this is among it. */
bool want_session_id(const struct cli *c, uint32_t id, const char *name);
bool want_session(void *cli, const struct etw_session *s);
bool want_pid(const struct cli *c, bool has_pid, uint64_t pid);

/* cli_fail() for an error of a run over the image: names the image where the message does not. */
int fail_on_image(struct cli *c, struct err *e, bool input);

/* Starts and ends a --json document on standard output. The end adds the losses. 0 or an exit status. */
int document_begin(struct cli *c, struct job *j, struct jsonw *w, struct buf *b);
int document_end(struct cli *c, struct job *j, struct jsonw *w, struct buf *b);

/* Tells of losses on standard error; the exit status by --strict. */
int losses_status(struct cli *c, struct job *j);

#endif
