/* mkwevt.h - makes a WEVT_TEMPLATE resource and a PE file around it for tests and fuzz seeds, byte by byte from docs/decoding.md; shares nothing
 * with src/decode. */
#ifndef ETLIFT_MKWEVT_H
#define ETLIFT_MKWEVT_H

#include "buf.h"

#define MKWEVT_PROVIDER "c3d4e5f6-0718-4293-a4b5-c6d7e8f90a1b"

/* Into an empty buf: one provider "Made-Compiled" with a task "Work", an opcode "Go" of it, and the events
 *   1  Work/Go: u32 len, bytes[len] blob, i32 value, u8 kind (a value map: 1 = "First", by message 100)
 *   2  Work: no fields
 *   3  a template with an item flag that nobody knows */
void mkwevt_crim(struct buf *out);

/* A message table: 100 = "First\r\n" (wide), 101 = "Second" (narrow). */
void mkwevt_messages(struct buf *out);

/* A 64-bit PE file with both as resources (WEVT_TEMPLATE; RT_MESSAGETABLE). */
void mkwevt_pe(struct buf *out, const struct buf *crim, const struct buf *messages);

#endif
