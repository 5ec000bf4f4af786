/* job.c - opening an image with its helpers, and its facts for the report. See job.h */
#include "job.h"

#include <stdlib.h>
#include <string.h>

#include "infer.h"

#define HASH_CHUNK (1u << 20)

struct job {
	struct image *image;
	struct profset *profiles;
	struct input *pagefile[VM_PAGEFILES_MAX];
	size_t n_pagefiles;
	char *path;
	struct report_image facts;
	struct report_kernel kernel;
	struct report_inferred inferred;
	struct report_member member[INFER_MEMBERS];
	struct report_run *runs;
	char sha256[SHA256_HEX];
	bool hashed;
};

static int add_profiles(struct job *j, const struct job_opts *o, struct err *e)
{
	int rc = profset_new(&j->profiles, e);

	for (size_t i = 0; rc == 0 && i < o->n_symbols; i++)
		rc = profset_add_path(j->profiles, o->symbols[i], e);
	if (rc < 0)
		return rc;
	if (o->no_builtin)
		profset_disable_builtin(j->profiles);
	if (o->no_builtin_build)
		profset_disable_builtin_build(j->profiles);
	return 0;
}

static int add_pagefiles(struct job *j, const struct job_opts *o, struct err *e)
{
	if (o->n_pagefiles > VM_PAGEFILES_MAX)
		return err_set(e, ERR_USAGE, "--pagefile: at most %d", VM_PAGEFILES_MAX);
	for (size_t i = 0; i < o->n_pagefiles; i++) {
		int rc = input_open(&j->pagefile[i], o->pagefiles[i], e);

		if (rc < 0)
			return rc;
		j->n_pagefiles++;
	}
	return 0;
}

