/* refuse.h - files that are no memory image, or one of a kind that is not read yet, told by content. */
#ifndef ETLIFT_REFUSE_H
#define ETLIFT_REFUSE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "input.h"

/* head[0, n): the first bytes of `in`, of which more is read only when they look like another kind's. 0: nothing known speaks against it;
 * *begins_like is then NULL, or what it begins like without being one to its end. ERR_NOIMAGE (no memory image) or ERR_UNSUPPORTED (an image, but not read yet) with what it is and the mend. */
int refuse_by_content(const uint8_t *head, size_t n, struct input *in, const char **begins_like, struct err *e);

#endif
