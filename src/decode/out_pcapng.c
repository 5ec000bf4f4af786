/* out_pcapng.c - the frames of packet captures (pcapng, draft-ietf-opsawg-pcapng): Microsoft-Windows-NDIS-PacketCapture and -PktMon. An interface for each
 * adapter or component and link type; times in 100 ns. Which events hold frames: docs/event-formats.md, with sources. */
#include <stdlib.h>
#include <string.h>

#include "evsink.h"
#include "rd.h"
#include "wintime.h"

#define LINK_ETHERNET 1u
#define LINK_RAW      101u
#define LINK_802_11   105u
#define FRAME_MAX     (256u << 10) /* of fragments put together */
#define FACES_MAX     65536u
#define NAMES_MAX     65536u

#define KW_WWAN   UINT64_C(0x200)
#define KW_802_11 UINT64_C(0x10000)
#define KW_END    UINT64_C(0x80000000)
#define KW_SEND   UINT64_C(0x100000000)
#define KW_RECV   UINT64_C(0x200000000)

enum family { NDIS, PKTMON };

struct face {
	enum family family;
	uint32_t a, b; /* NDIS: miniport and lower index; pktmon: component */
	uint32_t link;
};

struct name { /* of a pktmon component, from its description event */
	uint32_t id;
	char *text; /* owned */
};

struct pcapng {
	struct face *face;
	size_t n, cap;
	struct name *name;
	size_t n_names, cap_names;
	struct buf frame; /* fragments of a frame that is not whole yet */
	uint32_t frame_a, frame_b;
};

struct frame {
	struct face face;
	const uint8_t *p;
	uint32_t n, whole;  /* captured, and as long as it was */
	uint32_t direction; /* 0 unknown, 1 in, 2 out: epb_flags */
};

static int open_state(void **state, struct err *e)
{
	struct pcapng *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, ERR_NOMEM, "out of memory");
	buf_init(&s->frame);
	*state = s;
	return 0;
}

static void close_state(void *state)
{
	struct pcapng *s = state;

	for (size_t i = 0; i < s->n_names; i++)
		free(s->name[i].text);
	free(s->name);
	free(s->face);
	buf_free(&s->frame);
	free(s);
}

/* ---- blocks -------------------------------------------------------------------------------------------------------------------------------- */

static void option(struct buf *b, uint16_t code, const void *p, size_t n)
{
	if (n > 0xfffc)
		n = 0xfffc;
	buf_u16(b, code);
	buf_u16(b, (uint16_t)n);
	buf_put(b, p, n);
	buf_fill(b, 0, (4 - n % 4) % 4);
}

static void block(struct buf *out, uint32_t type, const struct buf *body)
{
	buf_u32(out, type);
	buf_u32(out, (uint32_t)body->n + 12);
	buf_put(out, body->p, body->n);
	buf_u32(out, (uint32_t)body->n + 12);
	out->failed |= body->failed;
}

static void begin(void *state, struct buf *out)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	buf_u32(&b, 0x1a2b3c4d);
	buf_u16(&b, 1);
	buf_u16(&b, 0);
	buf_u64(&b, UINT64_MAX);
	option(&b, 4, "etlift " ETLIFT_VERSION, strlen("etlift " ETLIFT_VERSION)); /* shb_userappl */
	option(&b, 0, NULL, 0);
	block(out, 0x0a0d0d0a, &b);
	buf_free(&b);
}

static const char *name_of(const struct pcapng *s, uint32_t id)
{
	for (size_t i = 0; i < s->n_names; i++)
		if (s->name[i].id == id)
			return s->name[i].text;
	return NULL;
}

