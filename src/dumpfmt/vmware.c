/* vmware.c - VMware's suspended machines and snapshots: .vmem (memory without a header) with .vmss or .vmsn (the state: where its pieces stand), and
 * states with the memory inside. Facts: docs/formats/vmware.md. */
#include "vmware.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer.h"
#include "rd.h"
#include "unwrap.h"
#include "vmwarebeside.h"
#include "vmwareregion.h"

#define PAGE         4096u
#define HEADER       12u
#define GROUP        80u
#define GROUPS_MAX   4096u
#define TAGS_MAX     (1u << 20) /* of one group */
#define REGIONS_MAX  1024u      /* the product makes three at most */
#define CPUS_MAX     256u
#define PARTS_LOOK   64u        /* parts behind those that the state counts */
#define STATE_LOOK   (1u << 22) /* bytes in which the part on memory is looked for */
#define HOLE_AT      (UINT64_C(3) << 30)
#define HOLE_END     (UINT64_C(4) << 30)
#define HOLE_SAMPLES 256u
#define ARM64_RAM    UINT64_C(0x80000000)
#define PLATFORM_ARM 3u

struct state { /* what a state file says */
	struct input *in;
	struct notes *notes;
	bool wide; /* sizes of large data have 64 bits */
	struct vmware_region region[REGIONS_MAX];
	uint32_t n_regions, claimed;
	bool has_claimed;
	bool has_memory_part;    /* a tag of the part "memory" was met */
	bool has_inside, packed; /* memory in the file itself */
	uint64_t inside_off, inside_len;
	uint64_t mem_mb;
	uint32_t platform;
	struct hint_cpu cpu[CPUS_MAX];
	uint32_t n_cpus;
};

static bool is_state(const uint8_t *head, size_t n)
{
	uint32_t m = n >= HEADER ? le32(head) : 0;

	return m == 0xbed2bed0 || m == 0xbad1bad1 || m == 0xbed2bed2 || m == 0xbed3bed3;
}

/* ---- tags -------------------------------------------------------------------------------------------------------------------------------------- */

struct tag {
	char name[256];
	uint32_t index[3];
	unsigned n_index;
	uint64_t data, len; /* where its bytes stand */
	uint64_t mem_len;   /* unpacked */
	uint64_t end;
};

/* The tag at off. 1: there is one; 0: the end mark, or the group's end; ERR_FORMAT: what stands there is no tag. */
static int read_tag(const struct state *s, uint64_t off, uint64_t end, struct tag *t)
{
	uint8_t b[2 + 255 + 12 + 18];
	int64_t got = off < end ? input_read(s->in, off, b, sizeof(b), NULL) : 0;
	struct rd r = rd_init(b, got > 0 ? (size_t)got : 0);
	uint32_t flags = rd_u8(&r, 0), len = rd_u8(&r, 1), at = 2;

	if (r.bad || (!flags && !len))
		return 0;
	memset(t, 0, sizeof(*t));
	rd_copy(&r, at, t->name, len);
	at += len;
	t->n_index = flags >> 6;
	for (unsigned i = 0; i < t->n_index; i++, at += 4)
		t->index[i] = rd_u32(&r, at);
	t->len = t->mem_len = flags & 0x3f;
	if (t->len >= 62) {
		t->len = s->wide ? rd_u64(&r, at) : rd_u32(&r, at);
		t->mem_len = s->wide ? rd_u64(&r, at + 8) : rd_u32(&r, at + 4);
		at += s->wide ? 16 : 8;
		at += 2u + rd_u16(&r, at);
	}
	t->data = off + at;
	/* only large data may go past the end of a file that was cut */
	if (r.bad || !len || t->len > UINT64_MAX / 4 || (t->len < 62 && t->data + t->len > input_size(s->in)))
		return ERR_FORMAT;
	t->end = t->data + t->len;
	return 1;
}

/* The number that a tag holds: up to 8 bytes. */
static uint64_t value(const struct state *s, const struct tag *t)
{
	uint8_t b[8] = {0};

	input_read(s->in, t->data, b, t->len < 8 ? (size_t)t->len : 8, NULL);
	return le64(b);
}

