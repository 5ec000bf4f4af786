/* provider_names.h - names of known ETW providers, compiled in from data/provider-names.txt. */
#ifndef ETLIFT_PROVIDER_NAMES_H
#define ETLIFT_PROVIDER_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "guid.h"

/* NULL: unknown. */
const char *provider_name(const struct guid *g);

/* The generated table: GUID bytes in the order of the text form, ascending. */
struct provider_name_entry {
	uint8_t text_order[16];
	uint32_t at; /* in provider_name_text */
};
extern const struct provider_name_entry provider_name_table[];
extern const size_t provider_name_count;
extern const char provider_name_text[];

#endif
