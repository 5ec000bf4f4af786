/* wpp.h - WPP messages by their format (tmf.h): the arguments, and the message as its author wrote it. */
#ifndef ETLIFT_WPP_H
#define ETLIFT_WPP_H

#include "buf.h"
#include "event.h"
#include "tmf.h"

#define WPP_MESSAGE_MAX 65536u /* bytes of a rendered message; what is more is cut off */

/* ev->data = the field "message", then the arguments by name; ev->name = the function, provider_name = the module. False: ev->reason says why.
 * `scratch` is used and left as it is. */
bool wpp_decode(struct event *ev, const struct tmf_message *m, struct arena *a, struct buf *scratch);

#endif