static void put_face(struct pcapng *s, struct buf *out, const struct face *f)
{
	const char *known = f->family == PKTMON ? name_of(s, f->a) : NULL;
	const uint8_t resolution = 7; /* 10^-7 s */
	struct buf b, text;

	buf_init(&b);
	buf_init(&text);
	if (f->family == NDIS)
		buf_printf(&text, "ndis-%u-%u", f->a, f->b);
	else
		buf_printf(&text, "pktmon-%u", f->a);
	buf_u16(&b, (uint16_t)f->link);
	buf_u16(&b, 0);
	buf_u32(&b, FRAME_MAX);
	option(&b, 2, text.p, text.n); /* if_name */
	if (known)
		option(&b, 3, known, strlen(known)); /* if_description */
	option(&b, 9, &resolution, 1);
	option(&b, 0, NULL, 0);
	block(out, 1, &b);
	buf_free(&text);
	buf_free(&b);
}

/* The number of the interface; its description is written when it is new. False: too many, or out of memory. */
static bool face_number(struct pcapng *s, struct buf *out, const struct face *f, uint32_t *number)
{
	void *arr = s->face;

	for (size_t i = 0; i < s->n; i++)
		if (s->face[i].family == f->family && s->face[i].a == f->a && s->face[i].b == f->b && s->face[i].link == f->link) {
			*number = (uint32_t)i;
			return true;
		}
	if (s->n >= FACES_MAX || arr_reserve(&arr, &s->cap, s->n, sizeof(*s->face)) < 0)
		return false;
	s->face = arr;
	s->face[s->n] = *f;
	*number = (uint32_t)s->n++;
	put_face(s, out, f);
	return true;
}

static int put_frame(struct pcapng *s, struct buf *out, const struct event *ev, const struct frame *f)
{
	uint64_t t = (uint64_t)(ev->time - WINTIME_UNIX_EPOCH);
	uint32_t number;
	uint8_t flags[4];
	struct buf b;

	if (!face_number(s, out, &f->face, &number))
		return 0;
	buf_init(&b);
	buf_u32(&b, number);
	buf_u32(&b, (uint32_t)(t >> 32));
	buf_u32(&b, (uint32_t)t);
	buf_u32(&b, f->n);
	buf_u32(&b, f->whole < f->n ? f->n : f->whole);
	buf_put(&b, f->p, f->n);
	buf_fill(&b, 0, (4 - f->n % 4) % 4);
	put_le32(flags, f->direction);
	if (f->direction)
		option(&b, 2, flags, 4);
	if (ev->has_pid && ev->pid) {
		struct buf c;

		buf_init(&c);
		buf_printf(&c, "PID=%u", ev->pid);
		option(&b, 1, c.p, c.n);
		buf_free(&c);
	}
	option(&b, 0, NULL, 0);
	block(out, 6, &b);
	buf_free(&b);
	return 1;
}

/* ---- which events ------------------------------------------------------------------------------------------------------------------------- */

static uint64_t number_field(const struct event *ev, const char *name, bool *ok)
{
	const struct dval *v = ev->data.type == DV_STRUCT ? dv_field(&ev->data, name) : NULL;

	*ok = v && (v->type == DV_UINT || v->type == DV_HEX || v->type == DV_INT);
	return *ok ? v->u : 0;
}

