/* msf.h - the container of PDB files: MSF 7.00, numbered streams made of scattered blocks. Layout: LLVM's public "The MSF File Format". The
 * directory's own block list may take several blocks when blocks are small; their numbers stand at 0x34 of the header. */
#ifndef ETLIFT_MSF_H
#define ETLIFT_MSF_H

#include "buf.h"
#include "err.h"
#include "input.h"

#define MSF_STREAMS_MAX   65536
#define MSF_STREAM_MAX    (512u << 20) /* bytes of one stream; never more than the file has */
#define MSF_DIRECTORY_MAX (64u << 20)

struct msf;

/* `in` must outlive it. ERR_NOTMINE: no MSF 7.00. ERR_FORMAT, ERR_TRUNC, ERR_LIMIT. */
int msf_open(struct msf **out, struct input *in, struct err *e);
void msf_close(struct msf *m); /* takes NULL */

/* Appends the whole stream. ERR_NOTFOUND: there is none of that number. */
int msf_read(const struct msf *m, uint32_t stream, struct buf *out, struct err *e);

#endif
