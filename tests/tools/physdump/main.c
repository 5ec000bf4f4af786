/* physdump - an image's physical memory as the containers' reader sees it: physdump [-o FLAT] [-sidecar FILE] [-spill DIR] [-hints] IMAGE
 *
 * Prints the format, the runs and the SHA-256 over every page that is not all zeros (its physical address, 8 bytes little-endian, then its
 * bytes): the same for containers that keep zero pages and those that drop them. With -o memory is written as a flat, sparse file. With -hints only what the container says of the machine is printed. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dumpfmt.h"
#include "rd.h"

#define STEP 65536u
#define PAGE 4096u

static const uint8_t zeros[STEP];

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "physdump: %s: %s\n", what, why);
	exit(1);
}

/* Bytes [at, at + n) of flat memory. A page that can't be read is an error here: this tool is for whole images. */
static void piece(const struct phys *p, uint64_t at, uint8_t *buf, size_t n)
{
	size_t done = 0;

	memset(buf, 0, n);
	while (done < n) {
		uint64_t have = phys_present(p, at + done, n - done);

		if (have && phys_read(p, at + done, buf + done, (size_t)have) < 0)
			fail("memory", "a page that should be there can't be read");
		done += have ? (size_t)have : 4096 - (size_t)((at + done) % 4096);
	}
}

static void dump(const struct phys *p, FILE *out)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint64_t end = phys_end(p);
	static uint8_t buf[STEP];
	unsigned char sum[32];

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	for (uint64_t at = 0; at < end; at += STEP) {
		size_t n = end - at < STEP ? (size_t)(end - at) : STEP;

		piece(p, at, buf, n);
		for (size_t i = 0; i < n; i += PAGE) {
			size_t step = n - i < PAGE ? n - i : PAGE;
			uint8_t pa[8];

			if (memcmp(buf + i, zeros, step) == 0)
				continue;
			put_le64(pa, at + i);
			EVP_DigestUpdate(md, pa, 8);
			EVP_DigestUpdate(md, buf + i, step);
		}
		if (out && memcmp(buf, zeros, n) != 0 && (fseeko(out, (off_t)at, SEEK_SET) != 0 || fwrite(buf, 1, n, out) != n))
			fail("-o", "can't be written");
	}
	if (out && end && (fseeko(out, (off_t)(end - 1), SEEK_SET) != 0 || fputc(buf[(end - 1) % STEP], out) == EOF))
		fail("-o", "can't be written");
	EVP_DigestFinal_ex(md, sum, NULL);
	EVP_MD_CTX_free(md);
	printf("sha256 ");
	for (int i = 0; i < 32; i++)
		printf("%02x", sum[i]);
	printf("\n");
}

static void print_hints(const struct hints *h)
{
	printf("machine %d build %u\n", (int)h->machine, h->build);
	printf("dtb 0x%llx kernel 0x%llx kdbg 0x%llx\n", (unsigned long long)h->dtb, (unsigned long long)h->kernel_base,
	       (unsigned long long)h->kdbg);
	for (size_t i = 0; i < h->n_cpus; i++)
		printf("cpu %zu cr3 0x%llx cr4 0x%llx idt 0x%llx gs 0x%llx\n", i, (unsigned long long)h->cpus[i].cr3,
		       (unsigned long long)h->cpus[i].cr4, (unsigned long long)h->cpus[i].idt_base,
		       (unsigned long long)h->cpus[i].kernel_gs_base);
}

int main(int argc, char **argv)
{
	const char *path = NULL, *flat = NULL;
	struct dump_opts o = {0};
	struct phys_run r;
	struct dump *d;
	struct err e;
	FILE *out = NULL;
	bool hints = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
			flat = argv[++i];
		else if (strcmp(argv[i], "-sidecar") == 0 && i + 1 < argc)
			o.sidecar = argv[++i];
		else if (strcmp(argv[i], "-spill") == 0 && i + 1 < argc)
			o.spill = argv[++i];
		else if (strcmp(argv[i], "-hints") == 0)
			hints = true;
		else
			path = argv[i];
	}
	if (!path)
		fail("usage", "physdump [-o FLAT] [-sidecar FILE] [-spill DIR] [-hints] IMAGE");
	if (dump_open(&d, path, &o, NULL, &e) < 0)
		fail("open", e.msg);
	if (hints) {
		print_hints(&d->hints);
		dump_close(d);
		return 0;
	}
	if (flat && !(out = fopen(flat, "wb")))
		fail(flat, "can't be opened");
	printf("format %s\ncompression %s\nsegments %u\n", d->format, d->compression, d->n_segments);
	for (size_t i = 0; phys_run(d->phys, i, &r); i++)
		printf("run 0x%llx 0x%llx\n", (unsigned long long)r.pa, (unsigned long long)r.len);
	dump(d->phys, out);
	if (out && fclose(out) != 0)
		fail(flat, "can't be written");
	dump_close(d);
	return 0;
}
