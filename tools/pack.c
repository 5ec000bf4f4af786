/* pack.c - build-time tool: text files -> one C file with each of them packed (zlib). Runs on the build machine.
 *
 *   pack OUT.c ARRAY FILE...      makes  const struct packed_file ARRAY[] and const size_t ARRAY_n  (src/util/packed.h)
 *
 * Comment lines ("#...") are left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static char *read_all(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *p = NULL;
	long len;

	if (!f || fseek(f, 0, SEEK_END) || (len = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) || !(p = malloc((size_t)len + 1)) ||
	    fread(p, 1, (size_t)len, f) != (size_t)len)
		die(path);
	fclose(f);
	*n = (size_t)len;
	return p;
}

static size_t drop_comments(char *s, size_t n)
{
	size_t o = 0;

	for (size_t i = 0; i < n;) {
		char *nl = memchr(s + i, '\n', n - i);
		size_t len = nl ? (size_t)(nl - (s + i)) + 1 : n - i;

		if (s[i] != '#') {
			memmove(s + o, s + i, len);
			o += len;
		}
		i += len;
	}
	return o;
}

int main(int argc, char **argv)
{
	FILE *out = argc > 3 ? fopen(argv[1], "wb") : NULL;

	if (!out)
		die(argc > 1 ? argv[1] : "usage");
	fprintf(out, "/* Made by tools/pack.c: do not edit. */\n#include \"packed.h\"\n\n");
	for (int i = 3; i < argc; i++) {
		size_t n;
		char *s = read_all(argv[i], &n);
		uLongf packed;
		Bytef *p;

		n = drop_comments(s, n);
		packed = compressBound(n);
		p = malloc(packed);
		if (!p || compress2(p, &packed, (Bytef *)s, n, 9) != Z_OK)
			die(argv[i]);
		fprintf(out, "#define SIZE_%d %zuu\nstatic const unsigned char data_%d[] = {", i, n, i);
		for (uLongf k = 0; k < packed; k++)
			fprintf(out, k % 32 ? "%u," : "\n%u,", p[k]);
		fprintf(out, "};\n");
		free(p);
		free(s);
	}
	fprintf(out, "const struct packed_file %s[] = {\n", argv[2]);
	for (int i = 3; i < argc; i++) {
		const char *slash = strrchr(argv[i], '/');

		fprintf(out, "\t{\"%s\", data_%d, sizeof(data_%d), SIZE_%d},\n", slash ? slash + 1 : argv[i], i, i, i);
	}
	fprintf(out, "};\nconst size_t %s_n = sizeof(%s) / sizeof(%s[0]);\n", argv[2], argv[2], argv[2]);
	if (fclose(out))
		die(argv[1]);
	return 0;
}
