/* refuse.c - see refuse.h */
#include "refuse.h"

#include <stdbool.h>
#include <string.h>

#include "rd.h"
#include "wholefile.h"

struct magic {
	uint32_t off;
	const char *bytes;
	uint32_t n;
	int code;
	const char *what;    /* what it is, and why not or what to do */
	wholefile_fn *whole; /* asked where it could be memory that begins with such a file's first page; NULL: the magic is enough */
};

#define SAMPLES 64u   /* places of a file that begins with text */
#define SAMPLE  1024u /* bytes of each */

#define NO    ERR_NOIMAGE
#define LATER ERR_UNSUPPORTED

static const struct magic magics[] = {
	{0, "MDMP", 4, NO, "a user-mode minidump: it holds one process and no kernel memory", NULL},
	{0,
	 "\x7f"
	 "ELF",
	 4, NO, "an ELF file that is no little-endian core dump", wholefile_elf},
	{0, "EMiL", 4, NO, "a LiME image of a version that nobody has written", NULL},
	{0, "AVML", 4, NO, "an AVML image of a version that is not known: convert it to raw (avml-convert)", NULL},
	{0, "LibvirtQemudPart", 16, NO, "a libvirt saved state that was never finished", NULL},
	{0, "HPAK", 4, NO, "an HPAK archive without sections", NULL},
	{0, "EVF2\r\n\x81", 7, LATER, "an EWF2 image (Ex01): not read, use ewfexport", NULL},
	{0, "LVF\t\r\n\xff\0", 8, LATER, "an EWF image of single files (L01), not of memory", NULL},
	{0, "LEF2\r\n\x81\0", 8, LATER, "an EWF2 image of single files (Lx01), not of memory", NULL},
	{0, "LZIP\1", 5, NO, "packed with lzip: unpack it first", NULL},
	{0, "LRZI\0", 5, NO, "packed with lrzip: unpack it first", NULL},
	{0, "MSCF\0\0\0\0", 8, NO, "a cabinet (CAB): unpack it first", wholefile_cab},
	{0, "\x89PNG\r\n\x1a\n", 8, NO, "a PNG picture", wholefile_png},
	{0, "\xff\xd8\xff", 3, NO, "a JPEG picture", wholefile_jpeg},
	{0, "GIF8", 4, NO, "a GIF picture", wholefile_gif},
	{0, "%PDF-", 5, NO, "a PDF document", wholefile_pdf},
	{0, "ElfFile", 7, NO, "a Windows event log (.evtx), not a memory image", wholefile_evtx},
	{0, "regf", 4, NO, "a registry hive", wholefile_hive},
	{0, "SQLite format 3", 15, NO, "an SQLite database", wholefile_sqlite},
	{0, "7z\xbc\xaf\x27\x1c", 6, NO, "a 7-Zip archive: unpack it first", wholefile_7z},
	{0, "Rar!\x1a\x07", 6, NO, "a RAR archive: unpack it first", NULL},
	{257, "ustar", 5, NO, "a tar archive: unpack it first", wholefile_tar},
	{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, NO, "an OLE document", NULL},
	{0, "Microsoft C/C++ MSF", 19, NO, "a PDB symbol file: give it with --symbols", wholefile_msf},
	{0, "QFI\xfb", 4, NO, "a qcow2 disk image: convert its saved state to a memory image first", NULL},
	{0, "KDMV", 4, NO, "a VMware disk", NULL},
	{0, "conectix", 8, NO, "a virtual disk (VHD)", NULL},
	{0, "vhdxfile", 8, NO, "a virtual disk (VHDX)", NULL},
};

static bool has(const uint8_t *head, size_t n, const struct magic *m)
{
	return m->off + m->n <= n && memcmp(head + m->off, m->bytes, m->n) == 0;
}

/* MZ and a PE signature where the header says. An image may begin with an MZ by chance; not with both. */
static bool is_pe(const uint8_t *head, size_t n)
{
	struct rd r = rd_init(head, n);
	uint32_t at;

	if (rd_u16(&r, 0) != 0x5a4d)
		return false;
	at = rd_u32(&r, 0x3c);
	return rd_u32(&r, at) == 0x4550 && !r.bad;
}

