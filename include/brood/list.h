/* brood/list.h: a list in a manager: items by their number, from 0.
 *
 * brood/any.h says what items are; brood/manager.h who may call, what is an error of every call, and what happens when
 * somebody dies. Each call is one step: no other call of anybody's is done between its parts. In C `item` and its kin
 * are plain C values or a brood_any; where something comes out, `item` is a `brood_any *`.
 *
 * index: negative ones count from the end, -1 is the last item. ERANGE: the list has no such item.
 * EINVAL, of every call: the list is NULL or none, or its process has ended; with a value: a string that is no UTF-8.
 * EMSGSIZE, with a value: lists and maps lie in each other more than 64 deep. Nothing is changed then. And what
 * brood/manager.h says of every call to the server.
 */
#ifndef BROOD_LIST_H
#define BROOD_LIST_H

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/result.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_list_close(brood_list *list);

/* Puts an item at the end; all items of a list there, in their order (EINVAL: it is no list); an item before that of
 * the index, at the beginning or the end if that lies beyond. */
BROOD_API int brood_list_append(brood_list *list, const brood_any *item);
BROOD_API int brood_list_extend(brood_list *list, const brood_any *items);
BROOD_API int brood_list_insert(brood_list *list, int64_t index, const brood_any *item);

/* Puts an item at the end if the list has `length` items now. EAGAIN: it has another number of them. */
BROOD_API int brood_list_append_if(brood_list *list, int64_t length, const brood_any *item);

/* The item, a copy. */
BROOD_API int brood_list_get(brood_list *list, int64_t index, brood_any *item);

/* Puts another in its place; swap: and gets the one before (`old` NULL: it is not wanted); compare: if that is equal to
 * `expected`, else EAGAIN. */
BROOD_API int brood_list_set(brood_list *list, int64_t index, const brood_any *item);
BROOD_API int brood_list_swap(brood_list *list, int64_t index, const brood_any *item, brood_any *old);
BROOD_API int brood_list_compare(brood_list *list, int64_t index, const brood_any *expected, const brood_any *item);

/* Adds a number to it, as brood_dict_add. EINVAL: one of both is no number.  ERANGE: also, no 64-bit sum. */
BROOD_API int brood_list_add(brood_list *list, int64_t index, const brood_any *amount);

/* Takes an item out, and the ones behind it move up; delete: and does not want to know it. */
BROOD_API int brood_list_pop(brood_list *list, int64_t index, brood_any *item);
BROOD_API int brood_list_delete(brood_list *list, int64_t index);

/* Takes the first item out that is equal to it. ENOENT: there is none. */
BROOD_API int brood_list_remove(brood_list *list, const brood_any *item);

/* The index of the first item that is equal to it. ENOENT: there is none. */
BROOD_API int brood_list_index(brood_list *list, const brood_any *item);

/* How many items are equal to it; how many there are. INT_MAX, if there are more; so brood_list_index, too. */
BROOD_API int brood_list_count(brood_list *list, const brood_any *item);
BROOD_API int brood_list_length(brood_list *list);

/* The items from `begin` on, up to the one before `end`, as a list; as in Python, what lies beyond the list is cut off.
 * INT64_MAX is its end. And the same, to be replaced by the items of another list, of whatever length (EINVAL: it is
 * none). */
BROOD_API int brood_list_slice(brood_list *list, int64_t begin, int64_t end, brood_any *items);
BROOD_API int brood_list_set_slice(brood_list *list, int64_t begin, int64_t end, const brood_any *items);

/* All of them, as they are at one moment. */
BROOD_API int brood_list_items(brood_list *list, brood_any *items);

/* The items the other way round; sorted, ascending or, if `descending`, the other way, equal ones in the order that
 * they had. EINVAL: they are neither all numbers, nor all strings, nor all bytes, and stay as they were. */
BROOD_API int brood_list_reverse(brood_list *list);
BROOD_API int brood_list_sort(brood_list *list, bool descending);

/* Removes all. */
BROOD_API int brood_list_clear(brood_list *list);

/* A handle of a new list without a name that has the same items. */
BROOD_API brood_list *brood_list_copy(brood_list *list);

#ifdef __cplusplus
}
#else
#define brood_list_append(list, item) (brood_list_append)((list), BROOD_ANY(item))
#define brood_list_extend(list, items) (brood_list_extend)((list), BROOD_ANY(items))
#define brood_list_insert(list, index, item) (brood_list_insert)((list), (index), BROOD_ANY(item))
#define brood_list_append_if(list, length, item) (brood_list_append_if)((list), (length), BROOD_ANY(item))
#define brood_list_set(list, index, item) (brood_list_set)((list), (index), BROOD_ANY(item))
#define brood_list_swap(list, index, item, old) (brood_list_swap)((list), (index), BROOD_ANY(item), (old))
#define brood_list_compare(list, index, expected, item) \
    (brood_list_compare)((list), (index), BROOD_ANY(expected), BROOD_ANY(item))
#define brood_list_add(list, index, amount) (brood_list_add)((list), (index), BROOD_ANY(amount))
#define brood_list_remove(list, item) (brood_list_remove)((list), BROOD_ANY(item))
#define brood_list_index(list, item) (brood_list_index)((list), BROOD_ANY(item))
#define brood_list_count(list, item) (brood_list_count)((list), BROOD_ANY(item))
#define brood_list_set_slice(list, begin, end, items) (brood_list_set_slice)((list), (begin), (end), BROOD_ANY(items))
#endif

#endif
