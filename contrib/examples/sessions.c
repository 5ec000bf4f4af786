/* sessions.c - an example of libetlift in C: the ETW sessions of a memory image with their buffers. Build it against the installed
 * library:
 *
 *     cc -o sessions sessions.c $(pkg-config --cflags --libs etlift)
 *     ./sessions memory.raw
 *
 * Exit status: 0, 2 (usage), 3 (no image), 4 (no session). */
#include <etlift.h>

#include <inttypes.h>
#include <stdio.h>

/* Names come out of the evidence. The library takes control characters out of its error lines only: a program that prints a name does it here. */
static void print_safe(const char *s)
{
	for (; *s; s++)
		putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

/* Called once for each session. All that *s points to is gone when this returns: copy what is to be kept. */
static int on_session(void *ctx, const struct etlift_session *s)
{
	uint64_t *events = ctx, here = 0;

	for (uint32_t i = 0; i < s->n_buffers; i++)
		here += s->buffers[i].events;
	*events += here;
	printf("%2" PRIu32 " ", s->id);
	print_safe(s->name ? s->name : "(unreadable)");
	printf(": %" PRIu32 " buffers, %" PRIu64 " events, found by", s->n_buffers, here);
	for (unsigned bit = 0; bit < 32; bit++)
		if (s->found_by >> bit & 1)
			printf(" %s", etlift_found_by_name(bit));
	printf("\n");
	return 0; /* anything else ends the run */
}

int main(int argc, char **argv)
{
	char error[ETLIFT_ERROR_MAX];
	struct etlift_facts facts = {.size = sizeof(facts)};
	etlift_image *image;
	uint64_t events = 0;
	int64_t n;

	if (argc != 2) {
		fprintf(stderr, "usage: sessions IMAGE\n");
		return 2;
	}
	if (etlift_open(&image, argv[1], NULL, error, sizeof(error)) < 0) {
		fprintf(stderr, "%s\n", error);
		return 3;
	}
	if (etlift_image_facts(image, &facts, error, sizeof(error)) == 0)
		printf("%s, Windows build %" PRIu32 ", profile %s\n", facts.format, facts.build, facts.profile ? facts.profile : "none");
	n = etlift_sessions(image, 0, on_session, &events, error, sizeof(error));
	if (n < 0)
		fprintf(stderr, "%s\n", error);
	else
		printf("%" PRId64 " sessions, %" PRIu64 " events, %zu losses\n", n, events, etlift_losses(image));
	for (size_t i = 0; i < etlift_losses(image); i++) {
		print_safe(etlift_loss(image, i));
		printf("\n");
	}
	etlift_close(image);
	return n < 0 ? 4 : 0;
}
