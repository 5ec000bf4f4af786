/* evdump - prints the events of .etl files as JSON lines, and counts by what became of them on standard error. */
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "decoder.h"
#include "jsonl.h"

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct notes notes;
		struct input *in;
		struct evsource *s;
		struct decoder *d;
		struct event ev;
		struct err e;
		struct buf out;
		const struct decoder_counts *c;

		notes_init(&notes);
		buf_init(&out);
		if (input_open(&in, argv[i], &e) < 0 || evsource_open_etl(&s, in, argv[i], &notes, &e) < 0 || decoder_new(&d, &e) < 0 ||
		    decoder_learn(d, s, &e) < 0) {
			fprintf(stderr, "%s\n", e.msg);
			return 1;
		}
		while (evsource_next(s, &ev, &e) > 0) {
			decoder_event(d, &ev);
			jsonl_event(&out, &ev, false);
			if (out.n > 60000) {
				fwrite(out.p, 1, out.n, stdout);
				buf_clear(&out);
			}
		}
		fwrite(out.p, 1, out.n, stdout);
		c = decoder_counts(d);
		fprintf(stderr, "%s: %llu events", argv[i], (unsigned long long)c->events);
		for (int k = 0; k < EVENT_KINDS; k++)
			if (c->decoded[k] + c->undecoded[k])
				fprintf(stderr, ", %s %llu/%llu", event_kind_name(k), (unsigned long long)c->decoded[k],
					(unsigned long long)(c->decoded[k] + c->undecoded[k]));
		fprintf(stderr, ", no definition %llu, not fitting %llu, notes %zu\n", (unsigned long long)c->no_definition,
			(unsigned long long)c->not_fitting, notes.n);
		buf_free(&out);
		decoder_free(d);
		evsource_close(s);
		input_close(in);
		notes_free(&notes);
	}
	return 0;
}
