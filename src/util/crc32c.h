/* crc32c.h - CRC-32C (Castagnoli, RFC 3720 appendix B.4), which snappy's framing uses. */
#ifndef ETLIFT_CRC32C_H
#define ETLIFT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *p, size_t n);

/* As snappy stores it (framing_format.txt section 3): rotated and moved. */
uint32_t crc32c_masked(const void *p, size_t n);

#endif
