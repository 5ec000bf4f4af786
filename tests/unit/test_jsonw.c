/* JSON text: exact numbers, order, escapes, layout. */
#include <criterion/criterion.h>
#include <string.h>

#include "jsonw.h"
#include "report.h"

static struct buf out;

static struct jsonw begin(void)
{
	struct jsonw w;

	buf_init(&out);
	jsonw_init(&w, &out, 0);
	return w;
}

Test(jsonw, numbers_are_exact)
{
	struct jsonw w = begin();

	jsonw_array(&w, NULL, true);
	jsonw_u64(&w, NULL, UINT64_MAX);
	jsonw_i64(&w, NULL, INT64_MIN);
	jsonw_hex(&w, NULL, UINT64_C(0xffffa10203040506));
	jsonw_end(&w);
	cr_assert_str_eq(buf_str(&out), "[18446744073709551615, -9223372036854775808, \"0xffffa10203040506\"]");
	buf_free(&out);
}

Test(jsonw, hostile_strings)
{
	struct jsonw w = begin();

	jsonw_string(&w, NULL, "a\"\\\x01\x7f\xc2\x9b\xe2\x80\xae\xff\xc0\xaf\xed\xa0\x80\xf3\xa0\x80\x81\xc3\xa9");
	cr_assert_str_eq(buf_str(&out), "\"a\\\"\\\\\\u0001\\u007f\\u009b\\u202e\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
					"\xbd\xef\xbf\xbd\\udb40\\udc01\xc3\xa9\"");
	buf_free(&out);
}

Test(jsonw, layout)
{
	struct jsonw w = begin();

	jsonw_object(&w, NULL, false);
	jsonw_array(&w, "a", false);
	jsonw_object(&w, NULL, true);
	jsonw_array(&w, "x", true);
	jsonw_end(&w);
	jsonw_null(&w, "y");
	jsonw_end(&w);
	jsonw_end(&w);
	jsonw_array(&w, "e", false);
	jsonw_end(&w);
	jsonw_time(&w, "t", -1);
	jsonw_time(&w, "u", 0);
	jsonw_end(&w);
	cr_assert_str_eq(
		buf_str(&out),
		"{\n \"a\": [\n  {\"x\": [], \"y\": null}\n ],\n \"e\": [],\n \"t\": null,\n \"u\": \"1601-01-01T00:00:00.0000000Z\"\n}");
	buf_free(&out);
}

Test(report, losses_are_sorted)
{
	struct jsonw w = begin();
	struct notes ns;
	const char *a, *b;

	notes_init(&ns);
	notes_add(&ns, &NOTE_AT(NOTE_PAGE_MISSING, 0x2000, 16), "second");
	notes_add(&ns, &NOTE_AT(NOTE_PAGE_MISSING, 0x1000, 16), "first");
	jsonw_object(&w, NULL, false);
	cr_assert_eq(report_losses(&w, &ns), 0);
	jsonw_end(&w);
	a = strstr(buf_str(&out), "first");
	b = strstr(buf_str(&out), "second");
	cr_assert(a && b && a < b);
	cr_assert(strstr(buf_str(&out),
			 "{\"what\": \"page_missing\", \"silo\": null, \"session\": null, \"session_va\": null, \"va\": \"0x1000\", "
			 "\"bytes\": 16, \"detail\": \"first\"}"));
	notes_free(&ns);
	buf_free(&out);
}
