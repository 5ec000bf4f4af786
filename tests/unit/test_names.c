/* src/decode/names.c: which name a process id or file has at which time. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

static struct names *names;
static const struct event_origin origin = {.file = "a"}, other = {.file = "b"};

static void setup(void)
{
	names = names_new();
}

static void teardown(void)
{
	names_free(names);
}

TestSuite(names, .init = setup, .fini = teardown);

static void tell(const char *guid, uint8_t opcode, const char *key, uint64_t k, const char *what, const char *text, int64_t time)
{
	struct dfield f[] = {{key, {.type = DV_HEX, .u = k}}, {what, {.type = DV_TEXT, .n = (uint32_t)strlen(text)}}};
	struct event ev;
	struct guid g;

	f[1].v.text = text;
	memset(&ev, 0, sizeof(ev));
	ev.origin = &origin;
	ev.kind = EVENT_SYSTEM;
	ev.has_time = true;
	ev.time = time;
	ev.data = (struct dval){.type = DV_STRUCT, .n = 2, .fields = f};
	cr_assert(guid_parse(guid, &g));
	cr_assert(names_wants(names, &ev, &g, opcode));
	names_learn(names, &ev, &g, opcode);
}

static void process(uint8_t opcode, uint64_t pid, const char *name, int64_t time)
{
	tell("3d6fa8d0-fe05-11d0-9dda-00c04fd7ba7c", opcode, "ProcessId", pid, "ImageFileName", name, time);
}

static void file(uint8_t opcode, uint64_t key, const char *name, int64_t time)
{
	tell("90cbdc39-4a3e-11d1-84f4-0000f80464e3", opcode, "FileObject", key, opcode == 64 ? "OpenPath" : "FileName", name, time);
}

static const char *process_at(const struct event_origin *o, uint32_t pid, int64_t time)
{
	struct event ev;

	memset(&ev, 0, sizeof(ev));
	ev.origin = o;
	ev.has_time = ev.has_pid = true;
	ev.time = time;
	ev.pid = pid;
	names_event(names, &ev);
	return ev.process_name ? ev.process_name : "-";
}

static const char *file_at(const char *field, uint64_t key, int64_t time)
{
	struct dfield f = {field, {.type = DV_HEX, .u = key}};
	struct event ev;

	memset(&ev, 0, sizeof(ev));
	ev.origin = &origin;
	ev.has_time = true;
	ev.time = time;
	ev.data = (struct dval){.type = DV_STRUCT, .n = 1, .fields = &f};
	names_event(names, &ev);
	return ev.file_name ? ev.file_name : "-";
}

Test(names, a_pid_used_twice)
{
	process(1, 8, "second.exe", 300); /* not in order */
	process(1, 8, "first.exe", 100);
	process(2, 8, "first.exe", 200);
	cr_assert_str_eq(process_at(&origin, 8, 99), "-");
	cr_assert_str_eq(process_at(&origin, 8, 100), "first.exe");
	cr_assert_str_eq(process_at(&origin, 8, 200), "first.exe");
	cr_assert_str_eq(process_at(&origin, 8, 201), "-");
	cr_assert_str_eq(process_at(&origin, 8, 300), "second.exe");
	cr_assert_str_eq(process_at(&origin, 8, 9000), "second.exe");
	cr_assert_str_eq(process_at(&other, 8, 300), "-"); /* of another machine */
	cr_assert_str_eq(process_at(&origin, 9, 300), "-");
}

Test(names, rundown_and_end_name_what_was_before)
{
	process(4, 4, "System", 500);
	process(2, 12, "gone.exe", 500);
	cr_assert_str_eq(process_at(&origin, 4, 1), "System");
	cr_assert_str_eq(process_at(&origin, 4, 501), "System");
	cr_assert_str_eq(process_at(&origin, 12, 1), "gone.exe");
	cr_assert_str_eq(process_at(&origin, 12, 501), "-");
}

Test(names, learned_again_after_a_question)
{
	process(3, 4, "System", 5);
	cr_assert_str_eq(process_at(&origin, 4, 5), "System");
	process(3, 3, "before.exe", 5);
	cr_assert_str_eq(process_at(&origin, 3, 5), "before.exe");
	cr_assert_str_eq(process_at(&origin, 4, 5), "System");
}

Test(names, files_by_key_and_by_object)
{
	file(36, 0x1000, "rundown", 500);
	file(64, 0x2000, "opened", 100);
	cr_assert_str_eq(file_at("FileKey", 0x1000, 1), "rundown");
	cr_assert_str_eq(file_at("FileObject", 0x1000, 1), "rundown"); /* older events call the key so */
	cr_assert_str_eq(file_at("FileObject", 0x2000, 99), "-");
	cr_assert_str_eq(file_at("FileObject", 0x2000, 100), "opened");
	cr_assert_str_eq(file_at("FileKey", 0x2000, 100), "-");
	cr_assert_str_eq(file_at("Other", 0x1000, 1), "-");
}

Test(names, the_data_names_the_process)
{
	struct dfield f = {"PID", {.type = DV_UINT, .u = 4}};
	struct event ev;

	process(3, 4, "System", 5);
	memset(&ev, 0, sizeof(ev));
	ev.origin = &origin;
	ev.has_time = ev.has_pid = true;
	ev.time = 5;
	ev.pid = UINT32_MAX;
	ev.data = (struct dval){.type = DV_STRUCT, .n = 1, .fields = &f};
	names_event(names, &ev);
	cr_assert_str_eq(ev.process_name, "System");
}

Test(names, more_than_the_limit)
{
	for (uint32_t i = 0; i < NAMES_MAX + 10; i++)
		process(3, i, "p", 1);
	cr_assert_eq(names_dropped(names), 10);
	cr_assert_str_eq(process_at(&origin, NAMES_MAX - 1, 1), "p");
	cr_assert_str_eq(process_at(&origin, NAMES_MAX, 1), "-");
}
