/* msf.c - see msf.h */
#include "msf.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define HEADER 0x34
#define NIL    0xffffffffu /* a stream that was deleted */

static const char magic[32] = "Microsoft C/C++ MSF 7.00\r\n\x1a\x44\x53\0\0";

struct msf {
	struct input *in;
	uint32_t block, n_blocks;
	uint32_t n_streams;
	uint32_t *size;  /* bytes */
	uint64_t *first; /* offset of the stream's block list in dir */
	struct buf dir;
};

static uint64_t blocks_of(const struct msf *m, uint64_t bytes)
{
	return (bytes + m->block - 1) / m->block;
}

/* Appends `bytes` bytes that lie in the blocks of `list` (u32 each, already known to be long enough). */
static int gather(const struct msf *m, const uint8_t *list, uint64_t bytes, struct buf *out, struct err *e)
{
	for (uint64_t i = 0; bytes; i++) {
		uint32_t block = le32(list + 4 * i), n = bytes < m->block ? (uint32_t)bytes : m->block;
		uint8_t *p;
		int r;

		if (block == 0 || block >= m->n_blocks)
			return err_set(e, ERR_FORMAT, "MSF: block %u of %u", block, m->n_blocks);
		p = buf_grow(out, n);
		if (!p)
			return err_set(e, ERR_NOMEM, "out of memory");
		r = input_read_all(m->in, (uint64_t)block * m->block, p, n, e);
		if (r)
			return r;
		bytes -= n;
	}
	return 0;
}

/* The directory: its block list lies in blocks whose numbers follow the header. */
static int read_directory(struct msf *m, uint32_t bytes, struct err *e)
{
	uint64_t n = blocks_of(m, bytes), list_bytes = n * 4, n_list = blocks_of(m, list_bytes);
	struct buf roots, list;
	int r;

	if (bytes > MSF_DIRECTORY_MAX || HEADER + n_list * 4 > m->block)
		return err_set(e, ERR_LIMIT, "MSF: a directory of %u bytes", bytes);
	buf_init(&roots);
	buf_init(&list);
	if (!buf_grow(&roots, (size_t)(n_list * 4)))
		r = err_set(e, ERR_NOMEM, "out of memory");
	else
		r = input_read_all(m->in, HEADER, roots.p, (size_t)(n_list * 4), e);
	if (!r)
		r = gather(m, roots.p, list_bytes, &list, e);
	if (!r)
		r = gather(m, list.p, bytes, &m->dir, e);
	buf_free(&roots);
	buf_free(&list);
	return r;
}

static int parse_directory(struct msf *m, struct err *e)
{
	struct rd d = rd_init(m->dir.p, m->dir.n);
	uint64_t at;

	m->n_streams = rd_u32(&d, 0);
	if (d.bad || m->n_streams > MSF_STREAMS_MAX)
		return err_set(e, ERR_FORMAT, "MSF: %u streams", m->n_streams);
	m->size = calloc(m->n_streams + 1, sizeof(*m->size));
	m->first = calloc(m->n_streams + 1, sizeof(*m->first));
	if (!m->size || !m->first)
		return err_set(e, ERR_NOMEM, "out of memory");
	at = 4 + 4ull * m->n_streams;
	for (uint32_t i = 0; i < m->n_streams; i++) {
		m->size[i] = rd_u32(&d, 4 + 4ull * i);
		m->first[i] = at;
		if (m->size[i] != NIL)
			at += blocks_of(m, m->size[i]) * 4;
	}
	return d.bad || at > m->dir.n ? err_set(e, ERR_FORMAT, "MSF: the directory ends early") : 0;
}

int msf_open(struct msf **out, struct input *in, struct err *e)
{
	uint8_t head[HEADER];
	struct msf *m;
	int r = input_read_all(in, 0, head, sizeof(head), NULL);

	if (r || memcmp(head, magic, sizeof(magic)) != 0)
		return err_set(e, r == ERR_IO ? r : ERR_NOTMINE, "no PDB (MSF 7.00)");
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, ERR_NOMEM, "out of memory");
	m->in = in;
	m->block = le32(head + 0x20);
	m->n_blocks = le32(head + 0x28);
	if (m->block < 512 || m->block > 65536 || (m->block & (m->block - 1)) != 0)
		r = err_set(e, ERR_FORMAT, "MSF: blocks of %u bytes", m->block);
	else if ((uint64_t)(m->n_blocks ? m->n_blocks - 1 : 0) * m->block > input_size(in))
		r = err_set(e, ERR_TRUNC, "MSF: %u blocks of %u bytes in a file of %llu", m->n_blocks, m->block,
			    (unsigned long long)input_size(in));
	else
		r = read_directory(m, le32(head + 0x2c), e);
	if (!r)
		r = parse_directory(m, e);
	if (r) {
		msf_close(m);
		return r;
	}
	*out = m;
	return 0;
}

void msf_close(struct msf *m)
{
	if (!m)
		return;
	free(m->size);
	free(m->first);
	buf_free(&m->dir);
	free(m);
}

int msf_read(const struct msf *m, uint32_t stream, struct buf *out, struct err *e)
{
	if (stream >= m->n_streams || m->size[stream] == NIL)
		return err_set(e, ERR_NOTFOUND, "PDB: no stream %u", stream);
	if (m->size[stream] > MSF_STREAM_MAX || m->size[stream] > input_size(m->in))
		return err_set(e, ERR_LIMIT, "PDB: stream %u has %u bytes", stream, m->size[stream]);
	return gather(m, m->dir.p + m->first[stream], m->size[stream], out, e);
}
