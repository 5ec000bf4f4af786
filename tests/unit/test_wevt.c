/* src/decode/wevt, peres: compiled manifests inside PE files. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "jsonl.h"
#include "mkwevt.h"
#include "rd.h"
#include "wevt.h"

static struct schemas *store;
static struct arena arena;
static struct buf crim, messages, pe;

static void setup(void)
{
	arena_init(&arena);
	cr_assert_eq(schemas_new(&store, NULL), 0);
	buf_init(&crim);
	buf_init(&messages);
	buf_init(&pe);
	mkwevt_crim(&crim);
	mkwevt_messages(&messages);
	mkwevt_pe(&pe, &crim, &messages);
}

static void teardown(void)
{
	schemas_free(store);
	arena_free(&arena);
	buf_free(&crim);
	buf_free(&messages);
	buf_free(&pe);
}

TestSuite(wevt, .init = setup, .fini = teardown);

static const struct schema *event_of(uint16_t id)
{
	struct schema_key key;

	memset(&key, 0, sizeof(key));
	cr_assert(guid_parse(MKWEVT_PROVIDER, &key.guid));
	key.id = id;
	return schemas_find(store, &key, NULL);
}

static int read_pe(const struct buf *b, struct definition_counts *n)
{
	struct input *in;
	int rc;

	cr_assert_eq(input_open_memory(&in, b->p, b->n, "made", NULL), 0);
	rc = wevt_read_file(store, in, n, NULL);
	input_close(in);
	return rc;
}

Test(wevt, file)
{
	static const uint8_t bytes[] = {2, 0, 0, 0, 0xca, 0xfe, 0xff, 0xff, 0xff, 0xff, 1};
	struct definition_counts n = {0, 0};
	const struct schema *s;
	struct event ev;
	struct buf json;

	cr_assert_eq(read_pe(&pe, &n), 1);
	cr_expect_eq(n.providers, 1);
	cr_expect_eq(n.events, 2);
	s = event_of(1);
	cr_assert_not_null(s);
	cr_expect_str_eq(s->name, "Work/Go");
	cr_expect_str_eq(s->provider, "Made-Compiled");
	memset(&ev, 0, sizeof(ev));
	ev.payload = (struct event_bytes){bytes, sizeof(bytes)};
	ev.pointer_size = 8;
	buf_init(&json);
	cr_assert(schema_decode(&ev, s, &arena), "%s", ev.reason);
	json_value(&json, &ev.data);
	cr_expect_str_eq(buf_str(&json), "{\"len\":2,\"blob\":\"cafe\",\"value\":-1,\"kind\":\"First\"}");
	buf_free(&json);
	cr_assert_not_null(event_of(2));
	cr_expect_str_eq(event_of(2)->name, "Work");
	cr_expect_eq(event_of(2)->n_fields, 0);
	cr_expect_null(event_of(3), "an item flag that nobody knows is no definition");
}

Test(wevt, not_one)
{
	struct buf none;

	buf_init(&none);
	buf_puts(&none, "MZ but no more");
	cr_expect_eq(read_pe(&none, NULL), ERR_NOTMINE);
	cr_expect_eq(wevt_read(store, none.p, none.n, NULL, 0, NULL, NULL), ERR_NOTMINE);
	buf_free(&none);
	memcpy(memchr(pe.p + 0x200, 'W', pe.n - 0x200), "X", 1);
	cr_expect_eq(read_pe(&pe, NULL), ERR_NOTMINE, "no such resource");
}

/* Any length, any byte changed: an answer, and never a definition with more fields than the resource has. */
Test(wevt, hostile)
{
	struct definition_counts n = {0, 0};

	for (size_t len = 0; len < crim.n; len++) {
		uint8_t *copy = malloc(len ? len : 1);

		cr_assert_not_null(copy);
		memcpy(copy, crim.p, len);
		wevt_read(store, copy, len, messages.p, messages.n, &n, NULL);
		free(copy);
	}
	for (size_t i = 0; i < pe.n; i++) {
		uint8_t was = pe.p[i];

		for (int k = 0; k < 3; k++) {
			pe.p[i] = (uint8_t)(k == 0 ? 0xff : k == 1 ? was ^ 0x80 : was + 1);
			read_pe(&pe, &n);
		}
		pe.p[i] = was;
	}
	for (uint16_t id = 0; id < 256; id++)
		cr_expect(!event_of(id) || event_of(id)->n_fields <= 4);
	put_le32(crim.p + 12, 0xffffffff);
	cr_expect_eq(wevt_read(store, crim.p, crim.n, NULL, 0, NULL, NULL), ERR_FORMAT);
}
