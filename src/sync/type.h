/* sync/type.h: types of shared data by their codes, and numbers of them.
 *
 * A number in shared memory is the `size` bytes of an aligned place, and is read and written as a whole, by the atomic
 * operations here: its bits are the low ones of a uint64_t, the others 0.
 */
#ifndef SYNC_TYPE_H
#define SYNC_TYPE_H

#include <brood/type.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TYPE_TEXT 48

enum type_kind { TYPE_NONE, TYPE_SIGNED, TYPE_UNSIGNED, TYPE_REAL, TYPE_TRUTH, TYPE_STRUCT };

struct type {
    int code;
    enum type_kind kind;
    size_t size;
};

/* False: there is none of that code. */
bool type_find(int code, struct type *type);

/* "type 'i'" or "a struct of 12 bytes". */
const char *type_describe(const struct type *type, char text[static TYPE_TEXT]);

/* Whether data of the two are alike in memory. */
bool type_same(const struct type *one, const struct type *other);

/* The number of type `from` in the caller's memory, as the bits of type `to`. 0; -EDOM: it cannot be one; -EINVAL: one
 * of them is a struct. Without a sentence. */
int type_convert(const struct type *from, const void *memory, const struct type *to, uint64_t *bits);

/* The sum of two numbers of that type, which is no struct and no truth. */
uint64_t type_sum(const struct type *type, uint64_t one, uint64_t other);

/* In the caller's memory, which need not be aligned. */
static inline uint64_t bits_read(const void *memory, size_t size)
{
    uint64_t bits = 0;
    switch (size) {
    case 1:
        memcpy(&bits, memory, 1);
        break;
    case 2:
        memcpy(&bits, memory, 2);
        break;
    case 4:
        memcpy(&bits, memory, 4);
        break;
    default:
        memcpy(&bits, memory, 8);
    }
    return bits;
}

static inline void bits_write(void *memory, size_t size, uint64_t bits)
{
    switch (size) {
    case 1:
        memcpy(memory, &bits, 1);
        break;
    case 2:
        memcpy(memory, &bits, 2);
        break;
    case 4:
        memcpy(memory, &bits, 4);
        break;
    default:
        memcpy(memory, &bits, 8);
    }
}

/* In shared memory. */
static inline uint64_t bits_load(const void *place, size_t size)
{
    switch (size) {
    case 1:
        return atomic_load((const _Atomic uint8_t *)place);
    case 2:
        return atomic_load((const _Atomic uint16_t *)place);
    case 4:
        return atomic_load((const _Atomic uint32_t *)place);
    default:
        return atomic_load((const _Atomic uint64_t *)place);
    }
}

static inline void bits_store(void *place, size_t size, uint64_t bits)
{
    switch (size) {
    case 1:
        atomic_store((_Atomic uint8_t *)place, (uint8_t)bits);
        break;
    case 2:
        atomic_store((_Atomic uint16_t *)place, (uint16_t)bits);
        break;
    case 4:
        atomic_store((_Atomic uint32_t *)place, (uint32_t)bits);
        break;
    default:
        atomic_store((_Atomic uint64_t *)place, bits);
    }
}

/* Adds to an integer; what it was before. */
static inline uint64_t bits_add(void *place, size_t size, uint64_t bits)
{
    switch (size) {
    case 1:
        return atomic_fetch_add((_Atomic uint8_t *)place, (uint8_t)bits);
    case 2:
        return atomic_fetch_add((_Atomic uint16_t *)place, (uint16_t)bits);
    case 4:
        return atomic_fetch_add((_Atomic uint32_t *)place, (uint32_t)bits);
    default:
        return atomic_fetch_add((_Atomic uint64_t *)place, bits);
    }
}

/* False: it is another number, now in *expected. */
static inline bool bits_exchange(void *place, size_t size, uint64_t *expected, uint64_t bits)
{
    uint8_t byte = (uint8_t)*expected;
    uint16_t half = (uint16_t)*expected;
    uint32_t word = (uint32_t)*expected;
    bool done;
    switch (size) {
    case 1:
        done = atomic_compare_exchange_strong((_Atomic uint8_t *)place, &byte, (uint8_t)bits);
        *expected = byte;
        return done;
    case 2:
        done = atomic_compare_exchange_strong((_Atomic uint16_t *)place, &half, (uint16_t)bits);
        *expected = half;
        return done;
    case 4:
        done = atomic_compare_exchange_strong((_Atomic uint32_t *)place, &word, (uint32_t)bits);
        *expected = word;
        return done;
    default:
        return atomic_compare_exchange_strong((_Atomic uint64_t *)place, expected, bits);
    }
}

/* Copies numbers of that size to or from shared memory, in order, each as a whole. */
void bits_copy_in(void *shared, const void *from, size_t size, size_t count);
void bits_copy_out(void *to, const void *shared, size_t size, size_t count);

#endif
