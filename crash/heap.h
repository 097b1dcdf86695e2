/* heap.h: what operations on blocks share: heap.c tells how one is tried.
 */
#ifndef CRASH_HEAP_H
#define CRASH_HEAP_H

#include "point.h"

#include <brood.h>

enum {
    HEAP_SMALL = 48,
    HEAP_WIDE = 4000, /* few to a span: cheap to fill one */
    HEAP_LARGE = 100 << 10,
    HEAP_KIN = 4, /* blocks of the victim that survivors free, one each */
    HEAP_HELD = 6,
    HEAP_SPAN = 1 << 16,
    HEAP_FILLED = 1200, /* blocks that filling a span, or all, may take */
    HEAP_TAIL = 40,     /* instructions from where a block is its taker's to the end of brood_alloc */
    HEAP_BYTE = 0x66,   /* what `block` is filled with */
};

/* Shared by the processes of one point, not in the region: an operation may be the region's very first. */
struct ground {
    void **place;     /* in the region */
    brood_lock *lock; /* of the place, where the operation takes it */
    void *block;      /* what the operation frees, or what it must not lose */
    char *kin[HEAP_KIN];
    _Atomic int kin_used, kin_freed;
    char *held[HEAP_HELD];
    void *filled[HEAP_FILLED];
};

struct act {
    size_t size;
    void (*before)(struct ground *ground, size_t size); /* the victim's preparations; NULL: none at all */
    void (*act)(struct ground *ground, size_t size);
    int least, most; /* by how many the number of blocks may change */
    bool place;      /* the pointer at place tells by how many, exactly... */
    bool locked;     /* the pointer is changed under a lock; who gets that then takes the pointer away */
    bool cold;       /* nothing was ever allocated before */
    bool tracked;    /* whose each block is */
    int tail;        /* a block may be lost only in so many last instructions; 0: anywhere */
    size_t whole;    /* so many bytes of `block` are as they were, if it is a block still */
    bool refused;    /* the heap is full */
    int repair;      /* kill a first victim after so many hundredths of the operation, and `act` by a second... */
    void (*mend)(struct ground *ground, size_t size); /* ... is this */
};

/* Tries an operation whose detail is a struct act. */
void heap_run(struct point *point);

/* A block full of that byte; NULL: there is none. */
void *heap_filled(size_t size, int byte);

/* The victim's least preparations; and a block too, full of HEAP_BYTE. */
void heap_prepare(struct ground *ground, size_t size);
void heap_before_block(struct ground *ground, size_t size);

/* A first victim's death is mended by who meets it in here. */
void heap_mend_by_free(struct ground *ground, size_t size);

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

#endif
