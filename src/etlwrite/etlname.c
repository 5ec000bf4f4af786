/* etlname.c - file names of sessions. A name from memory is hostile: what reaches a path is [A-Za-z0-9._-] and short. */
#include <stdio.h>
#include <string.h>

#include "etlwrite.h"

#define NAME_MAX_BYTES 100

static bool plain(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

/* The contract's NAME: every other byte as '_', at most 100 bytes, never empty, never starting with a dot. */
static void clean_name(const char *name, char out[NAME_MAX_BYTES + 1])
{
	size_t n = 0;

	for (; name[n] && n < NAME_MAX_BYTES; n++)
		out[n] = plain(name[n]) ? name[n] : '_';
	out[n] = 0;
	if (n == 0)
		strcpy(out, "unnamed");
	else if (out[0] == '.')
		out[0] = '_';
}

void etl_file_name(const struct etw_session *s, unsigned attempt, bool residual, char out[ETL_NAME_MAX])
{
	char name[NAME_MAX_BYTES + 1], silo[16] = "", again[16] = "";

	clean_name(s->name ? s->name : "unnamed", name);
	if (s->silo)
		snprintf(silo, sizeof(silo), "s%u-", s->silo);
	if (attempt > 1)
		snprintf(again, sizeof(again), "-%u", attempt);
	snprintf(out, ETL_NAME_MAX, "sessions/%s%02u-%s%s%s.etl", silo, s->id, name, again, residual ? ".residual" : "");
}
