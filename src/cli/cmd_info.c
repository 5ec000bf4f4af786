/* cmd_info.c - etlift info: what an image holds. */
#include "common.h"

#include <inttypes.h>

#include "secondary.h"
#include "wintime.h"

static void line(struct cli *c, const char *what, const char *value)
{
	struct buf b;

	buf_init(&b);
	text_safe(&b, value);
	printf("%s%-18s%s %s\n", c->color_out ? "\033[1m" : "", what, c->color_out ? "\033[0m" : "", b.n ? buf_str(&b) : "unknown");
	buf_free(&b);
}

static void line_time(struct cli *c, const char *what, int64_t t)
{
	char s[WINTIME_STR];

	line(c, what, t && wintime_text(t, s) ? s : "");
}

static void line_num(struct cli *c, const char *what, uint64_t v, const char *unit)
{
	char s[64];

	snprintf(s, sizeof(s), "%" PRIu64 "%s", v, unit);
	line(c, what, v ? s : "");
}

static void line_hex(struct cli *c, const char *what, bool has, uint64_t v)
{
	char s[32];

	snprintf(s, sizeof(s), "0x%" PRIx64, v);
	line(c, what, has ? s : "");
}

static void print_image(struct cli *c, const struct report_image *im)
{
	line(c, "image", im->path);
	line(c, "format", im->format);
	if (im->compression)
		line(c, "compression", im->compression);
	if (im->segments > 1)
		line_num(c, "segments", im->segments, "");
	line_num(c, "size", im->bytes, " bytes");
	if (im->sha256)
		line(c, "SHA-256", im->sha256);
	printf("%-18s %" PRIu64 " bytes in %zu run%s\n", "physical memory", im->physical_bytes, im->n_runs, im->n_runs == 1 ? "" : "s");
	for (size_t i = 0; i < im->n_runs; i++) {
		if (i == 32 && c->level < 1) {
			printf("%-18s ... %zu more; -v shows all\n", "", im->n_runs - i);
			break;
		}
		printf("%-18s 0x%012" PRIx64 " .. 0x%012" PRIx64 "\n", i ? "" : "runs", im->runs[i].start,
		       im->runs[i].start + im->runs[i].bytes);
	}
}

static void print_inferred(struct cli *c, const struct report_inferred *f)
{
	char s[320];

	if (f->contexts)
		snprintf(s, sizeof(s), "%u logger contexts, found by %s", f->contexts, f->from);
	else
		snprintf(s, sizeof(s), "%s", f->from);
	line(c, "inferred from", s);
	for (size_t i = 0; i < f->n; i++) {
		const struct report_member *m = &f->member[i];

		snprintf(s, sizeof(s), "0x%" PRIx32 ", %u of %u agree, fits at %u more: %s", m->offset, m->agree, m->of, m->others, m->how);
		line(c, m->member, s);
	}
}

static void print_kernel(struct cli *c, const struct report_kernel *k)
{
	char s[160], guid[GUID_STR];

	snprintf(s, sizeof(s), "Windows build %u, %s", k->build, k->arch ? k->arch : "unknown architecture");
	line(c, "kernel", k->build ? s : "Windows, build unknown");
	if (k->version)
		line(c, "version", k->version);
	line_hex(c, "kernel base", k->has_base, k->base);
	line_hex(c, "DTB", k->has_dtb, k->dtb);
	line_num(c, "processors", k->cpus, "");
	line_time(c, "system time", k->system_time);
	line_time(c, "boot time", k->boot_time);
	guid_text(&k->pdb_guid, guid);
	snprintf(s, sizeof(s), "%s %s age %u", k->pdb_name ? k->pdb_name : "", guid, k->pdb_age);
	line(c, "PDB", k->has_pdb ? s : "");
	if (k->has_roots && c->level > 0) {
		snprintf(s, sizeof(s), "0x%" PRIx64 "%s", k->kdbg, k->kdbg_encoded ? ", encoded" : "");
		line(c, "debugger block", k->kdbg ? s : "none");
		snprintf(s, sizeof(s), "0x%" PRIx64 ", by %s", k->debugger_data, k->debugger_data_by);
		line(c, "EtwpDebuggerData", k->debugger_data ? s : "none");
	}
	snprintf(s, sizeof(s), "%s (by %s)", k->profile ? k->profile : "", k->match ? k->match : "unknown");
	line(c, "profile", k->profile ? s : "none");
	if (k->inferred)
		print_inferred(c, k->inferred);
}

/* Nothing to recover from: says why. */
static int verdict(struct cli *c, struct job *j)
{
	const struct image *im = job_image(j);

	if (im->kernel || secondary_present(im->dump))
		return losses_status(c, j);
	cli_error(c, "%s: %s", c->arg[0], im->kernel_err.code ? im->kernel_err.msg : "neither a Windows kernel nor an ETW block in it");
	return EXIT_NOKERNEL;
}

int cmd_info(struct cli *c)
{
	const struct report_image *image;
	const struct report_kernel *kernel;
	struct jsonw w;
	struct buf b;
	struct job *j;
	struct err e;
	int status = open_image(c, &j, false);

	if (status)
		return status;
	if (cli_flag(c, OPT_JSON)) {
		status = document_begin(c, j, &w, &b);
		if (!status)
			status = document_end(c, j, &w, &b);
	} else if (job_facts(j, &image, &kernel, &e) < 0) {
		status = cli_fail(c, &e, false);
	} else {
		print_image(c, image);
		if (kernel)
			print_kernel(c, kernel);
		line(c, "ETW block", secondary_present(job_image(j)->dump) ? "yes, in the dump's secondary data" : "none");
	}
	if (!status)
		status = verdict(c, j);
	job_close(j);
	return status;
}
