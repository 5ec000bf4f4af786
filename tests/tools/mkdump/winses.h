/* winses.h - what the makers of sessions and of consumers share. Inside mkdump only. */
#ifndef ETLIFT_WINSES_H
#define ETLIFT_WINSES_H

#include "winimg.h"

#define HDR         0x48u
#define LINK        0x20u /* SlistEntry / NextBuffer, since Windows 7 */
#define ENTRY       0x38u /* GlobalEntry, since Windows 7 */
#define RECORDS_MAX 4096
#define ROWS_MAX    4 /* of packed buffers in one session */

struct ses_fill {
	uint8_t *raw;
	uint32_t off, limit; /* records go to [off, limit); off moves */
	bool made_up;        /* also when the session has a payload */
};

/* Up to n records; *ts is the time of the last one before, and then of the last one made. Returns how many. */
unsigned ses_fill(struct winimg *w, struct wi_session *s, struct ses_fill *f, unsigned n, uint64_t *ts, struct wi_record *rec);
uint64_t ses_ticks(const struct winimg *w, const struct wi_session *s); /* between two made records */
struct wi_buffer *ses_new_buffer(struct wi_session *s);
void ses_header(struct winimg *w, const struct wi_session *s, struct wi_buffer *b); /* the header as the kernel leaves it in this form */

#endif
