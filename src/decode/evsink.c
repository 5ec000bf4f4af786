/* evsink.c - see evsink.h */
#include "evsink.h"

#include <string.h>

#define EVSINK(name) extern const struct evsink evsink_##name;
#include "sinks.def"
#undef EVSINK

static const struct evsink *const sinks[] = {
#define EVSINK(name) &evsink_##name,
#include "sinks.def"
#undef EVSINK
};

const struct evsink *evsink_find(const char *name)
{
	for (size_t i = 0; i < sizeof(sinks) / sizeof(sinks[0]); i++)
		if (!name || strcmp(sinks[i]->name, name) == 0)
			return sinks[i];
	return NULL;
}

const char *evsink_names(void)
{
#define EVSINK(name) #name " "
	return
#include "sinks.def"
		"";
#undef EVSINK
}
