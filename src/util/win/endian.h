/* endian.h - see win.h. Windows is little endian everywhere. */
#ifndef ETLIFT_WIN_ENDIAN_H
#define ETLIFT_WIN_ENDIAN_H

#define le16toh(x) (x)
#define le32toh(x) (x)
#define le64toh(x) (x)

#endif
