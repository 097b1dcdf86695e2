/* brood/set.h: a set in a manager: members, each once, in the order in which they were added first.
 *
 * Members are what may be a dictionary's key (brood/any.h); brood/manager.h says who may call, what is an error of
 * every call, and what happens when somebody dies. Each call is one step: no other call of anybody's is done between
 * its parts. In C `member` and `list` are plain C values or a brood_any.
 *
 * EINVAL, of every call: the set is NULL or none, or its process has ended; with a member: a list or map, or a string
 * that is no UTF-8; with a list: it is none, or has an item that cannot be a member. EMSGSIZE, with a list: lists and
 * maps lie in each other more than 64 deep. Nothing is changed then. And what brood/manager.h says of every call to the
 * server.
 */
#ifndef BROOD_SET_H
#define BROOD_SET_H

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_set_close(brood_set *set);

/* Adds a member: 0; or 1: it was in it already. */
BROOD_API int brood_set_add(brood_set *set, const brood_any *member);

/* Takes a member out. ENOENT: it is not in it. */
BROOD_API int brood_set_remove(brood_set *set, const brood_any *member);

/* Takes the member out that was added last, and gets it. ENOENT: the set is empty.  EINVAL: also, `member` is NULL. */
BROOD_API int brood_set_pop(brood_set *set, brood_any *member);

/* 1 or 0: whether it is in it. */
BROOD_API int brood_set_contains(brood_set *set, const brood_any *member);

/* How many members it has; INT_MAX, if there are more. */
BROOD_API int brood_set_length(brood_set *set);

/* All of them, as a list, as they are at one moment. EINVAL: also, `list` is NULL. */
BROOD_API int brood_set_items(brood_set *set, brood_any *list);

/* Adds all that the list has, or nothing; keeps of its members only those that the list has; takes those out. */
BROOD_API int brood_set_update(brood_set *set, const brood_any *list);
BROOD_API int brood_set_keep(brood_set *set, const brood_any *list);
BROOD_API int brood_set_subtract(brood_set *set, const brood_any *list);

/* Takes all out. */
BROOD_API int brood_set_clear(brood_set *set);

/* A handle of a new set without a name that has the same members. */
BROOD_API brood_set *brood_set_copy(brood_set *set);

#ifdef __cplusplus
}
#else
#define brood_set_add(set, member) (brood_set_add)((set), BROOD_ANY(member))
#define brood_set_remove(set, member) (brood_set_remove)((set), BROOD_ANY(member))
#define brood_set_contains(set, member) (brood_set_contains)((set), BROOD_ANY(member))
#define brood_set_update(set, list) (brood_set_update)((set), BROOD_ANY(list))
#define brood_set_keep(set, list) (brood_set_keep)((set), BROOD_ANY(list))
#define brood_set_subtract(set, list) (brood_set_subtract)((set), BROOD_ANY(list))
#endif

#endif
