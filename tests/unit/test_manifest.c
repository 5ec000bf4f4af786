/* src/decode/manifest: XML manifests into definitions, and payloads read by them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "catalogue.h"
#include "jsonl.h"
#include "manifest.h"
#include "packed.h"

#define PROVIDER "7a3e5b1c-1d2e-4f60-8a9b-0c1d2e3f4a5b"

static struct schemas *store;
static struct arena arena;

static void setup(void)
{
	arena_init(&arena);
	cr_assert_eq(schemas_new(&store, NULL), 0);
}

static void teardown(void)
{
	schemas_free(store);
	arena_free(&arena);
}

TestSuite(manifest, .init = setup, .fini = teardown);

static const char head[] = "<?xml version='1.0' encoding='UTF-8'?>\n"
			   "<instrumentationManifest xmlns='http://schemas.microsoft.com/win/2004/08/events'>\n"
			   "<instrumentation xmlns:win='http://manifests.microsoft.com/win/2004/08/windows/events'><events>\n"
			   "<provider name='Made-Provider' guid='{" PROVIDER "}' symbol='MADE'>\n";

static const char tail[] =
	"</provider></events></instrumentation>\n"
	"<localization><resources culture='de-DE'><stringTable><string id='t' value='Aufgabe'/><string id='only' value='nur'/>"
	"</stringTable></resources>"
	"<resources culture='en-US'><stringTable><string id='t' value='Job%n'/><string id='m1' value='One'/>"
	"<string id='b1' value='Read '/><string id='b4' value='Exec'/></stringTable></resources></localization>"
	"</instrumentationManifest>\n";

static int read_text(const char *text, struct err *e)
{
	struct definition_counts n = {0, 0};
	int rc = manifest_read(store, text, strlen(text), SCHEMA_MANIFEST, NULL, &n, e);

	return rc < 0 ? rc : (int)n.events;
}

static int read_body(const char *body)
{
	struct err e = {0, ""};
	struct buf b;
	int rc;

	buf_init(&b);
	buf_puts(&b, head);
	buf_puts(&b, body);
	buf_puts(&b, tail);
	rc = read_text(buf_str(&b), &e);
	if (rc < 0)
		cr_log_info("%s", e.msg);
	buf_free(&b);
	return rc;
}

static const struct schema *event_of(uint16_t id, uint8_t version)
{
	struct schema_key key;

	memset(&key, 0, sizeof(key));
	cr_assert(guid_parse(PROVIDER, &key.guid));
	key.id = id;
	key.version = version;
	return schemas_find(store, &key, NULL);
}

/* Event `id` over these bytes as JSON, or the reason. */
static const char *decode(uint16_t id, const void *p, uint32_t n)
{
	static struct buf json;
	const struct schema *s = event_of(id, 0);
	struct event ev;

	cr_assert_not_null(s);
	memset(&ev, 0, sizeof(ev));
	ev.payload = (struct event_bytes){p, n};
	ev.pointer_size = 4;
	buf_free(&json);
	buf_init(&json);
	if (schema_decode(&ev, s, &arena))
		json_value(&json, &ev.data);
	else
		buf_puts(&json, ev.reason);
	return buf_str(&json);
}

#ifdef HAVE_EXPAT
Test(manifest, names_maps_and_arrays)
{
	static const uint8_t bytes[] = {1, 5, 2, 0, 1, 0, 2, 0, 3, 'a', 'b', 'c', 0x78, 0x56, 0x34, 0x12};

	cr_assert_eq(
		read_body("<tasks><task name='T' value='1' message='$(string.t)'><opcodes><opcode name='Go' "
			  "value='20'/></opcodes></task></tasks>"
			  "<maps><valueMap name='V'><map value='0x1' message='$(string.m1)'/></valueMap>"
			  "<bitMap name='B'><map value='1' message='$(string.b1)'/><map value='4' message='$(string.b4)'/></bitMap></maps>"
			  "<events><event value='1' task='T' opcode='Go' template='A' symbol='S1'/><event value='2' task='T' symbol='S2'/>"
			  "<event value='3' version='2' task='T' opcode='win:Start'/><event value='4' task='none'/></events>"
			  "<templates><template tid='A'><data name='v' inType='win:UInt8' map='V'/><data name='b' inType='win:UInt8' "
			  "map='B'/>"
			  "<data name='n' inType='win:UInt16'/><data name='list' inType='win:UInt16' count='n'/>"
			  "<data name='len' inType='win:UInt8'/><data name='text' inType='win:AnsiString' length='len'/>"
			  "<data name='p' inType='win:Pointer'/></template></templates>"),
		4);
	cr_expect_str_eq(decode(1, bytes, sizeof(bytes)),
			 "{\"v\":\"One\",\"b\":\"Read|Exec\",\"n\":2,\"list\":[1,2],\"len\":3,\"text\":\"abc\",\"p\":\"0x12345678\"}");
	cr_expect_str_eq(event_of(1, 0)->name, "Job/Go");
	cr_expect_str_eq(event_of(2, 0)->name, "S2");
	cr_expect_str_eq(event_of(3, 2)->name, "Job/Start");
	cr_expect_null(event_of(4, 0)->name);
	cr_expect_null(event_of(3, 0), "another version is another event");
	cr_expect_str_eq(event_of(1, 0)->provider, "Made-Provider");
	cr_expect_str_eq(decode(2, bytes, 1), "the definition does not consume the payload");
	cr_expect_str_eq(decode(2, bytes, 0), "{}");
}

