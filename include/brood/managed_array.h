/* brood/managed_array.h: an array in a manager: as many dynamic values as it was made with, by their number, from 0.
 *
 *     const brood_any zeros[] = { brood_any_int(0), brood_any_int(0), brood_any_int(0) };
 *     brood_managed_array *array = brood_manager_array(manager, "hits", brood_any_list(zeros, 3));
 *     brood_managed_array_add(array, 2, 1);
 *
 * A list (brood/list.h) of a fixed length; what is said there of indices, items and errors holds here: negative ones
 * count from the end, and ERANGE: it has no such item. Each call is one step. Within a family a brood_array
 * (brood/array.h) is faster.
 */
#ifndef BROOD_MANAGED_ARRAY_H
#define BROOD_MANAGED_ARRAY_H

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/result.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_managed_array_close(brood_managed_array *array);

/* The item, a copy. */
BROOD_API int brood_managed_array_get(brood_managed_array *array, int64_t index, brood_any *item);

/* Puts another in its place; swap: and gets the one before (`old` NULL: it is not wanted); compare: if that is equal to
 * `expected`, else EAGAIN. */
BROOD_API int brood_managed_array_set(brood_managed_array *array, int64_t index, const brood_any *item);
BROOD_API int brood_managed_array_swap(brood_managed_array *array, int64_t index, const brood_any *item,
                                       brood_any *old);
BROOD_API int brood_managed_array_compare(brood_managed_array *array, int64_t index, const brood_any *expected,
                                          const brood_any *item);

/* Adds a number to it, as brood_dict_add. EINVAL: one of both is no number.  ERANGE: also, no 64-bit sum. */
BROOD_API int brood_managed_array_add(brood_managed_array *array, int64_t index, const brood_any *amount);

/* How many items it has; INT_MAX, if there are more. */
BROOD_API int brood_managed_array_length(brood_managed_array *array);

/* The items from `begin` on, up to the one before `end`, as a list; what lies beyond the array is cut off. INT64_MAX is
 * its end. And the same, to be replaced by the items of a list of as many (EINVAL: it is none, or has another number of
 * them). */
BROOD_API int brood_managed_array_slice(brood_managed_array *array, int64_t begin, int64_t end, brood_any *items);
BROOD_API int brood_managed_array_set_slice(brood_managed_array *array, int64_t begin, int64_t end,
                                            const brood_any *items);

/* All of them, as they are at one moment. */
BROOD_API int brood_managed_array_items(brood_managed_array *array, brood_any *items);

#ifdef __cplusplus
}
#else
#define brood_managed_array_set(array, index, item) (brood_managed_array_set)((array), (index), BROOD_ANY(item))
#define brood_managed_array_swap(array, index, item, old) \
    (brood_managed_array_swap)((array), (index), BROOD_ANY(item), (old))
#define brood_managed_array_compare(array, index, expected, item) \
    (brood_managed_array_compare)((array), (index), BROOD_ANY(expected), BROOD_ANY(item))
#define brood_managed_array_add(array, index, amount) (brood_managed_array_add)((array), (index), BROOD_ANY(amount))
#define brood_managed_array_set_slice(array, begin, end, items) \
    (brood_managed_array_set_slice)((array), (begin), (end), BROOD_ANY(items))
#endif

#endif