/* MiniportIfIndex, LowerIfIndex, FragmentSize, Fragment: 1001. The frames of virtual switches (1003) have more in front: by definition only. */
static int from_ndis(struct pcapng *s, struct buf *out, const struct event *ev)
{
	struct rd r = rd_init(ev->payload.p, ev->payload.n);
	const struct dval *v = ev->data.type == DV_STRUCT ? dv_field(&ev->data, "Fragment") : NULL;
	uint32_t a = rd_u32(&r, 0), b = rd_u32(&r, 4), n = rd_u32(&r, 8);
	const uint8_t *p = ev->payload.p + 12;
	struct frame f;

	if ((ev->id != 1001 && ev->id != 1003) || r.bad)
		return 0;
	if (v && v->type == DV_BYTES) {
		p = v->bytes;
		n = v->n;
	} else if (ev->id != 1001 || n > ev->payload.n - 12) {
		return 0;
	}
	if (s->frame.n && (s->frame_a != a || s->frame_b != b)) /* the other one was never ended */
		buf_clear(&s->frame);
	if (s->frame.n + n > FRAME_MAX) {
		buf_clear(&s->frame);
		return 0;
	}
	s->frame_a = a;
	s->frame_b = b;
	buf_put(&s->frame, p, n);
	if (!(ev->keywords & KW_END))
		return 1; /* a part: it comes out with its end */
	f = (struct frame){{NDIS, a, b,
			    ev->keywords & KW_802_11 ? LINK_802_11
			    : ev->keywords & KW_WWAN ? LINK_RAW
						     : LINK_ETHERNET},
			   s->frame.p,
			   (uint32_t)s->frame.n,
			   (uint32_t)s->frame.n,
			   ev->keywords & KW_SEND   ? 2
			   : ev->keywords & KW_RECV ? 1
						    : 0};
	put_frame(s, out, ev, &f);
	buf_clear(&s->frame);
	return 1;
}

static void learn_name(struct pcapng *s, const struct event *ev)
{
	const struct dval *v = ev->data.type == DV_STRUCT ? dv_field(&ev->data, "Name") : NULL;
	void *arr = s->name;
	bool ok;
	uint64_t id = number_field(ev, "Id", &ok);

	if (!ok || !v || v->type != DV_TEXT || name_of(s, (uint32_t)id) || s->n_names >= NAMES_MAX ||
	    arr_reserve(&arr, &s->cap_names, s->n_names, sizeof(*s->name)) < 0)
		return;
	s->name = arr;
	s->name[s->n_names].id = (uint32_t)id;
	s->name[s->n_names].text = strndup(v->text, v->n);
	if (s->name[s->n_names].text)
		s->n_names++;
}

/* 160 and 170: u64 group, u16 number, u16 appearance, u16 direction, u16 type, u16 component, ... u16 length as it was, u16 as logged, then the frame. */
static int from_pktmon(struct pcapng *s, struct buf *out, const struct event *ev)
{
	struct rd r = rd_init(ev->payload.p, ev->payload.n);
	uint16_t type = rd_u16(&r, 14), component = rd_u16(&r, 16), whole = rd_u16(&r, 30), n = rd_u16(&r, 32);
	struct frame f;

	if (ev->id == 20)
		learn_name(s, ev);
	if ((ev->id != 160 && ev->id != 170) || r.bad || type < 1 || type > 3)
		return 0;
	if (n > ev->payload.n - 34)
		n = (uint16_t)(ev->payload.n - 34);
	f = (struct frame){{PKTMON, component, 0,
			    type == 1   ? LINK_ETHERNET
			    : type == 2 ? LINK_802_11
					: LINK_RAW},
			   ev->payload.p + 34,
			   n,
			   whole,
			   0};
	return put_frame(s, out, ev, &f);
}

static int event(void *state, struct buf *out, const struct event *ev, bool raw)
{
	struct guid g;

	(void)raw;
	if (!ev->has_time || !ev->has_provider || !ev->has_id || ev->kind != EVENT_MANIFEST || ev->time < WINTIME_UNIX_EPOCH)
		return 0;
	if (guid_parse("2ed6006e-4729-4609-b423-3ee7bcd678ef", &g) && guid_equal(&g, &ev->provider))
		return from_ndis(state, out, ev);
	if (guid_parse("4d4f80d9-c8bd-4d73-bb5b-19c90402c5ac", &g) && guid_equal(&g, &ev->provider))
		return from_pktmon(state, out, ev);
	return 0;
}

const struct evsink evsink_pcapng = {.name = "pcapng",
				     .binary = true,
				     .unfit = "that hold no frame",
				     .open = open_state,
				     .close = close_state,
				     .begin = begin,
				     .event = event};