/* A count inside a struct means the struct's own field, not one of that name in another struct; a member may count by a field at the top. */
Test(manifest, structs)
{
	static const uint8_t bytes[] = {2, 9, 1, 7, 0, 1, 1, 0xff, 0xfe};

	cr_assert_eq(read_body("<templates><template tid='A'><data name='n' inType='win:UInt8'/>"
			       "<struct name='one'><data name='k' inType='win:UInt8'/></struct>"
			       "<struct name='rows' count='n'><data name='k' inType='win:UInt8'/><data name='x' inType='win:UInt8' "
			       "count='k'/></struct>"
			       "<struct name='end'><data name='y' inType='win:Int8' count='n'/></struct>"
			       "<UserData><data name='trap' inType='win:UInt8'/><event value='99'/></UserData></template></templates>"
			       "<events><event value='1' template='A'/></events>"),
		     1);
	cr_expect_str_eq(decode(1, bytes, 6), "the payload ends inside a field");
	cr_expect_str_eq(decode(1, "\x02\x09\x01\x07\x00\xff\xfe", 7),
			 "{\"n\":2,\"one\":{\"k\":9},\"rows\":[{\"k\":1,\"x\":[7]},{\"k\":0,\"x\":[]}],\"end\":{\"y\":[-1,-2]}}");
	cr_expect_null(event_of(99, 0));
}

Test(manifest, broken_templates_leave_no_definition)
{
	cr_assert_eq(
		read_body("<templates><template tid='ref'><data name='a' inType='win:UInt8' count='later'/><data name='later' "
			  "inType='win:UInt8'/></template>"
			  "<template tid='type'><data name='a' inType='win:Nonsense'/></template>"
			  "<template tid='foreign'><struct name='s'><data name='k' inType='win:UInt8'/></struct>"
			  "<data name='a' inType='win:UInt8' count='k'/></template></templates>"
			  "<events><event value='1' template='ref'/><event value='2' template='type'/><event value='3' template='foreign'/>"
			  "<event value='4' template='missing'/><event value='70000'/><event value='5'/></events>"),
		5);
	for (uint16_t i = 1; i <= 4; i++)
		cr_expect_null(event_of(i, 0), "%u", i);
	cr_expect_not_null(event_of(5, 0));
}

Test(manifest, refused)
{
	struct err e;
	struct buf b;

	cr_expect_eq(read_text("<html><body/></html>", &e), ERR_FORMAT);
	cr_expect_eq(read_text("<instrumentationManifest><unclosed>", &e), ERR_FORMAT);
	cr_expect_eq(read_text("", &e), ERR_FORMAT);
	cr_expect_eq(read_text("<!DOCTYPE instrumentationManifest [<!ENTITY a 'b'>]><instrumentationManifest/>", &e), ERR_FORMAT);
	cr_expect(strstr(e.msg, "entities") != NULL, "%s", e.msg);
	cr_expect_eq(read_text("<!DOCTYPE instrumentationManifest [<!ENTITY a SYSTEM "
			       "'/etc/passwd'>]><instrumentationManifest>&a;</instrumentationManifest>",
			       &e),
		     ERR_FORMAT);
	buf_init(&b);
	buf_puts(&b, "<instrumentationManifest>");
	for (int i = 0; i < MANIFEST_DEPTH_MAX; i++)
		buf_puts(&b, "<a>");
	cr_expect_eq(read_text(buf_str(&b), &e), ERR_LIMIT);
	buf_free(&b);
}

