/* mkrec.h - makes ETW records and buffers for tests, byte by byte from the format notes. */
#ifndef ETLIFT_MKREC_H
#define ETLIFT_MKREC_H

#include <stdint.h>

#include "buf.h"

/* Appends an EVENT_HEADER64 record with n payload bytes of value `fill`, padded to 8. */
void mkrec_event(struct buf *b, uint64_t ts, uint16_t id, uint32_t n, uint8_t fill);
/* Appends a WPP message (options 0xaa: GUID, timestamp, system info) with n argument bytes. */
void mkrec_message(struct buf *b, uint64_t ts, uint16_t number, uint32_t n);
/* Appends a SYSTEM64 record. */
void mkrec_system(struct buf *b, uint64_t ts, uint16_t hook, uint32_t n);
/* A zeroed 0x48-byte buffer header with BufferSize and CurrentOffset. */
void mkrec_header(uint8_t h[0x48], uint32_t buffer_size, uint32_t current);

#endif
