/* host.c - the host's silo state where neither a symbol nor the logger table leads to it (a kernel of an unknown identity whose table is lost).
 *
 * Two ways. The kernel's image holds pointers to the state, and the state's SiloGlobals is in the image and points back: both must hold. Else
 * consumers name the state of their session: the one that no server silo's job leads to, when it is the only one, or the one whose logger
 * table EtwpDebuggerData names. */
#include <stdlib.h>

#include "kview.h"
#include "rd.h"

#define PAGE       4096u
#define IMAGE_MAX  UINT64_C(0x4000000) /* bytes of the kernel image that are looked at */
#define STATES_MAX 64u

static bool in_image(const struct kview *v, uint64_t va)
{
	return va >= v->k->base && va - v->k->base < v->k->image_size;
}

static bool proves(struct kview *v, uint64_t state)
{
	uint64_t globals, back;

	return kview_is_ptr(v, state) && state % kview_ptr_size(v) == 0 && !in_image(v, state) &&
	       kread_ptr(v->k, state, F_SILO_SiloGlobals, &globals) == 0 && in_image(v, globals) &&
	       kread_ptr(v->k, globals, F_SILOGLOBALS_EtwSiloState, &back) == 0 && back == state;
}

static bool from_image(struct kview *v)
{
	size_t ps = kview_ptr_size(v);
	uint64_t size = v->k->image_size < IMAGE_MAX ? v->k->image_size : IMAGE_MAX, last = 0;
	uint8_t page[PAGE];

	if (!prof_has(&v->k->prof, F_SILO_SiloGlobals) || !prof_has(&v->k->prof, F_SILOGLOBALS_EtwSiloState))
		return false;
	for (uint64_t at = v->k->base; at < v->k->base + size; at += PAGE) {
		if (vm_read(v->k->vm, at, page, PAGE) != 0)
			continue;
		for (size_t i = 0; i + ps <= PAGE; i += ps) {
			uint64_t state = ps == 4 ? le32(page + i) : le64(page + i);

			if (state == last || !proves(v, state))
				continue;
			if (kview_host(v, state))
				return true;
			last = state;
		}
	}
	return false;
}

struct states { /* that consumers name and no job */
	struct kview *v;
	uint64_t state[STATES_MAX];
	size_t n;
};

static int add_state(void *ctx, const struct object_ref *o)
{
	struct states *s = ctx;
	uint64_t state;

	if (kread_ptr(s->v->k, o->body, F_CONSUMER_SiloState, &state) != 0 || !kview_is_ptr(s->v, state) || s->n == STATES_MAX)
		return 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->state[i] == state)
			return 0;
	for (size_t i = 1; i < s->v->n_silos; i++)
		if (s->v->silo[i].state == state)
			return 0;
	s->state[s->n++] = state;
	return 0;
}

static int from_consumers(struct kview *v)
{
	struct states s = {.v = v};
	uint64_t table = 0, is;
	int rc;

	if (!prof_has(&v->k->prof, F_CONSUMER_SiloState) || !prof_has(&v->k->prof, F_SILO_EtwpLoggerContext))
		return 0;
	rc = objects_find(v->k, &v->procs, "EtwConsumer", add_state, &s);
	if (rc == ERR_NOMEM)
		return rc;
	if (v->k->debugger_data)
		(void)kread_ptr_at(v->k, v->k->debugger_data + KV_DBGDATA_TABLE, &table);
	for (size_t i = 0; i < s.n; i++)
		if (kread_ptr(v->k, s.state[i], F_SILO_EtwpLoggerContext, &is) == 0 && is == table && kview_host(v, s.state[i]))
			return 0;
	if (s.n == 1)
		(void)kview_host(v, s.state[0]);
	return 0;
}

int host_search(struct kview *v)
{
	if (v->silo[0].state || v->silo[0].table || from_image(v))
		return 0;
	return from_consumers(v);
}
