/* kproviders.h - inside src/recover: providers of one session, and the whole list. */
#ifndef ETLIFT_KPROVIDERS_H
#define ETLIFT_KPROVIDERS_H

#include "kview.h"

/* Appends to s->providers those that v->enable names for this session. 0 or ERR_NOMEM. */
int providers_attach(const struct kview *v, struct etw_session *s);

/* Every registration and every GUID entry without one, sorted by GUID, pid. 0 or ERR_NOMEM. */
int providers_list(struct kview *v, struct etw_provider **out, size_t *n);

#endif
