/* wintime.h - Windows times: FILETIME = unsigned count of 100 ns since 1601-01-01T00:00:00Z.
 *
 * Conversions floor. A value is printable from 0 to the year 9999; outside, the text functions say so instead of inventing a date. */
#ifndef ETLIFT_WINTIME_H
#define ETLIFT_WINTIME_H

#include <stdbool.h>
#include <stdint.h>

#define WINTIME_STR        32                           /* "2024-05-03T22:20:35.1234567Z" and its NUL */
#define WINTIME_MAX        INT64_C(2650467743999999999) /* 9999-12-31T23:59:59.9999999Z */
#define WINTIME_UNIX_EPOCH INT64_C(116444736000000000)

/* ISO 8601 UTC with seven decimals. False (and an empty string) when t is outside 0 .. WINTIME_MAX. */
bool wintime_text(int64_t t, char out[WINTIME_STR]);

/* Parses ISO 8601: date, optional time ('T' or space, fractions up to 9 digits, floored), optional Z or +hh:mm; no zone = UTC. */
bool wintime_parse(const char *s, int64_t *out);

/* floor(a * b / c) with a 128-bit product; c > 0. Saturates at the ends of int64_t. */
int64_t muldiv_floor(int64_t a, int64_t b, int64_t c);

/* The same without a 128-bit type: what 32-bit machines have. Slower. */
int64_t muldiv_floor_by_hand(int64_t a, int64_t b, int64_t c);

#endif
