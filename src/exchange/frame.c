/* exchange/frame.c */
#include "exchange/frame.h"

#include <errno.h>

static uint64_t big_endian(const unsigned char *bytes, size_t count)
{
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

static void put_big_endian(unsigned char *bytes, size_t count, uint64_t number)
{
    for (size_t i = count; i-- > 0; number >>= 8)
        bytes[i] = (unsigned char)number;
}

size_t frame_write(unsigned char header[static FRAME_HEADER], uint64_t size)
{
    if (size <= INT32_MAX) {
        put_big_endian(header, FRAME_SHORT, size);
        return FRAME_SHORT;
    }
    put_big_endian(header, FRAME_SHORT, UINT32_MAX);
    put_big_endian(header + FRAME_SHORT, FRAME_HEADER - FRAME_SHORT, size);
    return FRAME_HEADER;
}

int frame_read(const unsigned char *header, size_t have, uint64_t *size, size_t *want)
{
    *want = FRAME_SHORT;
    if (have < FRAME_SHORT)
        return 0;
    uint64_t length = big_endian(header, FRAME_SHORT);
    if (length <= INT32_MAX) {
        *size = length;
        return FRAME_SHORT;
    }
    if (length != UINT32_MAX)
        return -EPROTO;
    *want = FRAME_HEADER;
    if (have < FRAME_HEADER)
        return 0;
    length = big_endian(header + FRAME_SHORT, FRAME_HEADER - FRAME_SHORT);
    if (length > FRAME_MOST)
        return -EPROTO;
    *size = length;
    return FRAME_HEADER;
}
