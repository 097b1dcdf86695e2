/* exchange/frame.h: a message on the wire, as Python's multiprocessing.connection has it: 4 bytes of length, signed,
 * big endian; above 2^31 - 1, -1 and 8 bytes, unsigned; then that many bytes. It reads and writes bytes, and nothing
 * else.
 */
#ifndef EXCHANGE_FRAME_H
#define EXCHANGE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_SHORT 4
#define FRAME_HEADER 12 /* the longest */
#define FRAME_MOST ((uint64_t)INT64_MAX)

/* Writes the header of a message of `size` bytes. How many bytes it has. */
size_t frame_write(unsigned char header[static FRAME_HEADER], uint64_t size);

/* Reads a header, of which `have` bytes are there. How many bytes it has, all of them there, and the message's *size;
 * 0: there is more of it to come; -EPROTO: no length. `want`: how many bytes it has at least, by what is known so
 * far. */
int frame_read(const unsigned char *header, size_t have, uint64_t *size, size_t *want);

#endif
