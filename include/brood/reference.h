/* brood/reference.h: references: objects of a manager in its other objects, as dictionaries of lists, lists of
 * dictionaries, queues of locks.
 *
 *     brood_dict *shop = brood_manager_dict(manager, "shop");
 *     brood_list *fruit = brood_manager_list(manager, NULL);
 *     brood_dict_set(shop, "fruit", fruit);                     the list is in the dictionary now
 *     brood_list_close(fruit);                                  and lives on there
 *     ...                                                       any process of the family:
 *     brood_any found;
 *     brood_dict_get(shop, "fruit", &found);
 *     brood_list *same = brood_reference_list(manager, &found);
 *     brood_list_append(same, "apple");                         everybody's list has an apple more
 *
 * A reference is a value (brood/any.h, BROOD_REFERENCE): in C a handle where a value is wanted, or what
 * brood_any_reference makes of one. It may stand in every value of a dictionary, namespace, list, array, value or queue
 * of the same manager, also deep in lists and maps, and be to an object of any type. It is no key and no member of a
 * set. A copy of a container refers to the same objects. Two references are equal if they are to the same object.
 *
 * An object lives as long as it has a name, a handle, or a reference in some object; one that is got from a queue
 * counts until its getter asks for something else, or is done with it. The last of them to go takes the object with it,
 * and what that refers to. brood_manager_save keeps objects without a name, too, that those with a name refer to, and
 * what these refer to; a reference to a lock, a queue or what else it does not keep is nil in the file.
 *
 * What has been read: a call that gives a reference (a get, a pop, an item of a list, a batch) keeps its object alive
 * for the thread that called, even if nothing else refers to it any more, until that thread asks the manager for
 * something else than a handle by a reference, or its type. So handles of all that is needed are made at once, in any
 * number, and everything else comes after. A reference that is kept for longer, or is given to another thread or
 * process, is good while something needs the object; after that it is to no object, never to another one. A brood_any
 * that is a reference has nothing to be given back.
 *
 * Cycles there are none: what would have an object refer to itself, directly or by others, is not stored (ELOOP). To
 * see that, the server looks through what the object that is to be stored refers to, if the one in which it is to be
 * stored is in some object itself; if there are more than a million values behind it, that is ELOOP too. Fill what is
 * large before others refer to it, or from the outside to the inside: then there is nothing to be looked through.
 *
 * Crash rule: a client that is killed loses its handles and what it had read, as with any object; what it had stored
 * stays, and each reference is counted once, wherever it was killed.
 *
 * Of every call that stores values, besides what it says itself: EINVAL: it has a reference to an object that is gone,
 * or of another manager.  ELOOP: see above. Nothing is changed then.
 */
#ifndef BROOD_REFERENCE_H
#define BROOD_REFERENCE_H

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What its object is, in one word, constant: "dict", "list", "namespace", "set", "value", "array", "lock", "rlock",
 * "condition", "event", "semaphore", "bounded_semaphore", "barrier", "queue", "joinable_queue", "object".
 * NULL, EINVAL: the reference is NULL or none, or its object is gone.  EPROTO: by address: it is of a type that this
 * version does not know. */
BROOD_API const char *brood_reference_type(brood_manager *manager, const brood_any *reference);

/* A new handle of its object, to be closed as one that brood_manager_dict and the others gave (an rlock's is that of a
 * lock, and so on). A caller killed in it loses some 64 bytes of the region at most.
 * NULL, EINVAL: the reference is NULL or none; its object is gone, of another manager, or of another type. */
BROOD_API brood_dict *brood_reference_dict(brood_manager *manager, const brood_any *reference);
BROOD_API brood_list *brood_reference_list(brood_manager *manager, const brood_any *reference);
BROOD_API brood_namespace *brood_reference_namespace(brood_manager *manager, const brood_any *reference);
BROOD_API brood_set *brood_reference_set(brood_manager *manager, const brood_any *reference);
BROOD_API brood_managed_value *brood_reference_value(brood_manager *manager, const brood_any *reference);
BROOD_API brood_managed_array *brood_reference_array(brood_manager *manager, const brood_any *reference);
BROOD_API brood_managed_lock *brood_reference_lock(brood_manager *manager, const brood_any *reference);
BROOD_API brood_managed_condition *brood_reference_condition(brood_manager *manager, const brood_any *reference);
BROOD_API brood_managed_event *brood_reference_event(brood_manager *manager, const brood_any *reference);
BROOD_API brood_managed_semaphore *brood_reference_semaphore(brood_manager *manager, const brood_any *reference);
BROOD_API brood_managed_barrier *brood_reference_barrier(brood_manager *manager, const brood_any *reference);
BROOD_API brood_managed_queue *brood_reference_queue(brood_manager *manager, const brood_any *reference);
BROOD_API brood_managed_object *brood_reference_object(brood_manager *manager, const brood_any *reference);

#ifdef __cplusplus
}
#endif

#endif
