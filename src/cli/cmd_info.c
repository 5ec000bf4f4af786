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

/* What lies between runs, and is in no file: devices' addresses, or memory that the container left out. */
static void print_holes(const struct report_image *im)
{
	uint64_t bytes = 0;
	size_t n = 0;

	for (size_t i = 1; i < im->n_runs; i++) {
		uint64_t end = im->runs[i - 1].start + im->runs[i - 1].bytes;

		n += im->runs[i].start > end;
		bytes += im->runs[i].start - end;
	}
	if (n)
		printf("%-18s %zu between runs, %" PRIu64 " bytes\n", "holes", n, bytes);
}

/* What the container says of the processors when the image was made. */
static void print_contexts(struct cli *c, const struct hints *h)
{
	for (size_t i = 0; i < h->n_cpus; i++) {
		const struct hint_cpu *p = &h->cpus[i];
		char what[32];

		if (i == 32 && c->level < 1) {
			printf("%-18s ... %zu more; -v shows all\n", "", h->n_cpus - i);
			break;
		}
		snprintf(what, sizeof(what), "CPU context %zu", i);
		printf("%-18s", what);
		if (p->has_cr3)
			printf(" CR3 0x%" PRIx64, p->cr3);
		if (p->has_cr4)
			printf(" CR4 0x%" PRIx64, p->cr4);
		if (p->has_idt)
			printf(" IDT 0x%" PRIx64, p->idt_base);
		if (p->has_kernel_gs)
			printf(" kernel GS 0x%" PRIx64, p->kernel_gs_base);
		printf("\n");
	}
}

static void context_number(struct jsonw *w, const char *key, bool has, uint64_t v)
{
	if (has)
		jsonw_hex(w, key, v);
	else
		jsonw_null(w, key);
}

static void put_contexts(struct jsonw *w, const struct hints *h)
{
	jsonw_array(w, "cpu_contexts", false);
	for (size_t i = 0; i < h->n_cpus; i++) {
		const struct hint_cpu *p = &h->cpus[i];

		jsonw_object(w, NULL, true);
		context_number(w, "cr3", p->has_cr3, p->cr3);
		context_number(w, "cr4", p->has_cr4, p->cr4);
		context_number(w, "idt", p->has_idt, p->idt_base);
		context_number(w, "kernel_gs", p->has_kernel_gs, p->kernel_gs_base);
		jsonw_end(w);
	}
	jsonw_end(w);
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
	if (k->tables_rebuilt)
		line_num(c, "tables rebuilt", k->tables_rebuilt, "");
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
		if (!status) {
			put_contexts(&w, &job_image(j)->dump->hints);
			status = document_end(c, j, &w, &b);
		}
	} else if (job_facts(j, &image, &kernel, &e) < 0) {
		status = cli_fail(c, &e, false);
	} else {
		print_image(c, image);
		print_holes(image);
		print_contexts(c, &job_image(j)->dump->hints);
		if (kernel)
			print_kernel(c, kernel);
		line(c, "ETW block", secondary_present(job_image(j)->dump) ? "yes, in the dump's secondary data" : "none");
	}
	if (!status)
		status = verdict(c, j);
	job_close(j);
	return status;
}
