/* sync/type.c */
#include "sync/type.h"

#include "error/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the bits of a number are the first bytes of its uint64_t");
_Static_assert(sizeof(float) == 4 && sizeof(double) == 8 && sizeof(bool) == 1, "each as large as an atomic word");

#define STRUCT 256 /* of BROOD_STRUCT: the code of a struct of no bytes */

#define NUMBER(code, type) [code] = { code, (type)-1 < (type)1 ? TYPE_SIGNED : TYPE_UNSIGNED, sizeof(type) }

static const struct type numbers[] = {
    NUMBER('c', char),
    NUMBER('b', signed char),
    NUMBER('B', unsigned char),
    NUMBER('h', short),
    NUMBER('H', unsigned short),
    NUMBER('i', int),
    NUMBER('I', unsigned),
    NUMBER('l', long),
    NUMBER('L', unsigned long),
    NUMBER('q', long long),
    NUMBER('Q', unsigned long long),
    NUMBER('u', wchar_t),
    ['f'] = { 'f', TYPE_REAL, sizeof(float) },
    ['d'] = { 'd', TYPE_REAL, sizeof(double) },
    ['?'] = { '?', TYPE_TRUTH, sizeof(bool) },
};

bool type_find(int code, struct type *type)
{
    *type = (struct type){ .kind = TYPE_NONE };
    if (code > STRUCT)
        *type = (struct type){ code, TYPE_STRUCT, (size_t)(code - STRUCT) };
    else if (code > 0 && (size_t)code < sizeof numbers / sizeof *numbers)
        *type = numbers[code];
    return type->kind != TYPE_NONE;
}

const char *type_describe(const struct type *type, char text[static TYPE_TEXT])
{
    if (type->kind == TYPE_STRUCT)
        snprintf(text, TYPE_TEXT, "a struct of %zu bytes", type->size);
    else
        snprintf(text, TYPE_TEXT, "type '%c'", type->code);
    return text;
}

static bool is_integer(const struct type *type)
{
    return type->kind == TYPE_SIGNED || type->kind == TYPE_UNSIGNED;
}

bool type_same(const struct type *one, const struct type *other)
{
    return one->size == other->size && (one->kind == other->kind || (is_integer(one) && is_integer(other)));
}

static uint64_t cut(uint64_t bits, size_t size)
{
    return size < sizeof bits ? bits & ((UINT64_C(1) << size * 8) - 1) : bits;
}

/* As 64 bits: an integer whose sign is carried on. */
static uint64_t widen(const struct type *type, uint64_t bits)
{
    unsigned unused = (unsigned)(sizeof bits - type->size) * 8;
    return type->kind == TYPE_SIGNED ? (uint64_t)((int64_t)(bits << unused) >> unused) : bits;
}

static double real_of(const struct type *type, uint64_t bits)
{
    float single;
    double real;
    memcpy(&single, &bits, sizeof single);
    memcpy(&real, &bits, sizeof real);
    return type->size == sizeof single ? (double)single : real;
}

static uint64_t bits_of_single(float single)
{
    uint64_t bits = 0;
    memcpy(&bits, &single, sizeof single);
    return bits;
}

static uint64_t bits_of_real(const struct type *type, double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof real);
    return type->size == sizeof(float) ? bits_of_single((float)real) : bits;
}

/* A whole number that fits, neither too large nor NaN: else -EDOM. */
static int bits_of_whole(const struct type *type, double real, uint64_t *bits)
{
    bool is_signed = type->kind == TYPE_SIGNED;
    double half = (double)(UINT64_C(1) << (type->size * 8 - 1)); /* exact, and as many numbers lie below 0 */
    if (!(real >= (is_signed ? -half : 0) && real < (is_signed ? half : 2 * half)))
        return -EDOM;
    uint64_t whole = is_signed ? (uint64_t)(int64_t)real : (uint64_t)real;
    if ((is_signed ? (double)(int64_t)whole : (double)whole) != real)
        return -EDOM;
    *bits = cut(whole, type->size);
    return 0;
}

int type_convert(const struct type *from, const void *memory, const struct type *to, uint64_t *bits)
{
    if (from->kind == TYPE_STRUCT || to->kind == TYPE_STRUCT)
        return -EINVAL;
    uint64_t given = bits_read(memory, from->size);
    if (from->code == to->code && to->kind != TYPE_TRUTH) {
        *bits = given; /* a NaN as it is */
        return 0;
    }
    if (from->kind == TYPE_REAL) {
        double real = real_of(from, given);
        if (to->kind == TYPE_REAL)
            *bits = bits_of_real(to, real);
        else if (to->kind == TYPE_TRUTH)
            *bits = real != 0;
        else
            return bits_of_whole(to, real, bits);
        return 0;
    }
    uint64_t wide = widen(from, given);
    if (to->kind == TYPE_REAL && from->kind == TYPE_SIGNED)
        *bits =
            to->size == sizeof(float) ? bits_of_single((float)(int64_t)wide) : bits_of_real(to, (double)(int64_t)wide);
    else if (to->kind == TYPE_REAL)
        *bits = to->size == sizeof(float) ? bits_of_single((float)wide) : bits_of_real(to, (double)wide);
    else if (to->kind == TYPE_TRUTH)
        *bits = wide != 0;
    else
        *bits = cut(wide, to->size);
    return 0;
}

uint64_t type_sum(const struct type *type, uint64_t one, uint64_t other)
{
    if (type->kind != TYPE_REAL)
        return cut(one + other, type->size);
    if (type->size == sizeof(double))
        return bits_of_real(type, real_of(type, one) + real_of(type, other));
    return bits_of_single((float)real_of(type, one) + (float)real_of(type, other));
}

/* ---- slices ---- */

static size_t until_aligned(const void *shared, size_t bytes)
{
    size_t head = -(uintptr_t)shared % sizeof(uint64_t);
    return head < bytes ? head : bytes;
}

/* By words of 8 bytes, as far as the shared side is aligned so: whole numbers too, since their size divides 8. */
void bits_copy_in(void *shared, const void *from, size_t size, size_t count)
{
    size_t bytes = size * count, done = 0, head = until_aligned(shared, bytes);
    char *to = shared;
    const char *data = from;
    uint64_t bits;
    for (; done < head; done += size)
        bits_store(to + done, size, bits_read(data + done, size));
    for (; bytes - done >= sizeof bits; done += sizeof bits) {
        memcpy(&bits, data + done, sizeof bits);
        atomic_store_explicit((_Atomic uint64_t *)(void *)(to + done), bits, memory_order_relaxed);
    }
    for (; done < bytes; done += size)
        bits_store(to + done, size, bits_read(data + done, size));
}

void bits_copy_out(void *to, const void *shared, size_t size, size_t count)
{
    size_t bytes = size * count, done = 0, head = until_aligned(shared, bytes);
    const char *from = shared;
    char *data = to;
    uint64_t bits;
    for (; done < head; done += size)
        bits_write(data + done, size, bits_load(from + done, size));
    for (; bytes - done >= sizeof bits; done += sizeof bits) {
        bits = atomic_load_explicit((const _Atomic uint64_t *)(const void *)(from + done), memory_order_relaxed);
        memcpy(data + done, &bits, sizeof bits);
    }
    for (; done < bytes; done += size)
        bits_write(data + done, size, bits_load(from + done, size));
}

int brood_type_size(int code)
{
    struct type type;
    if (!type_find(code, &type))
        return error_set(EINVAL, "brood_type_size: there is no type %d", code);
    return (int)type.size;
}
