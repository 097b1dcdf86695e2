/* brood/managed_value.h: a value in a manager: one dynamic value (brood/any.h), of any kind, that can change its kind.
 *
 *     brood_managed_value *next = brood_manager_value(manager, "next id", 1);
 *     brood_managed_value_add(next, 1, &id);         one step in the server: no two get the same
 *
 * brood/manager.h says who may call, what is an error of every call, and what happens when somebody dies. Each call is
 * one step. Within a family a brood_value (brood/value.h) is faster. In C what goes in is a plain C value or a
 * brood_any.
 *
 * EINVAL, of every call: the value is NULL or none, or its process has ended; what goes in is NULL, or a string in it
 * is no UTF-8. EMSGSIZE: lists and maps in it lie more than 64 deep. Nothing is changed then. And what brood/manager.h
 * says of every call to the server.
 */
#ifndef BROOD_MANAGED_VALUE_H
#define BROOD_MANAGED_VALUE_H

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_managed_value_close(brood_managed_value *value);

/* Sets it. */
BROOD_API int brood_managed_value_set(brood_managed_value *value, const brood_any *now);

/* Gets it, a copy, to be given back by brood_any_clear. EINVAL: also, `now` is NULL. */
BROOD_API int brood_managed_value_get(brood_managed_value *value, brood_any *now);

/* Sets it and gets the one before (`before` NULL: it is not wanted); sets it if it is equal to `expected`, else EAGAIN.
 */
BROOD_API int brood_managed_value_swap(brood_managed_value *value, const brood_any *now, brood_any *before);
BROOD_API int brood_managed_value_compare(brood_managed_value *value, const brood_any *expected, const brood_any *now);

/* Adds a number to it, which makes an int of two ints, else a double, and gets the sum (NULL: it is not wanted).
 * EINVAL: also, one of both is no number.  ERANGE: the sum is no 64-bit integer. */
BROOD_API int brood_managed_value_add(brood_managed_value *value, const brood_any *amount, brood_any *sum);

#ifdef __cplusplus
}
#else
#define brood_managed_value_set(value, now) (brood_managed_value_set)((value), BROOD_ANY(now))
#define brood_managed_value_swap(value, now, before) (brood_managed_value_swap)((value), BROOD_ANY(now), (before))
#define brood_managed_value_compare(value, expected, now) \
    (brood_managed_value_compare)((value), BROOD_ANY(expected), BROOD_ANY(now))
#define brood_managed_value_add(value, amount, sum) (brood_managed_value_add)((value), BROOD_ANY(amount), (sum))
#endif

#endif
