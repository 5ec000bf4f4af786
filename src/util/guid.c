/* guid.c - see guid.h */
#include "guid.h"

#include <string.h>

#include "rd.h"

/* Position in memory of each byte of the text form. */
static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

void guid_text(const struct guid *g, char out[GUID_STR])
{
	static const char hex[] = "0123456789abcdef";
	char *o = out;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*o++ = '-';
		*o++ = hex[g->b[order[i]] >> 4];
		*o++ = hex[g->b[order[i]] & 15];
	}
	*o = 0;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool guid_parse(const char *s, struct guid *out)
{
	struct guid g;
	bool brace = *s == '{';
	int n = 0;

	memset(&g, 0, sizeof(g));
	if (brace)
		s++;
	for (; *s && *s != '}'; s++) {
		int v = nibble(*s);

		if (*s == '-' && (n == 8 || n == 12 || n == 16 || n == 20) && s[-1] != '-')
			continue;
		if (v < 0 || n == 32)
			return false;
		g.b[order[n / 2]] = (uint8_t)(g.b[order[n / 2]] << 4 | v);
		n++;
	}
	if (n != 32 || brace != (*s == '}') || (brace && s[1]))
		return false;
	*out = g;
	return true;
}

bool guid_equal(const struct guid *a, const struct guid *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}

int guid_compare(const struct guid *a, const struct guid *b)
{
	for (int i = 0; i < 16; i++)
		if (a->b[order[i]] != b->b[order[i]])
			return a->b[order[i]] < b->b[order[i]] ? -1 : 1;
	return 0;
}

bool guid_is_zero(const struct guid *g)
{
	static const struct guid zero;

	return guid_equal(g, &zero);
}
