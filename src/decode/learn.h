/* learn.h - what a trace says of its own events, gathered in one pass before they are decoded: TRACE_EVENT_INFO and maps of KernelTraceControl
 * (tei.c), and the manifests that .NET's EventSource writes into its own stream (event 0xFFFE, in pieces).
 *
 * A piece's payload: u8 format (1), u8 major, u8 minor, u8 magic (0x5B), u16 pieces, u16 number of this one, then UTF-8 XML
 * (dotnet/runtime, EventSource.cs, ManifestEnvelope). A provider's manifest speaks for that provider only. */
#ifndef ETLIFT_LEARN_H
#define ETLIFT_LEARN_H

#include "evsource.h"
#include "schemas.h"

#define LEARN_PENDING_MAX    256u               /* manifests whose pieces are awaited at a time */
#define LEARN_MANIFEST_BYTES ((size_t)16 << 20) /* of one in-band manifest */
#define LEARN_BYTES_MAX      ((size_t)64 << 20) /* of all pieces, and of all definitions kept for the end of a pass */

#define EVENTSOURCE_MANIFEST 0xFFFEu /* event id */

struct learn;

struct learn *learn_new(struct schemas *s); /* NULL: out of memory */
void learn_free(struct learn *l);           /* takes NULL */

/* To be given every event of a source, in order; then learn_end(), which takes what waited for the whole. What is broken is passed over: its events
 * stay raw, with the reason. 0 or ERR_NOMEM. */
int learn_event(struct learn *l, const struct event *ev);
int learn_end(struct learn *l);

/* One manifest piece, for its own sake: the envelope's numbers, and the XML as text. False: no envelope. */
bool learn_envelope(struct event *ev, struct arena *a);

#endif