static void memory_tag(struct state *s, const struct tag *t)
{
	static const struct {
		const char *name;
		unsigned has;
	} parts[] = {{"regionPageNum", VMWARE_HAS_PAGE}, {"regionPPN", VMWARE_HAS_PPN}, {"regionSize", VMWARE_HAS_SIZE}};

	s->has_memory_part = true;
	if (strcmp(t->name, "regionsCount") == 0) {
		s->claimed = (uint32_t)value(s, t);
		s->has_claimed = true;
	} else if (strcmp(t->name, "Memory") == 0 && t->len >= PAGE && !s->has_inside) {
		s->has_inside = true;
		s->inside_off = t->data;
		s->inside_len = t->len;
		s->packed = t->mem_len != t->len;
	}
	for (unsigned k = 0; k < 3; k++) {
		uint32_t i = t->index[0];

		if (strcmp(t->name, parts[k].name) != 0 || t->n_index != 1 || !t->len)
			continue;
		if (i >= REGIONS_MAX) {
			notes_add(s->notes, &NOTE(NOTE_LIMIT_REACHED), "the state names region %u of memory: more than %u are not read", i,
				  REGIONS_MAX);
			continue;
		}
		*(k == 0 ? &s->region[i].page : k == 1 ? &s->region[i].ppn : &s->region[i].pages) = value(s, t);
		s->region[i].has |= parts[k].has;
		if (i >= s->n_regions)
			s->n_regions = i + 1;
	}
}

static void cpu_tag(struct state *s, const struct tag *t)
{
	uint32_t cpu = t->index[0], reg = t->index[1];
	bool wide = strcmp(t->name, "CR64") == 0;

	if ((!wide && strcmp(t->name, "CR") != 0) || t->n_index != 2 || cpu >= CPUS_MAX || (reg != 3 && reg != 4))
		return;
	if (cpu >= s->n_cpus)
		s->n_cpus = cpu + 1;
	if (reg == 3 && (wide || !s->cpu[cpu].has_cr3)) {
		s->cpu[cpu].cr3 = value(s, t);
		s->cpu[cpu].has_cr3 = true;
	} else if (reg == 4 && (wide || !s->cpu[cpu].has_cr4)) {
		s->cpu[cpu].cr4 = value(s, t);
		s->cpu[cpu].has_cr4 = true;
	}
}

static void checkpoint_tag(struct state *s, const struct tag *t)
{
	if (strcmp(t->name, "memSize") == 0)
		s->mem_mb = value(s, t);
	else if (strcmp(t->name, "Platform") == 0)
		s->platform = (uint32_t)value(s, t);
}

static void read_group(struct state *s, const char *name, uint64_t off, uint64_t len)
{
	uint64_t size = input_size(s->in), end = off > size ? size : len && len < size - off ? off + len : size;
	void (*take)(struct state * st, const struct tag *t);
	struct tag t;
	int rc = 1;

	take = strcmp(name, "memory") == 0       ? memory_tag
	       : strcmp(name, "cpu") == 0        ? cpu_tag
	       : strcmp(name, "Checkpoint") == 0 ? checkpoint_tag
						 : NULL;
	if (!take)
		return;
	if (off >= size || len > size - off)
		notes_add(s->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, off, 0), "the state file ends before its part \"%s\"", name);
	for (uint32_t i = 0; i < TAGS_MAX; i++, off = t.end) {
		rc = read_tag(s, off, end, &t);
		if (rc <= 0)
			break;
		take(s, &t);
	}
	if (rc < 0)
		notes_add(s->notes, &NOTE_AT(NOTE_LIST_BROKEN, off, 0), "the state's part \"%s\" is damaged at file offset %llu", name,
			  (unsigned long long)off);
}

/* The table of parts is damaged: "memory" is among the parts behind those it counts, or its row of tags is where the name of its first one stands. The
 * bytes before a memory that stands in the state are few. */
