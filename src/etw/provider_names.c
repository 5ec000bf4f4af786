#include "provider_names.h"

#include <string.h>

const char *provider_name(const struct guid *g)
{
	static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	size_t lo = 0, hi = provider_name_count;
	uint8_t key[16];

	for (int i = 0; i < 16; i++)
		key[i] = g->b[order[i]];
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = memcmp(key, provider_name_table[mid].text_order, sizeof key);

		if (c == 0)
			return provider_name_text + provider_name_table[mid].at;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}