Test(manifest, only_one_provider)
{
	struct definition_counts n = {0, 0};
	struct guid other;
	struct buf b;

	buf_init(&b);
	buf_puts(&b, head);
	buf_puts(&b, "<events><event value='1'/></events>");
	buf_puts(&b, tail);
	cr_assert(guid_parse("00000000-0000-0000-0000-000000000001", &other));
	cr_expect_eq(manifest_read(store, b.p, b.n, SCHEMA_EVENTSOURCE, &other, &n, NULL), 0);
	cr_expect_eq(n.events, 0);
	cr_expect_null(event_of(1, 0));
	buf_free(&b);
}

/* A trace's own manifest goes before a given one. */
Test(manifest, sources)
{
	struct definition_counts n = {0, 0};
	const struct schema *first;
	struct schema_key key;
	struct buf b;

	cr_assert_eq(read_body("<events><event value='1' symbol='given'/></events>"), 1);
	buf_init(&b);
	buf_puts(&b, head);
	buf_puts(&b, "<events><event value='1' symbol='own'/></events>");
	buf_puts(&b, tail);
	cr_assert_eq(manifest_read(store, b.p, b.n, SCHEMA_EVENTSOURCE, NULL, &n, NULL), 0);
	buf_free(&b);
	first = event_of(1, 0);
	cr_expect_str_eq(first->name, "own");
	memset(&key, 0, sizeof(key));
	guid_parse(PROVIDER, &key.guid);
	key.id = 1;
	first = schemas_find(store, &key, first);
	cr_assert_not_null(first);
	cr_expect_str_eq(first->name, "given");
	cr_expect_null(schemas_find(store, &key, first));
}
#endif

/* The CLR's stack walk: its manifest says two frames, the field before the array says how many. */
Test(manifest, recount)
{
	struct schema_field f[2] = {{.name = "n", .in = IN_UINT32, .length_ref = -1, .count_ref = -1, .count = 1},
				    {.name = "frames", .in = IN_POINTER, .length_ref = -1, .count_ref = -1, .count = 2, .is_array = true}};
	struct schema s = {.source = SCHEMA_MANIFEST, .n_fields = 2, .fields = f};
	static const uint8_t bytes[] = {3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0};
	struct event ev;

	memset(&ev, 0, sizeof(ev));
	ev.payload = (struct event_bytes){bytes, sizeof(bytes)};
	ev.pointer_size = 4;
	cr_expect_not(schema_decode(&ev, &s, &arena));
	cr_assert_not_null(schema_recount(&s, &arena));
	cr_assert(schema_decode(&ev, schema_recount(&s, &arena), &arena));
	cr_expect_eq(dv_field(&ev.data, "frames")->n, 3);
	f[1].is_array = false;
	cr_expect_null(schema_recount(&s, &arena));
}

extern const struct packed_file events_packed[];
extern const size_t events_packed_n;

/* Every event that the catalogue has from a manifest parses, and its structs and references stay inside. */
Test(manifest, catalogue_exact_types)
{
	struct catalogue *c = catalogue_new();
	unsigned n = 0, arrays = 0, structs = 0;

	cr_assert_not_null(c);
	for (size_t k = 0; k < events_packed_n; k++) {
		char *text = packed_text(&events_packed[k]), *line, *rest = text;
		struct guid guid = {{0}};

		cr_assert_not_null(text);
		while ((line = strsep(&rest, "\n"))) {
			char *dot = strchr(line, '.'), *end;
			const struct schema *s;
			unsigned long version;

			if (*line == 'P') {
				line[GUID_STR] = 0;
				cr_assert(guid_parse(line + 1, &guid), "%s", line);
			}
			if (*line < '0' || *line > '9' || !dot)
				continue;
			version = strtoul(dot + 1, &end, 10);
			if (*end != ' ')
				continue;
			s = catalogue_find(c, &guid, (uint16_t)strtoul(line, NULL, 10), (uint8_t)version, &arena);
			cr_assert_not_null(s, "%s", line);
			cr_assert(s->exact_types);
			n++;
			for (uint32_t i = 0; i < s->n_fields; i++) {
				const struct schema_field *f = &s->fields[i];

				cr_assert(i + f->n_members < s->n_fields && f->length_ref < (int)i && f->count_ref < (int)i, "%s", line);
				arrays += f->is_array;
				structs += f->in == IN_STRUCT;
			}
		}
		free(text);
	}
	catalogue_free(c);
	cr_expect_gt(n, 900u);
	cr_expect_gt(arrays, 20u);
	cr_expect_gt(structs, 10u);
}
