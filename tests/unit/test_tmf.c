/* src/decode/tmf, wpp: trace message formats and messages rendered by them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "jsonl.h"
#include "rd.h"
#include "wpp.h"

#define GUID_TEXT "0b6c077e-f983-3543-6bbc-baec3455628b"

static struct tmf *store;
static struct arena arena;
static struct buf scratch, json;

static void setup(void)
{
	arena_init(&arena);
	buf_init(&scratch);
	buf_init(&json);
	store = tmf_new();
	cr_assert_not_null(store);
}

static void teardown(void)
{
	tmf_free(store);
	arena_free(&arena);
	buf_free(&scratch);
	buf_free(&json);
}

TestSuite(tmf, .init = setup, .fini = teardown);

#define HEAD "// PDB:  made.pdb\r\n" GUID_TEXT " MadeDriver // SRC=Made.c MJ= MN=\r\n"

static int read_text(const char *text)
{
	return tmf_read(store, (const uint8_t *)text, strlen(text), NULL);
}

static const struct tmf_message *message_of(uint16_t number)
{
	struct guid g;

	cr_assert(guid_parse(GUID_TEXT, &g));
	return tmf_find(store, &g, number);
}

static const char *decode(uint16_t number, const void *p, uint32_t n, unsigned pointer_size)
{
	const struct tmf_message *m = message_of(number);
	struct event ev;

	cr_assert_not_null(m);
	memset(&ev, 0, sizeof(ev));
	ev.payload = (struct event_bytes){p, n};
	ev.pointer_size = pointer_size;
	buf_clear(&json);
	if (wpp_decode(&ev, m, &arena, &scratch))
		json_value(&json, &ev.data);
	else
		buf_puts(&json, ev.reason);
	return buf_str(&json);
}

Test(tmf, numbers_and_context)
{
	static const uint8_t bytes[] = {0x0d, 0, 0, 0xc0, 0xff, 0xff, 0xff, 0xff, 42, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};

	cr_expect_eq(
		read_text(HEAD
			  "#typev Made_c130 14 \"%0 [%!FUNC!] %1!s!: failed with status %10!s! (%11!d!, 0x%12!04X!) at %13!p! 100%% "
			  "%!WHAT!\" //   "
			  "LEVEL=TRACE_LEVEL_ERROR FLAGS=TRACE_X FUNC=MadeEvtIo\n{\nstatus, ItemNTSTATUS -- 10\ncount - 1, ItemLong -- 11\n"
			  "status, ItemLong -- 12\nGetPtr(a, b), ItemPtr -- 13\n}\n"),
		1);
	cr_expect_str_eq(
		decode(14, bytes, sizeof(bytes), 8),
		"{\"message\":\"[MadeEvtIo] MadeDriver: failed with status 0xc000000d (-1, 0x002A) at 0807060504030201 100% %!WHAT!\","
		"\"status\":\"0xc000000d\",\"count - 1\":-1,\"status (12)\":\"0x2a\",\"GetPtr(a, b)\":\"0x807060504030201\"}");
	cr_expect_str_eq(message_of(14)->function, "MadeEvtIo");
	cr_expect_str_eq(message_of(14)->level, "TRACE_LEVEL_ERROR");
	cr_expect_str_eq(message_of(14)->file, "Made.c");
	cr_expect_null(message_of(15));
	cr_expect_str_eq(decode(14, bytes, sizeof(bytes), 4), "the definition does not consume the payload");
	cr_expect_str_eq(decode(14, bytes, 11, 8), "the payload ends inside a field");
}

Test(tmf, texts_and_lists)
{
	static const uint8_t bytes[] = {'a', 'b', 0, 'c', 0, 0, 0, 4,    0,    'd', 0, 'e',  0,    1,   5,
					0,   0,   0, 127, 0, 0, 1, 0x1f, 0x90, 3,   0, 0xab, 0xcd, 0xef};

	cr_expect_eq(
		read_text(
			HEAD
			"#typev Made_c1 10 \"%10!s!|%11!5s!|%12!s!|%13!s!|%14!s!|%15!s!|%16!s!|%17!s!\" // LEVEL=L FLAGS=F FUNC=f\n{\n"
			"a, ItemString -- 10\nb, ItemWString -- 11\n&c, ItemPWString -- 12\nirql, ItemListByte(Low,APC,DPC) -- 13\n"
			"bits, ItemSetLong(one,two,three) -- 14\nip, ItemIPAddr -- 15\nport, ItemPort -- 16\ndump, ItemHEXDump -- 17\n}\n"),
		1);
	cr_expect_str_eq(
		decode(10, bytes, sizeof(bytes), 8),
		"{\"message\":\"ab|    c|de|APC|one|three|127.0.0.1|8080|abcdef\",\"a\":\"ab\",\"b\":\"c\",\"&c\":\"de\",\"irql\":\"APC\","
		"\"bits\":\"one|three\",\"ip\":\"127.0.0.1\",\"port\":8080,\"dump\":\"abcdef\"}");
}

Test(tmf, what_is_not_understood)
{
	cr_expect_eq(read_text(HEAD "#typev Made_c1 10 \"%10!s!\" // FUNC=f\n{\na, ItemNobodyKnows -- 10\n}\n"
				    "#typev Made_c2 11 \"%11!s! %10!s!\" // FUNC=f\n{\na, ItemLong -- 11\nb, ItemLong -- 10\n}\n"
				    "#typev Made_c3 12 \"%10!s!\" // FUNC=f\n{\nno type here\n}\n"
				    "#typev Made_c4 x13 \"bad number\" // FUNC=f\n{\n}\n"
				    "#typev Made_c5 70000 \"bad number\" // FUNC=f\n{\n}\n"
				    "#typev Made_c6 13 no text // FUNC=f\n{\n}\n"
				    "#typev Made_c7 14 \"the first stays\" // FUNC=f\n{\n}\n"
				    "#typev Made_c8 14 \"another\" // FUNC=f\n{\n}\n"),
		     5);
	cr_expect_str_eq(decode(10, "abcd", 4, 8), "an argument of an unknown type in the format");
	cr_expect_str_eq(decode(11, "abcdefgh", 8, 8), "a format whose arguments are out of order");
	cr_expect_str_eq(decode(12, "abcd", 4, 8), "a format whose arguments can't be read");
	cr_expect_null(message_of(13));
	cr_expect_str_eq(decode(14, "", 0, 8), "{\"message\":\"the first stays\"}");
	cr_expect_eq(read_text("just a text\n"), ERR_NOTMINE);
	cr_expect_eq(read_text(""), ERR_NOTMINE);
	cr_expect_eq(read_text("#typev Made_c9 20 \"no message GUID\" // FUNC=f\n{\n}\n"), ERR_NOTMINE);
}

/* A format that asks for a width of a million, for arguments that are not there, and ends anywhere. */
Test(tmf, hostile_formats)
{
	static const char *const formats[] = {
		"%10!999999999d!", "%10!-0+ #-0+ #.999999999lld!", "%10", "%10!", "%", "%!", "%!FUNC", "%99!s!", "%4294967306!s!", "%10!n!",
		"%10!%n!"};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct buf b;

		buf_init(&b);
		buf_printf(&b, HEAD "#typev Made_c1 %zu \"%s\" // LEVEL=L FUNC=f\n{\na, ItemLong -- 10\n}\n", i, formats[i]);
		cr_expect_eq(read_text(buf_str(&b)), 1);
		buf_free(&b);
		cr_expect_eq(decode((uint16_t)i, "\x07\0\0\0", 4, 8)[0], '{', "%s: %s", formats[i], buf_str(&json));
		cr_expect_leq(json.n, 1000u);
	}
	cr_expect_str_eq(decode(2, "\x07\0\0\0", 4, 8), "{\"message\":\"7\",\"a\":7}");
	cr_expect_str_eq(decode(7, "\x07\0\0\0", 4, 8), "{\"message\":\"\",\"a\":7}");
}
