/* embed.c - a program of somebody else on the installed libetlift: compiled with pkg-config's flags only. */
#include <etlift.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct sums {
	uint64_t sessions, events, bytes;
};

static int on_session(void *ctx, const struct etlift_session *s)
{
	struct sums *sums = ctx;

	sums->sessions++;
	for (uint32_t i = 0; i < s->n_buffers; i++) {
		sums->events += s->buffers[i].events;
		sums->bytes += s->buffers[i].data_bytes;
		if (s->buffers[i].data_bytes && !s->buffers[i].data)
			return 1;
	}
	return 0;
}

static int stop_at_once(void *ctx, const struct etlift_session *s)
{
	(void)ctx;
	(void)s;
	return 1;
}

int main(int argc, char **argv)
{
	char error[ETLIFT_ERROR_MAX] = "";
	struct etlift_result result = {.size = sizeof(result)};
	struct etlift_facts facts = {.size = sizeof(facts)};
	etlift_options *o = etlift_options_new();
	struct sums sums = {0, 0, 0};
	etlift_image *im = NULL;
	int rc;

	if (!o || !*etlift_version() || !*etlift_features())
		return 10;
	if (etlift_options_set(o, "frobnicate", "") != ETLIFT_E_USAGE || etlift_options_set(o, "dtb", "0x1000 ") != ETLIFT_E_USAGE ||
	    etlift_options_set(o, "no-builtin", "build") != 0)
		return 11;
	if (etlift_open(&im, "/nonexistent", o, error, sizeof(error)) >= 0 || !*error || im)
		return 12;
	if (etlift_open(&im, "/nonexistent", NULL, error, 4) >= 0 || strlen(error) != 3)
		return 13;
	if (argc < 3) {
		etlift_options_free(o);
		printf("%s\n", etlift_version());
		return 0;
	}
	rc = etlift_open(&im, argv[1], o, error, sizeof(error));
	etlift_options_free(o);
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", etlift_error_word(rc), error);
		return 3;
	}
	if (etlift_image_facts(im, &facts, error, sizeof(error)) < 0 || !facts.format || !facts.bytes)
		return 14;
	if (etlift_sessions(im, ETLIFT_NO_RESIDUAL, on_session, &sums, error, sizeof(error)) != (int64_t)sums.sessions)
		return 15;
	if (sums.sessions && etlift_sessions(im, 0, stop_at_once, NULL, NULL, 0) != ETLIFT_E_INTERRUPTED)
		return 16;
	if (etlift_recover(im, argv[2], ETLIFT_NO_RESIDUAL, &result, error, sizeof(error)) < 0)
		return 17;
	if (result.events != sums.events || result.sessions != sums.sessions)
		return 18;
	for (size_t i = 0; i < etlift_losses(im); i++)
		if (!etlift_loss(im, i))
			return 19;
	printf("%" PRIu64 " sessions %" PRIu64 " events\n", sums.sessions, sums.events);
	etlift_close(im);
	return 0;
}
