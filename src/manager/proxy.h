/* manager/proxy.h: a handle of an object, as its clients call it.
 *
 * A block of the region, constant until it is closed: good in every process. `mark` says of which type; process: which
 * asked for it.
 */
#ifndef MANAGER_PROXY_H
#define MANAGER_PROXY_H

#include "manager/manager.h"

struct proxy {
    uint64_t mark;
    struct brood_manager *manager;
    uint64_t id;
    int32_t process;
};

/* The marks of those that a batch may call (manager/batch.c). */
#define DICT_MARK UINT64_C(0x7463696401)
#define LIST_MARK UINT64_C(0x7473696c01)
#define SET_MARK UINT64_C(0x74657301)
#define NAMESPACE_MARK UINT64_C(0x656d616e01)
#define VALUE_MARK UINT64_C(0x6c61766d01)
#define ARRAY_MARK UINT64_C(0x7272616d01)
#define OBJECT_MARK UINT64_C(0x6a626f6d01)

/* A type at whose objects nobody waits, by the mark of a handle: its word (manager/words.h), and which method opens it.
 */
struct plain_type {
    uint64_t mark;
    const char *word, *article;
    uint16_t opens;
};

/* NULL: it is no handle of such an object. */
const struct plain_type *proxy_plain(const struct proxy *proxy);

/* And of the others. */
#define LOCK_MARK UINT64_C(0x6b636f6c6d01)
#define CONDITION_MARK UINT64_C(0x646e6f636d01)
#define EVENT_MARK UINT64_C(0x746e65766d01)
#define SEMAPHORE_MARK UINT64_C(0x616d65736d01)
#define BARRIER_MARK UINT64_C(0x726162726d01)
#define QUEUE_MARK UINT64_C(0x657565756d01)

/* A type: what it is called, with its article, and its mark; which of the manager's methods opens and copies one. */
struct proxy_type {
    const char *name, *article, *label;
    uint64_t mark;
    uint16_t opens;
};

/* A handle, by a method of the manager's that replies with an object's id. NULL with errno and a sentence. */
struct proxy *proxy_open(const struct proxy_type *type, struct brood_manager *manager, const char *call,
                         unsigned method, const brood_any *const *args, unsigned count);
struct proxy *proxy_find(const struct proxy_type *type, struct brood_manager *manager, const char *call,
                         const char *name);

/* The same, with what a new one is to be made of. */
struct proxy *proxy_find_with(const struct proxy_type *type, struct brood_manager *manager, const char *call,
                              const char *name, const brood_any *with);

/* The same, of the object that it refers to. */
struct proxy *proxy_refer(const struct proxy_type *type, struct brood_manager *manager, const char *call,
                          const brood_any *reference);
struct proxy *proxy_copy(const struct proxy_type *type, struct proxy *proxy, const char *call);
int proxy_close(const struct proxy_type *type, struct proxy *proxy, const char *call);

/* A call to the object; the value is nil after a failure. proxy_get: it may not be NULL. */
int proxy_ask(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method,
              const brood_any *const *args, unsigned count, brood_any *value);
int proxy_get(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method,
              const brood_any *const *args, unsigned count, brood_any *value);

/* The same, of a call that may be answered later; `item`, if not NULL, goes along. EINVAL: also, the timeout. */
int proxy_wait(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method,
               const brood_any *item, int timeout_ms, brood_any *value);

/* The same, of a call by which something comes to be held: with BROOD_INHERITED a sentence says from whom. */
int proxy_take(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method, int timeout_ms);

/* The same, of a call whose value is a number of things: INT_MAX, if there are more. */
int proxy_count(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method,
                const brood_any *const *args, unsigned count);

#endif
