/* wintime.c - see wintime.h */
#include "wintime.h"

#define TICKS INT64_C(10000000)

/* Days since 1601-01-01 of a proleptic Gregorian date; 1601 starts a 400-year cycle. */
static int64_t days_of(int64_t y, int m, int d)
{
	static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	int64_t n = y - 1601;
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return n * 365 + n / 4 - n / 100 + n / 400 + before[m - 1] + (m > 2 && leap) + d - 1;
}

static int month_days(int64_t y, int m)
{
	return (int)(m == 12 ? 31 : days_of(y, m + 1, 1) - days_of(y, m, 1));
}

static char *put_digits(char *o, unsigned v, int n, char behind)
{
	for (int i = n - 1; i >= 0; i--) {
		o[i] = (char)('0' + v % 10);
		v /= 10;
	}
	o[n] = behind;
	return o + n + 1;
}

/* By hand: every event printed passes here. */
bool wintime_text(int64_t t, char out[WINTIME_STR])
{
	int64_t days = t / (TICKS * 86400), rest = t % (TICKS * 86400), y;
	unsigned sec = (unsigned)(rest / TICKS);
	int m = 1;

	out[0] = 0;
	if (t < 0 || t > WINTIME_MAX)
		return false;
	y = 1601 + days / 366;
	while (days_of(y + 1, 1, 1) <= days)
		y++;
	while (m < 12 && days_of(y, m + 1, 1) <= days)
		m++;
	out = put_digits(out, (unsigned)y, 4, '-');
	out = put_digits(out, (unsigned)m, 2, '-');
	out = put_digits(out, (unsigned)(days - days_of(y, m, 1) + 1), 2, 'T');
	out = put_digits(out, sec / 3600, 2, ':');
	out = put_digits(out, sec / 60 % 60, 2, ':');
	out = put_digits(out, sec % 60, 2, '.');
	out = put_digits(out, (unsigned)(rest % TICKS), 7, 'Z');
	*out = 0;
	return true;
}

/* Exactly n digits at *s; advances. -1 when there are fewer. */
static int digits(const char **s, int n)
{
	int v = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

static bool parse_fraction(const char **s, int64_t *ticks)
{
	int64_t unit = TICKS / 10;

	if (**s != '.' && **s != ',')
		return true;
	(*s)++;
	if (**s < '0' || **s > '9')
		return false;
	for (int n = 0; **s >= '0' && **s <= '9'; (*s)++, n++) {
		if (n == 9)
			return false;
		*ticks += (**s - '0') * unit;
		unit /= 10;
	}
	return true;
}

static bool parse_clock(const char **s, int64_t *ticks)
{
	int h = digits(s, 2), mi, sec = 0;

	if (h < 0 || h > 23 || **s != ':')
		return false;
	(*s)++;
	mi = digits(s, 2);
	if (mi < 0 || mi > 59)
		return false;
	if (**s == ':') {
		(*s)++;
		sec = digits(s, 2);
		if (sec < 0 || sec > 59)
			return false;
	}
	*ticks += ((int64_t)h * 3600 + (int64_t)mi * 60 + sec) * TICKS;
	return parse_fraction(s, ticks);
}

static bool parse_zone(const char **s, int64_t *ticks)
{
	int sign, h, m;

	if (**s == 'Z' || **s == 'z') {
		(*s)++;
		return true;
	}
	if (**s != '+' && **s != '-')
		return true;
	sign = *(*s)++ == '+' ? -1 : 1;
	h = digits(s, 2);
	if (**s == ':')
		(*s)++;
	m = digits(s, 2);
	if (h < 0 || h > 14 || m < 0 || m > 59)
		return false;
	*ticks += sign * ((int64_t)h * 3600 + (int64_t)m * 60) * TICKS;
	return true;
}

bool wintime_parse(const char *s, int64_t *out)
{
	int64_t t;
	int y = digits(&s, 4), m, d;

	if (y < 1601 || *s++ != '-')
		return false;
	m = digits(&s, 2);
	if (m < 1 || m > 12 || *s++ != '-')
		return false;
	d = digits(&s, 2);
	if (d < 1 || d > month_days(y, m))
		return false;
	t = days_of(y, m, d) * 86400 * TICKS;
	if (*s == 'T' || *s == 't' || *s == ' ') {
		s++;
		if (!parse_clock(&s, &t) || !parse_zone(&s, &t))
			return false;
	}
	if (*s || t < 0)
		return false;
	*out = t;
	return true;
}

static uint64_t magnitude(int64_t v)
{
	return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

int64_t muldiv_floor_by_hand(int64_t a, int64_t b, int64_t c)
{
	uint64_t x = magnitude(a), y = magnitude(b), d = (uint64_t)c, q = 0;
	uint64_t low = (x & UINT32_MAX) * (y & UINT32_MAX), one = (x >> 32) * (y & UINT32_MAX), two = (x & UINT32_MAX) * (y >> 32);
	uint64_t middle = (low >> 32) + (one & UINT32_MAX) + (two & UINT32_MAX);
	uint64_t hi = (x >> 32) * (y >> 32) + (one >> 32) + (two >> 32) + (middle >> 32), lo = middle << 32 | (low & UINT32_MAX);
	bool minus = (a < 0) != (b < 0);

	if (hi >= d)
		return minus ? INT64_MIN : INT64_MAX;
	for (int i = 0; i < 64; i++) { /* a digit of the quotient a turn; hi, the remainder, is below d, which is below 2^63 */
		hi = hi << 1 | lo >> 63;
		lo <<= 1;
		q <<= 1;
		if (hi >= d) {
			hi -= d;
			q |= 1;
		}
	}
	if (!minus)
		return q > INT64_MAX ? INT64_MAX : (int64_t)q;
	if (q >= UINT64_C(1) << 63)
		return INT64_MIN;
	return -(int64_t)q - (hi != 0);
}

int64_t muldiv_floor(int64_t a, int64_t b, int64_t c)
{
	int64_t small;

	if (a >= 0 && !__builtin_mul_overflow(a, b, &small) && small >= 0 && c > 0)
		return small / c;
#ifdef __SIZEOF_INT128__
	__int128 p = (__int128)a * b, q = p / c;

	if (p % c != 0 && p < 0)
		q--;
	if (q > INT64_MAX)
		return INT64_MAX;
	if (q < INT64_MIN)
		return INT64_MIN;
	return (int64_t)q;
#else
	return muldiv_floor_by_hand(a, b, c);
#endif
}