/* A trace file: first buffer of type 4 whose first record is the log file header. */
static bool is_etl(const uint8_t *head, size_t n)
{
	struct rd r = rd_init(head, n);
	uint32_t size = rd_u32(&r, 0), marker = rd_u32(&r, 0x48);

	return rd_u16(&r, 0x36) == 4 && size >= 0x100 && size <= 0x1000000 && (marker >> 16 == 0xc001 || marker >> 16 == 0xc002) &&
	       rd_u16(&r, 0x4e) == 0 && !r.bad;
}

/* A file of compress(1): two bytes of magic, a byte of flags of which two bits are not used, and a first code, which can only be a byte as it is. */
static bool is_compress(const uint8_t *head, size_t n)
{
	return n > 5 && head[0] == 0x1f && head[1] == 0x9d && (head[2] & 0x60) == 0 && (head[2] & 0x1f) >= 9 && (head[2] & 0x1f) <= 16 &&
	       !(head[4] & 1);
}

/* A file of LZMA alone has no magic: the usual properties, a dictionary of 2^n or 3 * 2^n bytes, a length that is not known or could be, and the zero
 * that the coded bytes begin with. */
static bool is_lzma(const uint8_t *head, size_t n)
{
	uint32_t dict;
	uint64_t size;

	if (n < 18 || head[0] != 0x5d)
		return false;
	dict = le32(head + 1);
	size = le64(head + 5);
	while (dict && !(dict & 1))
		dict >>= 1;
	return (dict == 1 || dict == 3) && le32(head + 1) >= 4096 && (size == UINT64_MAX || (size && size < (UINT64_C(1) << 46))) &&
	       head[13] == 0;
}

static bool has_controls(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < 0x20 && p[i] != '\n' && p[i] != '\r' && p[i] != '\t' && p[i] != '\f')
			return true;
	return false;
}

/* Text: no byte of the first kilobyte is a control character, and it is not all blank. */
static bool is_text(const uint8_t *head, size_t n)
{
	size_t letters = 0;

	if (n > SAMPLE)
		n = SAMPLE;
	for (size_t i = 0; i < n; i++)
		letters += head[i] > 0x20 && head[i] < 0x7f;
	return n >= 16 && letters * 2 > n && !has_controls(head, n);
}

/* A page of memory can hold text, the first one too; a text file is text everywhere. What can't be read does not speak against it. */
static bool all_text(struct input *in)
{
	uint64_t size = input_size(in), step = size / SAMPLES;
	uint8_t b[SAMPLE];

	if (step < SAMPLE)
		step = SAMPLE;
	for (uint64_t off = step; off < size; off += step) {
		int64_t n = input_read(in, off, b, sizeof(b), NULL);

		if (n > 0 && has_controls(b, (size_t)n))
			return false;
	}
	return true;
}

/* It may be memory that begins like one of these. */
static bool is_memory(const uint8_t *head, size_t n, struct input *in, wholefile_fn *whole)
{
	return whole && wholefile_paged(in) && !whole(head, n, in);
}

int refuse_by_content(const uint8_t *head, size_t n, struct input *in, const char **begins_like, struct err *e)
{
	static const char pe[] = "a Windows program or driver (PE), not a memory image";

	*begins_like = NULL;
	if (input_size_known(in) && !input_size(in))
		return err_set(e, ERR_NOIMAGE, "is empty");
	if (is_pe(head, n) && !is_memory(head, n, in, wholefile_pe))
		return err_set(e, ERR_NOIMAGE, "%s", pe);
	if (is_pe(head, n))
		*begins_like = pe;
	if (is_etl(head, n))
		return err_set(e, ERR_NOIMAGE, "a trace file (.etl), not a memory image: use 'etlift check' or 'etlift events' on it");
	if (is_compress(head, n))
		return err_set(e, ERR_NOIMAGE, "packed with compress (.Z): unpack it first");
	if (is_lzma(head, n))
		return err_set(e, ERR_NOIMAGE, "packed as .lzma: unpack it first");
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if (has(head, n, &magics[i])) {
			if (!is_memory(head, n, in, magics[i].whole))
				return err_set(e, magics[i].code, "%s", magics[i].what);
			*begins_like = magics[i].what;
		}
	if (is_text(head, n) && all_text(in))
		return err_set(e, ERR_NOIMAGE, "a text file, not a memory image");
	return 0;
}