int job_open(struct job **out, const char *path, const struct job_opts *o, struct err *e)
{
	struct image_opts io = {0};
	struct job *j = calloc(1, sizeof(*j));
	int rc;

	if (!j || !(j->path = strdup(path))) {
		free(j);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	rc = add_profiles(j, o, e);
	if (rc == 0)
		rc = add_pagefiles(j, o, e);
	if (rc == 0) {
		io.dump.sidecar = o->sidecar;
		io.dump.spill = o->spill;
		io.kernel.profiles = j->profiles;
		io.kernel.profile_name = o->profile;
		io.kernel.has_dtb = o->has_dtb;
		io.kernel.dtb = o->dtb;
		io.kernel.pagefiles = j->pagefile;
		io.kernel.n_pagefiles = j->n_pagefiles;
		io.kernel.need_profile = o->need_profile;
		rc = image_open(&j->image, path, &io, e);
	}
	if (rc < 0) {
		job_close(j);
		return rc;
	}
	*out = j;
	return 0;
}

void job_close(struct job *j)
{
	if (!j)
		return;
	image_close(j->image);
	for (size_t i = 0; i < j->n_pagefiles; i++)
		input_close(j->pagefile[i]);
	profset_free(j->profiles);
	free(j->runs);
	free(j->path);
	free(j);
}

struct image *job_image(struct job *j)
{
	return j->image;
}

static const char *arch_of(const struct image *im)
{
	if (im->kernel) {
		switch (vm_arch(im->kernel->vm)) {
		case VM_X64:
		case VM_X64_LA57:
			return "x64";
		case VM_X86:
		case VM_X86_PAE:
			return "x86";
		case VM_ARM64:
			return "arm64";
		}
	}
	switch (im->dump->hints.machine) {
	case MACHINE_X64:
		return "x64";
	case MACHINE_X86:
		return "x86";
	case MACHINE_ARM64:
		return "arm64";
	case MACHINE_UNKNOWN:
		break;
	}
	return NULL;
}

static const struct report_inferred *inferred_facts(struct job *j, const struct inferred *f)
{
	j->inferred = (struct report_inferred){f->roots, f->contexts, j->member, f->n};
	for (size_t i = 0; i < f->n; i++) {
		const struct infer_member *m = &f->member[i];

		j->member[i] = (struct report_member){prof_field_member(m->field), m->off, m->agree, m->of, m->others, m->how};
	}
	return &j->inferred;
}

static void fill_kernel(struct job *j)
{
	const struct image *im = j->image;
	const struct kernel *k = im->kernel;
	const struct hints *h = &im->dump->hints;
	struct report_kernel *r = &j->kernel;

	memset(r, 0, sizeof(*r));
	r->build = k && k->build ? k->build : im->sys.build ? im->sys.build : h->build;
	r->arch = arch_of(im);
	r->cpus = im->sys.n_cpus ? im->sys.n_cpus : k ? k->n_cpus : h->n_cpus_claimed;
	r->system_time = im->sys.system_time ? im->sys.system_time : k ? k->system_time : h->system_time;
	r->boot_time = im->sys.boot_time ? im->sys.boot_time : k ? k->boot_time : 0;
	r->has_dtb = k || h->has_dtb;
	r->dtb = k ? vm_dtb(k->vm) : h->dtb;
	if (!k)
		return;
	r->version = k->version[0] ? k->version : NULL;
	r->has_base = true;
	r->base = k->base;
	r->has_pdb = k->pdb_name[0] != 0;
	r->pdb_name = k->pdb_name;
	r->pdb_guid = k->pdb_guid;
	r->pdb_age = k->pdb_age;
	r->has_roots = true;
	r->kdbg = k->kdbg;
	r->kdbg_encoded = k->kdbg_encoded;
	r->debugger_data = k->debugger_data;
	r->debugger_data_by = k->debugger_data_by;
	r->tables_rebuilt = kernel_tables_rebuilt(k);
	r->profile = k->has_profile ? k->prof.name : NULL;
	r->match = k->has_profile ? k->match : NULL;
	r->inferred = k->inferred ? inferred_facts(j, k->inferred) : NULL;
}

int job_facts(struct job *j, const struct report_image **image, const struct report_kernel **kernel, struct err *e)
{
	const struct dump *d = j->image->dump;
	struct report_image *f = &j->facts;

	if (!j->runs) {
		size_t n = phys_n_runs(d->phys);

		j->runs = calloc(n + 1, sizeof(*j->runs));
		if (!j->runs)
			return err_set(e, ERR_NOMEM, "out of memory");
		for (size_t i = 0; i < n; i++) {
			struct report_run *last = f->n_runs ? &j->runs[f->n_runs - 1] : NULL;
			struct phys_run r;

			if (!phys_run(d->phys, i, &r))
				continue;
			/* runs of physical memory: where they stand in the file may part them, here it does not matter */
			if (last && last->start + last->bytes == r.pa)
				last->bytes += r.len;
			else
				j->runs[f->n_runs++] = (struct report_run){r.pa, r.len};
		}
	}
	f->path = j->path;
	f->format = d->format;
	f->bytes = input_size(d->file);
	f->compression = d->compression[0] ? d->compression : NULL;
	f->segments = d->n_segments;
	f->physical_bytes = phys_bytes(d->phys);
	f->sha256 = j->hashed ? j->sha256 : NULL;
	f->runs = j->runs;
	fill_kernel(j);
	*image = f;
	*kernel = j->image->kernel || d->hints.is_crash_dump ? &j->kernel : NULL;
	return 0;
}

/* What is hashed side by side: SHA-256 for the report, and what the container says its bytes hash to. */
struct hashing {
	struct sha256 *sha256;
	struct hash *stored[2];
};

static int start_hashing(struct hashing *h, const struct dump *d, struct err *e)
{
	memset(h, 0, sizeof(*h));
	/* a libcrypto without MD5 leaves that one unverified */
	if (d->has_md5)
		hash_new(&h->stored[0], HASH_MD5, NULL);
	if (d->has_sha1)
		hash_new(&h->stored[1], HASH_SHA1, NULL);
	return sha256_new(&h->sha256, e);
}

/* `whole`: all bytes went in. A stored hash that differs is a note. */
static void end_hashing(struct job *j, struct hashing *h, bool whole)
{
	static const char *const names[] = {"MD5", "SHA-1"};
	const struct dump *d = j->image->dump;
	const uint8_t *want[] = {d->md5, d->sha1};

	for (unsigned i = 0; i < 2; i++) {
		uint8_t got[HASH_MAX];
		size_t n = h->stored[i] ? hash_end(h->stored[i], got) : 0;

		if (whole && n && memcmp(got, want[i], n) != 0)
			notes_add(&j->image->notes, &NOTE(NOTE_CONTEXT_BAD), "the evidence does not have the %s that is stored with it",
				  names[i]);
	}
	if (h->sha256)
		sha256_end(h->sha256, j->sha256);
	j->hashed = whole;
}

/* Hashes bytes [off, off + n) into h. 0: all; 1: part of it is not there or can't be read. */
static int hash_some(struct hashing *h, struct input *in, uint64_t off, uint8_t *chunk, int64_t *n, struct err *e)
{
	bool there;
	uint64_t len = input_extent(in, off, HASH_CHUNK, &there);

	*n = there ? input_read(in, off, chunk, (size_t)len, e) : 0;
	if (*n == ERR_FORMAT || *n == ERR_FAULT || !there)
		return 1;
	if (*n <= 0)
		return *n < 0 ? (int)*n : err_set(e, ERR_TRUNC, "ended while it was hashed");
	sha256_add(h->sha256, chunk, (size_t)*n);
	for (unsigned i = 0; i < 2; i++)
		if (h->stored[i])
			hash_add(h->stored[i], chunk, (size_t)*n);
	return 0;
}

int job_hash(struct job *j, bool (*stop)(void *), void (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx, struct err *e)
{
	struct input *in = j->image->dump->file;
	uint8_t *chunk = malloc(HASH_CHUNK);
	struct hashing h = {0};
	int64_t n = 0;
	int rc = chunk ? start_hashing(&h, j->image->dump, e) : err_set(e, ERR_NOMEM, "out of memory");

	for (uint64_t off = 0; rc == 0 && off < input_size(in); off += (uint64_t)n) {
		if (stop && stop(ctx)) {
			rc = err_set(e, ERR_INTR, "%s: interrupted", j->path);
			break;
		}
		rc = hash_some(&h, in, off, chunk, &n, e);
		if (rc < 0)
			err_prepend(e, "%s", j->path);
		if (rc == 1)
			notes_add(&j->image->notes, &NOTE(NOTE_IMAGE_TRUNCATED),
				  "a part of the evidence is missing or damaged, from offset %llu on: it has no hash",
				  (unsigned long long)off);
		if (progress && rc == 0)
			progress(ctx, off + (uint64_t)n, input_size(in));
	}
	end_hashing(j, &h, rc == 0);
	free(chunk);
	return rc < 0 ? rc : 0;
}