static void find_memory_part(struct state *s, uint32_t n)
{
	static const char first[] = "\014regionsCount";
	uint8_t h[GROUP], *p;
	int64_t got;

	for (uint32_t i = n; i < n + PARTS_LOOK && !s->has_memory_part; i++) {
		if (input_read_all(s->in, HEADER + (uint64_t)i * GROUP, h, GROUP, NULL) < 0)
			break;
		if (memcmp(h, "memory", 7) == 0 && le64(h + 64) < input_size(s->in))
			read_group(s, "memory", le64(h + 64), le64(h + 72));
	}
	p = s->has_memory_part ? NULL : malloc(STATE_LOOK);
	got = p ? input_read(s->in, 0, p, STATE_LOOK, NULL) : 0;
	for (int64_t i = 1; i + (int64_t)sizeof(first) <= got && !s->has_memory_part; i++)
		if (memcmp(p + i, first, sizeof(first) - 1) == 0)
			read_group(s, "memory", (uint64_t)i - 1, 0);
	free(p);
	if (s->has_memory_part)
		notes_add(s->notes, &NOTE(NOTE_CONTEXT_BAD),
			  "the state's table of parts is damaged: what it says on memory was found by its form");
	else
		notes_add(s->notes, &NOTE(NOTE_CONTEXT_BAD),
			  "the state has no part \"memory\": where memory stands is a guess (in one piece from 0)");
}

/* Reads a state file. ERR_NOTMINE: it is none. */
static int read_state(struct state **out, struct input *in, struct notes *notes, struct err *e)
{
	struct state *s;
	uint8_t h[GROUP];
	uint32_t n;

	if (input_read_all(in, 0, h, HEADER, NULL) < 0 || !is_state(h, HEADER))
		return err_set(e, ERR_NOTMINE, "no VMware state file");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	s->in = in;
	s->notes = notes;
	s->wide = (le32(h) & 0xf) != 0;
	n = le32(h + 8);
	if (n > GROUPS_MAX) {
		notes_add(notes, &NOTE(NOTE_CONTEXT_BAD), "the state says that it has %u parts", n);
		n = GROUPS_MAX;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (input_read_all(in, HEADER + (uint64_t)i * GROUP, h, GROUP, NULL) < 0)
			break;
		h[63] = 0;
		read_group(s, (const char *)h, le64(h + 64), le64(h + 72));
	}
	if (!s->has_memory_part)
		find_memory_part(s, n);
	*out = s;
	return 0;
}

/* ---- regions -> runs ------------------------------------------------------------------------------------------------------------------------- */

static void take_hints(struct dump *d, const struct state *s)
{
	struct hints *h = &d->hints;

	if (s->platform == PLATFORM_ARM)
		h->machine = MACHINE_ARM64;
	h->n_cpus_claimed = s->n_cpus;
	for (uint32_t i = 0; i < s->n_cpus; i++) {
		struct hint_cpu *c = hints_add_cpu(h);

		if (c)
			*c = s->cpu[i];
	}
	if (s->n_cpus && s->cpu[0].has_cr3 && s->cpu[0].cr3) {
		h->has_dtb = true;
		h->dtb = s->cpu[0].cr3;
	}
}

/* Bytes that the regions speak of. */
static uint64_t region_bytes(const struct state *s)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < s->n_regions; i++)
		if (s->region[i].has == (VMWARE_HAS_PAGE | VMWARE_HAS_PPN | VMWARE_HAS_SIZE) && s->region[i].pages < UINT64_C(1) << 40)
			sum += s->region[i].pages * PAGE;
	return sum;
}

/* The regions of `mem`, whose first byte stands at `base`. */
static int add_regions(struct dump *d, struct state *s, struct input *mem, uint64_t base, uint64_t len, struct err *e)
{
	uint64_t lost;
	int rc = 0;

	vmware_settle_regions(s->region, s->n_regions, len, d->notes);
	if (s->has_claimed && s->claimed != s->n_regions)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the state says that memory has %u regions, and describes %u", s->claimed,
			  s->n_regions);
	for (uint32_t i = 0; rc == 0 && i < s->n_regions; i++) {
		const struct vmware_region *r = &s->region[i];

		if (!vmware_whole_region(r)) {
			notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "region %u of memory is not described in full, or not as it could be",
				  i);
			continue;
		}
		rc = phys_add_file(d->phys, r->ppn * PAGE, r->pages * PAGE, mem, base + r->page * PAGE, e);
	}
	if (rc < 0 || !s->n_regions)
		return rc;
	lost = vmware_in_no_region(s->region, s->n_regions, len);
	if (lost)
		notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "%llu bytes of the memory file are in no region of the state",
			  (unsigned long long)lost);
	return 0;
}

