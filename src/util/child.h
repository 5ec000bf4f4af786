/* child.h - other processes of this program: one piece of evidence each, so that a crash or the out-of-memory killer costs one piece. */
#ifndef ETLIFT_CHILD_H
#define ETLIFT_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct child_opts {
	const char *const *argv; /* [0] is a name only: what runs is this very program; NULL at the end */
	uint64_t memory_bytes;   /* bound of its address space; 0: none */
	const char *log;         /* file for standard error and output; NULL: they are dropped */
	int keep_fd;             /* a descriptor that the program inherits; below 3: none */
	/* Runs in the child first, with its log not yet open; not 0: the child ends with that status and runs nothing. May be NULL. */
	int (*prepare)(void *ctx);
	void *ctx;
};

struct child_end {
	pid_t pid;
	int status; /* exit status; valid when signal is 0 */
	int signal; /* that killed it, or 0 */
};

/* Starts one. The caller must have no other threads. It dies with its parent. */
int child_start(pid_t *out, const struct child_opts *o, struct err *e);

/* Waits for any of them, at most `ms` milliseconds: 1 with *out, 0: none ended, ERR_NOTFOUND: there is none. */
int child_wait(struct child_end *out, unsigned ms, struct err *e);

void child_kill(pid_t pid);

/* Does fn(ctx) in a copy of this process, whose memory and output are lost, and says how that went: what fn answered (0 to 100), or CHILD_DIED: it crashed or took
 * more than a minute. Where the system has no copies of a process, or makes none now, 0. The caller must have no other threads. */
#define CHILD_DIED 127
int child_try(int (*fn)(void *ctx), void *ctx);

/* Bytes that it has read so far, from files and elsewhere; 0: not known. */
uint64_t child_bytes_read(pid_t pid);

#endif
