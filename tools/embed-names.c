/* embed-names.c - build-time tool: data/provider-names.txt ("GUID NAME" lines, sorted by GUID) as one C file. Runs on the build machine.
 *
 *   embed-names OUT.c IN.txt */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "embed-names: %s: %s\n", what, why);
	exit(1);
}

/* The 16 bytes in the order of the text, which is the order that guid_compare() sorts by. */
static void put_guid(FILE *out, const char *s)
{
	fputs("{{", out);
	for (int i = 0; i < 36;) {
		if (s[i] == '-') {
			i++;
			continue;
		}
		fprintf(out, "0x%.2s,", s + i);
		i += 2;
	}
	fputs("}", out);
}

int main(int argc, char **argv)
{
	char line[512], last[37] = "";
	unsigned long at = 0, n = 0;
	FILE *in, *out;

	if (argc != 3)
		die("usage", "embed-names OUT.c IN.txt");
	in = fopen(argv[2], "r");
	if (!in)
		die(argv[2], "can't be read");
	out = fopen(argv[1], "w");
	if (!out)
		die(argv[1], "can't be written");
	fputs("#include \"provider_names.h\"\n\nconst struct provider_name_entry provider_name_table[] = {\n", out);
	while (fgets(line, sizeof line, in)) {
		size_t len = strcspn(line, "\n");

		line[len] = 0;
		if (len < 38 || line[36] != ' ' || strncmp(last, line, 36) >= 0)
			die(argv[2], "lines must be \"GUID NAME\", sorted by GUID");
		memcpy(last, line, 36);
		put_guid(out, line);
		fprintf(out, ", %lu},\n", at);
		at += len - 37 + 1;
		n++;
	}
	fprintf(out, "};\nconst size_t provider_name_count = %lu;\n\nconst char provider_name_text[] =\n", n);
	rewind(in);
	while (fgets(line, sizeof line, in)) {
		fputs("\t\"", out);
		for (const char *p = line + 37; *p && *p != '\n'; p++) {
			if (*p == '"' || *p == '\\')
				fputc('\\', out);
			fputc(*p, out);
		}
		fputs("\\0\"\n", out);
	}
	fputs(";\n", out);
	if (ferror(in) || fclose(out))
		die(argv[1], "can't be written");
	fclose(in);
	return 0;
}
