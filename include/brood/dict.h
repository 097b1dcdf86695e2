/* brood/dict.h: a dictionary in a manager: from keys to values, in the order in which the keys were set first.
 *
 * brood/any.h says what keys and values are; brood/manager.h who may call, what is an error of every call, and what
 * happens when somebody dies. Each call is one step: no other call of anybody's is done between its parts. In C `key`
 * and the values are plain C values or a brood_any; `value`, where something comes out, is a `brood_any *`.
 *
 * EINVAL, of every call: the dictionary is NULL or none, or its process has ended; with a key: a list, map or
 * reference, which is none; with a value: a string that is no UTF-8. EMSGSIZE, with a value: lists and maps lie in each
 * other more than 64 deep. Nothing is changed then. And what brood/manager.h says of every call to the server.
 */
#ifndef BROOD_DICT_H
#define BROOD_DICT_H

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_dict_close(brood_dict *dict);

/* Sets the key's value. */
BROOD_API int brood_dict_set(brood_dict *dict, const brood_any *key, const brood_any *value);

/* The key's value, a copy. ENOENT: there is no such key. */
BROOD_API int brood_dict_get(brood_dict *dict, const brood_any *key, brood_any *value);

/* Removes the key; pop: and gets its value. ENOENT. */
BROOD_API int brood_dict_delete(brood_dict *dict, const brood_any *key);
BROOD_API int brood_dict_pop(brood_dict *dict, const brood_any *key, brood_any *value);

/* The key's value, which is `otherwise` from now on if there was no such key: then 1. `value` NULL: it is not wanted */
BROOD_API int brood_dict_setdefault(brood_dict *dict, const brood_any *key, const brood_any *otherwise,
                                    brood_any *value);

/* Adds a number to the key's, and so makes an int of two ints, else a double. ENOENT: no such key.  EINVAL: one of
 * both is no number.  ERANGE: the sum is no 64-bit integer. */
BROOD_API int brood_dict_add(brood_dict *dict, const brood_any *key, const brood_any *amount);

/* Sets the key's value if it is equal to `expected`. EAGAIN: it is another.  ENOENT: no such key. */
BROOD_API int brood_dict_compare(brood_dict *dict, const brood_any *key, const brood_any *expected,
                                 const brood_any *value);

/* Sets the key's value and gets the one before: 0; or 1: there was none, and `old` is nil. */
BROOD_API int brood_dict_swap(brood_dict *dict, const brood_any *key, const brood_any *value, brood_any *old);

/* Sets all that the map has. EINVAL: it is no map, or one of its keys is none. */
BROOD_API int brood_dict_update(brood_dict *dict, const brood_any *map);

/* 1 or 0: whether it has the key. */
BROOD_API int brood_dict_contains(brood_dict *dict, const brood_any *key);

/* How many keys it has; INT_MAX, if there are more. */
BROOD_API int brood_dict_length(brood_dict *dict);

/* All keys, or values, as a list; or both, as a map: as they are at one moment. */
BROOD_API int brood_dict_keys(brood_dict *dict, brood_any *list);
BROOD_API int brood_dict_values(brood_dict *dict, brood_any *list);
BROOD_API int brood_dict_items(brood_dict *dict, brood_any *map);

/* Removes all. */
BROOD_API int brood_dict_clear(brood_dict *dict);

/* A handle of a new dictionary without a name that has the same keys and values. */
BROOD_API brood_dict *brood_dict_copy(brood_dict *dict);

#ifdef __cplusplus
}
#else
#define brood_dict_set(dict, key, value) (brood_dict_set)((dict), BROOD_ANY(key), BROOD_ANY(value))
#define brood_dict_get(dict, key, value) (brood_dict_get)((dict), BROOD_ANY(key), (value))
#define brood_dict_delete(dict, key) (brood_dict_delete)((dict), BROOD_ANY(key))
#define brood_dict_pop(dict, key, value) (brood_dict_pop)((dict), BROOD_ANY(key), (value))
#define brood_dict_setdefault(dict, key, otherwise, value) \
    (brood_dict_setdefault)((dict), BROOD_ANY(key), BROOD_ANY(otherwise), (value))
#define brood_dict_add(dict, key, amount) (brood_dict_add)((dict), BROOD_ANY(key), BROOD_ANY(amount))
#define brood_dict_compare(dict, key, expected, value) \
    (brood_dict_compare)((dict), BROOD_ANY(key), BROOD_ANY(expected), BROOD_ANY(value))
#define brood_dict_swap(dict, key, value, old) (brood_dict_swap)((dict), BROOD_ANY(key), BROOD_ANY(value), (old))
#define brood_dict_update(dict, map) (brood_dict_update)((dict), BROOD_ANY(map))
#define brood_dict_contains(dict, key) (brood_dict_contains)((dict), BROOD_ANY(key))
#endif

#endif
