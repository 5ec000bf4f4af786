/* builtin.c - see builtin.h */
#include "builtin.h"

#include <stdlib.h>
#include <string.h>

#include "unpack.h"

size_t builtin_count(void)
{
	return profiles_data_files;
}

const char *builtin_name(size_t i)
{
	return profiles_data_file[i].name;
}

bool builtin_build(size_t i, uint32_t *build, enum vm_arch *arch)
{
	char *end;
	unsigned long n = strtoul(profiles_data_file[i].name, &end, 10);

	if (*end != '-' || !prof_arch_parse(end + 1, arch))
		return false;
	*build = (uint32_t)n;
	return true;
}

static int text_of(const struct builtin_file *f, struct buf *out, struct err *e)
{
	return unpack_zlib(out, f->packed, f->packed_size, f->size, e);
}

int builtin_text(size_t i, struct buf *out, struct err *e)
{
	return text_of(&profiles_data_file[i], out, e);
}

int builtin_builds(struct buf *out, struct err *e)
{
	return text_of(&profiles_data_builds, out, e);
}

static int compare(const struct builtin_id *id, const struct guid *guid, uint32_t age)
{
	int c = memcmp(id->guid, guid->b, 16);

	return c ? c : id->age < age ? -1 : id->age > age;
}

bool builtin_find(const struct guid *guid, uint32_t age, size_t *file)
{
	size_t lo = 0, hi = profiles_data_ids;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = compare(&profiles_data_id[mid], guid, age);

		if (c == 0) {
			*file = profiles_data_id[mid].file;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}
