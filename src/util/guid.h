/* guid.h - GUIDs as 16 bytes in Windows' memory order (the first three fields little endian). */
#ifndef ETLIFT_GUID_H
#define ETLIFT_GUID_H

#include <stdbool.h>
#include <stdint.h>

#define GUID_STR 37 /* text with its NUL */

struct guid {
	uint8_t b[16];
};

void guid_text(const struct guid *g, char out[GUID_STR]); /* lower case, no braces */
bool guid_parse(const char *s, struct guid *out);         /* with or without braces and dashes, any case; all of s */
bool guid_equal(const struct guid *a, const struct guid *b);
int guid_compare(const struct guid *a, const struct guid *b); /* order of the text form */
bool guid_is_zero(const struct guid *g);

#endif
