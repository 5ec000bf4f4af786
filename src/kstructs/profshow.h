/* profshow.h - profiles as text and JSON: `etlift profile list` and `show`. All strings in a profile are plain ASCII (proffile_parse() and
 * isf_parse() refuse others), so nothing here needs escaping. */
#ifndef ETLIFT_PROFSHOW_H
#define ETLIFT_PROFSHOW_H

#include "buf.h"
#include "proffile.h"

/* One profile: every member, size, symbol and trait. `from`: "guid" (built in), "given" ..., or NULL. */
int profshow_json(const struct profile *p, const char *from, const char *tool_version, struct buf *out, struct err *e);
int profshow_text(const struct profile *p, struct buf *out, struct err *e);

/* What there is: built-in profiles (those of `build` when that is not 0). */
int proflist_json(uint32_t build, const char *tool_version, struct buf *out, struct err *e);
int proflist_text(uint32_t build, struct buf *out, struct err *e);

#endif
