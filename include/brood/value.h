/* brood/value.h: a value that processes share: one datum of a type (brood/type.h), with a lock of its own.
 *
 *     brood_value *counter = brood_value_create('i', NULL);
 *     brood_value_add(counter, 1, NULL);              from any process: the pointer is good in all of them
 *     int now;
 *     brood_value_load(counter, &now);
 *
 * Numbers, that is all types but structs, are loaded, stored, added to and exchanged whole, at once and in one order
 * for all, and never wait: the lock does not keep these calls out. A struct is loaded and stored under the lock, so
 * those calls wait for it, without end; who wants a bound acquires the lock first. The thread that holds the lock may
 * make every call. What is more than one call, `x = 2 * x` or changes by the pointer, stands between acquire and
 * release. A raw value has no lock: its structs are copied as they stand, half written ones too.
 *
 * Crash rule: a process killed in a store, add or exchange has done it wholly or not at all. A thread that dies between
 * acquire and release passes the lock on: the next to acquire it gets BROOD_INHERITED (1) instead of 0, and is the one
 * to put right what the dead one did by the pointer; so does every further one, until one releases it normally.
 * Until somebody acquires it loads and stores of a struct do their work and return BROOD_INHERITED too. Raw structs may
 * stay half written. A value belongs to no process: it lasts until it is destroyed, or the family ends.
 *
 * EINVAL, of every call: the value is NULL, or no value that lives; or brood_init has not been called. Not repeated
 * below. Of a call with data: a type that is none or does not fit, and a NULL for a datum that is not optional. EDOM:
 * see brood/type.h; nothing is changed then.
 */
#ifndef BROOD_VALUE_H
#define BROOD_VALUE_H

#include <brood/result.h>
#include <brood/type.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_value brood_value;

typedef struct brood_value_options {
    const char *name;    /* in messages; NULL: its address */
    const void *initial; /* a datum of the value's own type; NULL: zeroes */
    bool raw;            /* without a lock */
    void *reserved[4];
} brood_value_options;

/* A value of that type. NULL, EINVAL: no such type, or a struct of no bytes.  ENOMEM: as brood_alloc.
 * A process killed in here, or in destroy, loses one block at most. */
BROOD_API brood_value *brood_value_create(int type, const brood_value_options *options);

/* Ends it, for all. NULL is fine. EBUSY: its lock is held; one that a dead thread holds is not. Nobody may use it
 * meanwhile, or its pointer afterwards. */
BROOD_API int brood_value_destroy(brood_value *value);

/* Its type, > 0. */
BROOD_API int brood_value_type(const brood_value *value);

/* The datum itself, aligned to 64 bytes, good until the value is destroyed. Who changes it holds the lock, or uses
 * atomic operations of C, which agree with the calls here. */
BROOD_API void *brood_value_at(brood_value *value);

/* Copies the datum to *datum: brood_value_load(value, &x).
 * 0.  BROOD_INHERITED: done, but see the crash rule. */
BROOD_API int brood_value_load(brood_value *value, void *datum, int type);

/* Sets the datum: brood_value_store(value, 3.14). Results as of load; EDOM. */
BROOD_API int brood_value_store(brood_value *value, const void *datum, int type);

/* Adds to a number, and hands out what it was before, unless `before` is NULL: brood_value_add(value, 1, &before).
 * The amount is converted first; integers wrap, signed ones too. EINVAL: of a struct or a bool.  EDOM. */
BROOD_API int brood_value_add(brood_value *value, const void *amount, int type, void *before, int before_type);

/* Sets a number to `desired` if it is `expected`, bit for bit (a NaN is itself, 0.0 is not -0.0):
 * brood_value_compare_exchange(value, &expected, desired).
 * EAGAIN: it is another, and *expected is that number now.  EINVAL: a struct; EDOM. */
BROOD_API int brood_value_compare_exchange(brood_value *value, void *expected, int expected_type, const void *desired,
                                           int type);

/* Takes the lock, once more if this thread holds it, waiting up to `timeout_ms` milliseconds.
 * 0: taken.  BROOD_INHERITED: taken, from a dead holder. Test for < 0: both mean that it is yours to release.
 * ETIMEDOUT: another held it to the end.  EINVAL: the value is raw.  ENOLCK, EOVERFLOW: as brood_lock_acquire. */
BROOD_API int brood_value_acquire(brood_value *value, int timeout_ms);

/* Gives it back once. EPERM: this thread does not hold it.  EINVAL: the value is raw. */
BROOD_API int brood_value_release(brood_value *value);

/* Gives it back whole, as if its holder had died: the next one gets BROOD_INHERITED. Failures as of release. */
BROOD_API int brood_value_abandon(brood_value *value);

#ifndef __cplusplus
#define brood_value_load(value, datum) brood_value_load((value), (datum), BROOD_TYPE(*(datum)))
#define brood_value_store(value, ...) brood_value_store((value), BROOD_DATUM(__VA_ARGS__), BROOD_TYPE(__VA_ARGS__))
#define brood_value_add(value, amount, before) \
    brood_value_add((value), BROOD_DATUM(amount), BROOD_TYPE(amount), (before), BROOD_TYPE(BROOD_BEHIND(before)))
#define brood_value_compare_exchange(value, expected, desired) \
    brood_value_compare_exchange((value), (expected), BROOD_TYPE(*(expected)), BROOD_DATUM(desired), \
                                 BROOD_TYPE(desired))
#endif

#ifdef __cplusplus
}
#endif

#endif