/* Memory that stands in one piece: up to the hole below 4 GiB as it is, the rest above the hole. */
static int add_guessed(struct dump *d, struct input *mem, uint64_t base, uint64_t len, struct err *e)
{
	int rc = phys_add_file(d->phys, 0, len < HOLE_AT ? len : HOLE_AT, mem, base, e);

	if (rc < 0 || len <= HOLE_AT)
		return rc;
	d->hints.needs_sidecar = true;
	snprintf(d->advice, sizeof(d->advice),
		 "memory above 3 GiB without its .vmss or .vmsn: the hole is taken to be at 3 to 4 GiB; --sidecar FILE gives the real "
		 "layout");
	notes_add(d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, HOLE_END, len - HOLE_AT),
		  "where memory above 3 GiB stands is a guess: the machine's .vmss or .vmsn is missing");
	return phys_add_file(d->phys, HOLE_END, len - HOLE_AT, mem, base + HOLE_AT, e);
}

static int add_memory(struct dump *d, struct state *s, struct input *mem, uint64_t base, uint64_t len, struct err *e)
{
	int rc;

	take_hints(d, s);
	snprintf(d->format, sizeof(d->format), "vmware");
	rc = add_regions(d, s, mem, base, len, e);
	if (rc < 0 || phys_n_runs(d->phys))
		return rc;
	/* no region: all of it in one piece, as machines with little memory have it */
	if (s->platform == PLATFORM_ARM)
		return phys_add_file(d->phys, ARM64_RAM, len, mem, base, e);
	return add_guessed(d, mem, base, len, e);
}

/* ---- companions -------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t memory_bytes(const struct state *s)
{
	return s->n_regions ? region_bytes(s) : s->mem_mb << 20;
}

static bool memory_fits(const void *ctx, struct input *in)
{
	const struct state *s = ctx;
	const struct layer_codec *codec;

	/* of a packed one the size is not known before all of it is unpacked: under another name it is not looked for */
	if (layer_find(in, &codec, NULL, NULL) < 0 || codec)
		return false;
	return input_size(in) == memory_bytes(s);
}

static bool state_fits(const void *ctx, struct input *in)
{
	struct state *s;
	bool fits;

	if (read_state(&s, in, NULL, NULL) < 0)
		return false;
	fits = input_size(ctx) == memory_bytes(s);
	free(s);
	return fits;
}

/* Reads the state and registers d->in as its memory; takes `in` over. */
static int open_with_state(struct dump *d, struct input *in, struct err *e)
{
	struct state *s = NULL;
	int rc = dump_keep(d, in, e);

	if (rc < 0)
		return rc;
	rc = read_state(&s, in, d->notes, e);
	if (rc < 0)
		return rc;
	d->n_segments++;
	rc = add_memory(d, s, d->in, 0, input_size(d->in), e);
	free(s);
	return rc < 0 ? rc : 1;
}

/* A file that may be a state, perhaps packed, becomes one: true. Else it is closed, and *e says why. */
static bool open_packed_state(struct dump *d, struct input **in, struct err *e)
{
	uint8_t h[HEADER];

	if (dump_unwrap_beside(d, in, false, e) == 0) {
		if (input_read_all(*in, 0, h, HEADER, NULL) == 0 && is_state(h, HEADER))
			return true;
		err_set(e, ERR_USAGE, "%s: no VMware state file (.vmss, .vmsn)", input_name(*in));
	}
	input_close(*in);
	return false;
}

/* A raw image with its hole has zeros where the hole is; the memory of a machine of that size has not. */
static bool has_hole(struct input *in)
{
	static const uint8_t zeros[PAGE];
	uint64_t size = input_size(in), end = size < HOLE_END ? size : HOLE_END,
		 step = (end - HOLE_AT) / HOLE_SAMPLES & ~(uint64_t)(PAGE - 1);
	uint8_t p[PAGE];

	for (uint64_t at = HOLE_AT; step && at + PAGE <= end; at += step)
		if (input_read_all(in, at, p, PAGE, NULL) < 0 || memcmp(p, zeros, PAGE) != 0)
			return false;
	return true;
}

static const char *const states[] = {".vmss", ".vmsn"};

