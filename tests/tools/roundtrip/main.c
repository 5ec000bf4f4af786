/* roundtrip - reads an .etl file and writes it again with etlwrite: roundtrip IN OUT. What came out is for another reader to compare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "etl.h"
#include "etlwrite.h"

static int load_all(struct etl *f, struct etw_session *s, struct err *e)
{
	for (uint32_t i = 1; i < etl_n_buffers(f); i++) {
		struct etw_buffer b;
		int rc;

		memset(&b, 0, sizeof(b));
		rc = etl_buffer(f, i, &b, e);
		if (rc == 0 && etw_session_add_buffer(s, &b) < 0)
			rc = ERR_NOMEM;
		if (rc < 0)
			return rc;
	}
	etw_session_order(s);
	return 0;
}

int main(int argc, char **argv)
{
	struct etlwrite_result r;
	struct etw_session s;
	struct outfile *out;
	struct input *in;
	struct etl *f;
	struct err e = {0};
	int rc;

	if (argc != 3 || input_open(&in, argv[1], &e) < 0 || etl_open(&f, in, NULL, &e) < 0 || outfile_create_path(&out, argv[2], &e) < 0) {
		fprintf(stderr, "roundtrip: %s\n", argc == 3 ? e.msg : "usage: roundtrip IN OUT");
		return 2;
	}
	s = *etl_session(f); /* names and header records stay the file's */
	rc = load_all(f, &s, &e);
	if (rc == 0)
		rc = etlwrite_session(out, &s, etl_system(f), NULL, &r, &e);
	if (rc == 0)
		rc = outfile_commit(out, &e);
	else
		outfile_abort(out);
	for (size_t i = 0; i < s.n_buffers; i++)
		etw_buffer_clear(&s.buffers[i]);
	free(s.buffers);
	etl_close(f);
	input_close(in);
	if (rc < 0)
		fprintf(stderr, "roundtrip: %s\n", e.msg);
	else
		printf("%llu events in %u buffers\n", (unsigned long long)r.events, r.buffers);
	return rc < 0;
}
