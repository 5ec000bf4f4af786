/* embed.c - build-time tool: packs the JSON files of profiles/ into one C file. Runs on the build machine, needs zlib only.
 *
 *   embed OUT.c builds.json BUILD-ARCH.json...
 *
 * Each file is stripped of blanks outside strings and packed by itself (zlib); the "id" of every kernel ("GUID-AGE") goes into a sorted index. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct id {
	uint8_t guid[16];
	uint32_t age, file;
};

static struct id *ids;
static size_t n_ids, cap_ids;

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "embed: %s: %s\n", what, why);
	exit(1);
}

static void *want(void *p)
{
	if (!p)
		die("memory", "none left");
	return p;
}

static char *read_all(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *p;
	long len = 0;

	if (!f || fseek(f, 0, SEEK_END) || (len = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
		die(path, "can't be read");
	p = want(malloc((size_t)len + 1));
	if (fread(p, 1, (size_t)len, f) != (size_t)len)
		die(path, "can't be read");
	p[len] = 0;
	fclose(f);
	*n = (size_t)len;
	return p;
}

static size_t minify(char *s, size_t n)
{
	size_t o = 0;
	int in = 0;

	for (size_t i = 0; i < n; i++) {
		if (in && s[i] == '\\' && i + 1 < n) {
			s[o++] = s[i++];
			s[o++] = s[i];
			continue;
		}
		if (s[i] == '"')
			in = !in;
		if (in || !strchr(" \t\r\n", s[i]))
			s[o++] = s[i];
	}
	return o;
}

static int nibble(char c)
{
	const char *hex = "0123456789ABCDEF", *p = c ? strchr(hex, c) : NULL;

	return p ? (int)(p - hex) : -1;
}

static void add_id(const char *s, uint32_t file, const char *path)
{
	static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}; /* text to memory order of a GUID */
	struct id id = {{0}, 0, file};

	for (int i = 0; i < 16; i++) {
		int a = nibble(s[2 * i]), b = a < 0 ? -1 : nibble(s[2 * i + 1]);

		if (b < 0)
			die(path, "a kernel id that is no GUID-AGE");
		id.guid[order[i]] = (uint8_t)(a << 4 | b);
	}
	if (s[32] != '-')
		die(path, "a kernel id that is no GUID-AGE");
	id.age = (uint32_t)strtoul(s + 33, NULL, 10);
	if (n_ids == cap_ids)
		ids = want(realloc(ids, (cap_ids = cap_ids ? cap_ids * 2 : 256) * sizeof(*ids)));
	ids[n_ids++] = id;
}

static void find_ids(const char *s, size_t n, uint32_t file, const char *path)
{
	static const char key[] = "\"id\":\"";

	for (size_t i = 0; i + sizeof(key) + 34 < n; i++)
		if (memcmp(s + i, key, sizeof(key) - 1) == 0)
			add_id(s + i + sizeof(key) - 1, file, path);
}

static int by_id(const void *a, const void *b)
{
	const struct id *x = a, *y = b;
	int c = memcmp(x->guid, y->guid, 16);

	return c ? c : x->age < y->age ? -1 : x->age > y->age;
}

/* Writes the packed bytes as an array; returns the packed size. */
static uLong put_packed(FILE *out, const char *array, const char *s, size_t n, const char *path)
{
	uLong packed = compressBound((uLong)n);
	unsigned char *p = want(malloc(packed));

	if (compress2(p, &packed, (const Bytef *)s, (uLong)n, 9) != Z_OK)
		die(path, "can't be packed");
	fprintf(out, "static const unsigned char %s[] = {", array);
	for (uLong i = 0; i < packed; i++)
		fprintf(out, i % 32 ? "%u," : "\n%u,", p[i]);
	fprintf(out, "};\n");
	free(p);
	return packed;
}

struct entry {
	char name[64];
	uLong packed;
	size_t size;
};

static void put_file(FILE *out, const char *path, unsigned i, struct entry *en)
{
	const char *base = strrchr(path, '/');
	char array[32];
	size_t n, len;
	char *s = read_all(path, &n);

	base = base ? base + 1 : path;
	len = strlen(base);
	if (len < 6 || len - 5 >= sizeof(en->name) || strcmp(base + len - 5, ".json") != 0)
		die(path, "not named NAME.json");
	memcpy(en->name, base, len - 5);
	en->name[len - 5] = 0;
	en->size = minify(s, n);
	snprintf(array, sizeof(array), "f%u", i);
	en->packed = put_packed(out, array, s, en->size, path);
	if (i)
		find_ids(s, en->size, i - 1, path);
	free(s);
}

static void put_tables(FILE *out, const struct entry *en, unsigned n)
{
	fprintf(out, "const struct builtin_file profiles_data_builds = {\"builds\", f0, %lu, %zu};\n", en[0].packed, en[0].size);
	fprintf(out, "const size_t profiles_data_files = %u;\nconst struct builtin_file profiles_data_file[] = {\n", n - 1);
	for (unsigned i = 1; i < n; i++)
		fprintf(out, "{\"%s\", f%u, %lu, %zu},\n", en[i].name, i, en[i].packed, en[i].size);
	fprintf(out, "{0, 0, 0, 0}};\n");
	fprintf(out, "const size_t profiles_data_ids = %zu;\nconst struct builtin_id profiles_data_id[] = {\n", n_ids);
	for (size_t i = 0; i < n_ids; i++) {
		fprintf(out, "{{");
		for (int j = 0; j < 16; j++)
			fprintf(out, "%u,", ids[i].guid[j]);
		fprintf(out, "}, %u, %u},\n", ids[i].age, ids[i].file);
	}
	fprintf(out, "{{0}, 0, 0}};\n");
}

int main(int argc, char **argv)
{
	unsigned n = argc > 2 ? (unsigned)argc - 2 : 0;
	struct entry *en;
	FILE *out;

	if (!n)
		die("usage", "embed OUT.c builds.json BUILD-ARCH.json...");
	en = want(calloc(n, sizeof(*en)));
	out = fopen(argv[1], "wb");
	if (!out)
		die(argv[1], "can't be written");
	fprintf(out, "/* made by tools/embed.c from profiles/: do not edit */\n#include \"builtin.h\"\n");
	for (unsigned i = 0; i < n; i++)
		put_file(out, argv[2 + i], i, &en[i]);
	if (n_ids)
		qsort(ids, n_ids, sizeof(*ids), by_id);
	for (size_t i = 1; i < n_ids; i++)
		if (by_id(&ids[i - 1], &ids[i]) == 0)
			die(argv[2 + 1 + ids[i].file], "a kernel id that another file has too");
	put_tables(out, en, n);
	if (fclose(out))
		die(argv[1], "can't be written");
	free(en);
	free(ids);
	return 0;
}