void vmware_state_name(struct input *in, void (*fn)(void *ctx, const char *path), void *ctx)
{
	const char *name = input_name(in);
	struct input *state;

	if (!vmware_has_ending(name, ".vmem"))
		return;
	for (unsigned i = 0; i < 2; i++)
		if (vmware_open_beside(&state, name, states[i]) == 0) {
			input_close(state);
			return;
		}
	if (vmware_open_fitting(&state, name, states, state_fits, in) < 0)
		return;
	fn(ctx, input_name(state));
	input_close(state);
}

int vmware_open_memory(struct dump *d, struct err *e)
{
	const char *name = input_name(d->in);
	struct input *in;
	struct err why;
	int rc;

	if (d->opts.sidecar) {
		rc = input_open(&in, d->opts.sidecar, e);
		if (rc < 0)
			return rc;
		if (open_packed_state(d, &in, &why))
			return open_with_state(d, in, e);
		return err_set(e, why.code, "--sidecar %s", why.msg);
	}
	if (!vmware_is_named(name, ".vmem"))
		return 0;
	for (unsigned i = 0; i < 2; i++)
		if (vmware_open_beside(&in, name, states[i]) == 0) {
			if (open_packed_state(d, &in, &why))
				return open_with_state(d, in, e);
			notes_add(d->notes, &NOTE(NOTE_CONTEXT_BAD), "the state file beside the memory is not used: %s", why.msg);
		}
	if (vmware_open_fitting(&in, name, states, state_fits, d->in) == 0)
		return open_with_state(d, in, e);
	if (input_size(d->in) <= HOLE_AT || has_hole(d->in))
		return 0;
	snprintf(d->format, sizeof(d->format), "vmware");
	rc = add_guessed(d, d->in, 0, input_size(d->in), e);
	return rc < 0 ? rc : 1;
}

/* ---- a state file is the image ---------------------------------------------------------------------------------------------------------------- */

static bool probe(const uint8_t *head, size_t n)
{
	return is_state(head, n);
}

static int find_memory(struct input **out, const struct dump *d, const struct state *s, struct err *e)
{
	static const char *const memories[] = {".vmem", ".vmem"};

	if (d->opts.sidecar)
		return input_open(out, d->opts.sidecar, e);
	if (vmware_open_beside(out, input_name(d->in), ".vmem") == 0 || vmware_open_beside(out, input_name(d->in), ".vmem.001") == 0)
		return 0;
	if (vmware_open_fitting(out, input_name(d->in), memories, memory_fits, s) == 0)
		return 0;
	return err_set(e, ERR_NOIMAGE, "a VMware state file without memory in it: its .vmem is wanted, beside it or with --sidecar");
}

static int open_parts(struct dump *d, struct state *s, struct err *e)
{
	struct input *mem, *state = d->in;
	int rc;

	if (s->has_inside && s->packed)
		return err_set(e, ERR_UNSUPPORTED, "a VMware state file with packed memory in it");
	if (s->has_inside) {
		uint64_t size = input_size(d->in), len = s->inside_off < size ? size - s->inside_off : 0;

		if (len < s->inside_len)
			notes_add(d->notes, &NOTE(NOTE_IMAGE_TRUNCATED), "the state file ends inside its memory: %llu bytes are missing",
				  (unsigned long long)(s->inside_len - len));
		return add_memory(d, s, d->in, s->inside_off, len < s->inside_len ? len : s->inside_len, e);
	}
	rc = find_memory(&mem, d, s, e);
	if (rc < 0)
		return rc;
	/* the memory is the evidence: what it is packed with counts, not what the state is */
	d->compression[0] = 0;
	rc = dump_unwrap_beside(d, &mem, true, e);
	d->in = mem;
	if (rc < 0) {
		input_close(state);
		return rc;
	}
	rc = dump_keep(d, state, e);
	if (rc < 0)
		return rc;
	d->n_segments++;
	return add_memory(d, s, mem, 0, input_size(mem), e);
}

static int open_state(struct dump *d, struct err *e)
{
	struct state *s = NULL;
	int rc = read_state(&s, d->in, d->notes, e);

	if (rc < 0)
		return rc;
	rc = open_parts(d, s, e);
	free(s);
	return rc;
}

const struct dumpfmt dumpfmt_vmware = {"vmware", probe, open_state, NULL};
