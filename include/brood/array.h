/* brood/array.h: an array that processes share: elements of one type (brood/type.h), how many, and a lock.
 *
 *     int initial[] = { 1, 2, 3 };
 *     brood_array *array = brood_array_create('i', 3, &(brood_array_options){ .initial = initial });
 *     brood_array_set(array, 0, 10);                  from any process: the pointer is good in all of them
 *     int third;
 *     brood_array_get(array, 2, &third);
 *
 * Elements are to an array what the datum is to a value (brood/value.h): single numbers are got, set and added to
 * whole and without the lock; single structs, and all slices, under it, which is waited for without end; who wants a
 * bound acquires it first. The thread that holds the lock may make every call. In a raw array, which has no lock,
 * a slice is no whole towards others, and a struct is copied as it stands.
 *
 * Crash rule: a process killed in a set or add of one element has done it wholly or not at all. One killed in setting a
 * slice leaves a first part of it set, each element wholly (a struct of a raw array may be half written). That, and a
 * death between acquire and release, passes the lock on with BROOD_INHERITED (1) to the next who acquires it, who is
 * the one to put things right; so to every further one, until one releases it normally. Until somebody acquires it
 * slices, and gets and sets of a struct, do their work and return BROOD_INHERITED too.
 *
 * EINVAL, of every call: the array is NULL, or no array that lives; or brood_init has not been called. Not repeated
 * below. Of a call with data: a type that is none or does not fit, and a NULL for data that are not optional. ERANGE:
 * the index, or the slice's end, lies beyond the array's. EDOM: see brood/type.h. Nothing is changed then.
 */
#ifndef BROOD_ARRAY_H
#define BROOD_ARRAY_H

#include <brood/result.h>
#include <brood/type.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_array brood_array;

typedef struct brood_array_options {
    const char *name;    /* in messages; NULL: its address */
    const void *initial; /* all its elements, of its own type; NULL: zeroes */
    bool raw;            /* without a lock */
    void *reserved[4];
} brood_array_options;

/* An array of `count` elements (0 is fine) of that type. NULL, EINVAL: no such type, or a struct of no bytes.
 * ENOMEM: as brood_alloc. A process killed in here, or in destroy, loses one block at most. */
BROOD_API brood_array *brood_array_create(int type, size_t count, const brood_array_options *options);

/* Ends it, for all. NULL is fine. EBUSY: its lock is held; one that a dead thread holds is not. Nobody may use it
 * meanwhile, or its pointer afterwards. */
BROOD_API int brood_array_destroy(brood_array *array);

/* How many elements it has; 0 with errno set: of none. */
BROOD_API size_t brood_array_count(const brood_array *array);

/* Their type, > 0. */
BROOD_API int brood_array_type(const brood_array *array);

/* The element itself, and the ones after it: they lie side by side, the first aligned to 64 bytes, until the array is
 * destroyed. NULL, ERANGE. Who changes one holds the lock, or uses atomic operations of C. */
BROOD_API void *brood_array_at(brood_array *array, size_t index);

/* Copies one element out: brood_array_get(array, 2, &x). 0.  BROOD_INHERITED: done, but see the crash rule. */
BROOD_API int brood_array_get(brood_array *array, size_t index, void *datum, int type);

/* Sets one element: brood_array_set(array, 2, 3.14). Results as of get. */
BROOD_API int brood_array_set(brood_array *array, size_t index, const void *datum, int type);

/* As brood_value_add, of one element: brood_array_add(array, 2, 1, NULL). */
BROOD_API int brood_array_add(brood_array *array, size_t index, const void *amount, int type, void *before,
                              int before_type);

/* Copies `count` elements from `begin` on out to an array of yours of the same type, nothing converted (integers of the
 * same size are the same): brood_array_get_slice(array, 0, 3, numbers). Results as of get. */
BROOD_API int brood_array_get_slice(brood_array *array, size_t begin, size_t count, void *data, int type);

/* The same, in. `data` may lie in the array itself, but not overlap the slice: that is not checked. */
BROOD_API int brood_array_set_slice(brood_array *array, size_t begin, size_t count, const void *data, int type);

/* The lock: as brood_value_acquire, _release and _abandon. */
BROOD_API int brood_array_acquire(brood_array *array, int timeout_ms);
BROOD_API int brood_array_release(brood_array *array);
BROOD_API int brood_array_abandon(brood_array *array);

#ifndef __cplusplus
#define brood_array_get(array, index, datum) brood_array_get((array), (index), (datum), BROOD_TYPE(*(datum)))
#define brood_array_set(array, index, ...) \
    brood_array_set((array), (index), BROOD_DATUM(__VA_ARGS__), BROOD_TYPE(__VA_ARGS__))
#define brood_array_add(array, index, amount, before) \
    brood_array_add((array), (index), BROOD_DATUM(amount), BROOD_TYPE(amount), (before), \
                    BROOD_TYPE(BROOD_BEHIND(before)))
#define brood_array_get_slice(array, begin, count, data) \
    brood_array_get_slice((array), (begin), (count), (data), BROOD_TYPE(*(data)))
#define brood_array_set_slice(array, begin, count, data) \
    brood_array_set_slice((array), (begin), (count), (data), BROOD_TYPE(*(data)))
#endif

#ifdef __cplusplus
}
#endif

#endif
