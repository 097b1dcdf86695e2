/* manager/words.c */
#include "manager/words.h"

#include "manager/cell.h"
#include "manager/collection.h"
#include "manager/custom.h"
#include "manager/dictionary.h"
#include "manager/flag.h"
#include "manager/gathering.h"
#include "manager/hatch.h"
#include "manager/manager.h"
#include "manager/sequence.h"
#include "manager/turnstile.h"
#include "manager/units.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static const struct operation operations[] = {
    { "hello", 0, LINE_HELLO },
    { "cancel", 0, LINE_CANCEL },
    { "took", 0, LINE_TOOK },
    { "lost", 0, LINE_LOST },
    { "stat", 0, MANAGER_STAT },
    { "dict", 0, MANAGER_DICT },
    { "list", 0, MANAGER_LIST },
    { "namespace", 0, MANAGER_NAMESPACE },
    { "lock", 0, MANAGER_LOCK },
    { "rlock", 0, MANAGER_RLOCK },
    { "condition", 0, MANAGER_CONDITION },
    { "event", 0, MANAGER_EVENT },
    { "semaphore", 0, MANAGER_SEMAPHORE },
    { "bounded_semaphore", 0, MANAGER_BOUNDED_SEMAPHORE },
    { "barrier", 0, MANAGER_BARRIER },
    { "set", 0, MANAGER_SET },
    { "value", 0, MANAGER_VALUE },
    { "array", 0, MANAGER_ARRAY },
    { "queue", 0, MANAGER_QUEUE },
    { "joinable_queue", 0, MANAGER_JOINABLE_QUEUE },
    { "forget", 0, MANAGER_FORGET },
    { "copy", 0, MANAGER_COPY },
    { "close", 0, MANAGER_CLOSE },
    { "open", 0, MANAGER_OPEN },
    { "type", 0, MANAGER_TYPE },
    { "batch", 0, MANAGER_BATCH },
    { "object", 0, MANAGER_OBJECT },
    { "dict.set", MANAGER_DICT, DICT_SET },
    { "dict.get", MANAGER_DICT, DICT_GET },
    { "dict.delete", MANAGER_DICT, DICT_DELETE },
    { "dict.pop", MANAGER_DICT, DICT_POP },
    { "dict.setdefault", MANAGER_DICT, DICT_SETDEFAULT },
    { "dict.add", MANAGER_DICT, DICT_ADD },
    { "dict.compare", MANAGER_DICT, DICT_COMPARE },
    { "dict.swap", MANAGER_DICT, DICT_SWAP },
    { "dict.update", MANAGER_DICT, DICT_UPDATE },
    { "dict.contains", MANAGER_DICT, DICT_CONTAINS },
    { "dict.length", MANAGER_DICT, DICT_LENGTH },
    { "dict.keys", MANAGER_DICT, DICT_KEYS },
    { "dict.values", MANAGER_DICT, DICT_VALUES },
    { "dict.items", MANAGER_DICT, DICT_ITEMS },
    { "dict.clear", MANAGER_DICT, DICT_CLEAR },
    { "dict.run", MANAGER_DICT, OBJECT_RUN },
    { "list.append", MANAGER_LIST, LIST_APPEND },
    { "list.extend", MANAGER_LIST, LIST_EXTEND },
    { "list.insert", MANAGER_LIST, LIST_INSERT },
    { "list.append_if", MANAGER_LIST, LIST_APPEND_IF },
    { "list.get", MANAGER_LIST, LIST_GET },
    { "list.set", MANAGER_LIST, LIST_SET },
    { "list.swap", MANAGER_LIST, LIST_SWAP },
    { "list.compare", MANAGER_LIST, LIST_COMPARE },
    { "list.add", MANAGER_LIST, LIST_ADD },
    { "list.pop", MANAGER_LIST, LIST_POP },
    { "list.delete", MANAGER_LIST, LIST_DELETE },
    { "list.remove", MANAGER_LIST, LIST_REMOVE },
    { "list.index", MANAGER_LIST, LIST_INDEX },
    { "list.count", MANAGER_LIST, LIST_COUNT },
    { "list.length", MANAGER_LIST, LIST_LENGTH },
    { "list.slice", MANAGER_LIST, LIST_SLICE },
    { "list.set_slice", MANAGER_LIST, LIST_SET_SLICE },
    { "list.items", MANAGER_LIST, LIST_ITEMS },
    { "list.reverse", MANAGER_LIST, LIST_REVERSE },
    { "list.sort", MANAGER_LIST, LIST_SORT },
    { "list.clear", MANAGER_LIST, LIST_CLEAR },
    { "list.run", MANAGER_LIST, OBJECT_RUN },
    { "namespace.set", MANAGER_NAMESPACE, DICT_SET },
    { "namespace.get", MANAGER_NAMESPACE, DICT_GET },
    { "namespace.delete", MANAGER_NAMESPACE, DICT_DELETE },
    { "namespace.add", MANAGER_NAMESPACE, DICT_ADD },
    { "namespace.items", MANAGER_NAMESPACE, DICT_ITEMS },
    { "namespace.run", MANAGER_NAMESPACE, OBJECT_RUN },
    { "set.add", MANAGER_SET, SET_ADD },
    { "set.remove", MANAGER_SET, SET_REMOVE },
    { "set.pop", MANAGER_SET, SET_POP },
    { "set.contains", MANAGER_SET, SET_CONTAINS },
    { "set.length", MANAGER_SET, SET_LENGTH },
    { "set.items", MANAGER_SET, SET_ITEMS },
    { "set.update", MANAGER_SET, SET_UPDATE },
    { "set.keep", MANAGER_SET, SET_KEEP },
    { "set.subtract", MANAGER_SET, SET_SUBTRACT },
    { "set.clear", MANAGER_SET, SET_CLEAR },
    { "set.run", MANAGER_SET, OBJECT_RUN },
    { "value.set", MANAGER_VALUE, VALUE_SET },
    { "value.get", MANAGER_VALUE, VALUE_GET },
    { "value.swap", MANAGER_VALUE, VALUE_SWAP },
    { "value.compare", MANAGER_VALUE, VALUE_COMPARE },
    { "value.add", MANAGER_VALUE, VALUE_ADD },
    { "value.run", MANAGER_VALUE, OBJECT_RUN },
    { "array.get", MANAGER_ARRAY, LIST_GET },
    { "array.set", MANAGER_ARRAY, LIST_SET },
    { "array.swap", MANAGER_ARRAY, LIST_SWAP },
    { "array.compare", MANAGER_ARRAY, LIST_COMPARE },
    { "array.add", MANAGER_ARRAY, LIST_ADD },
    { "array.length", MANAGER_ARRAY, LIST_LENGTH },
    { "array.slice", MANAGER_ARRAY, LIST_SLICE },
    { "array.set_slice", MANAGER_ARRAY, LIST_SET_SLICE },
    { "array.items", MANAGER_ARRAY, LIST_ITEMS },
    { "array.run", MANAGER_ARRAY, OBJECT_RUN },
    { "lock.acquire", MANAGER_LOCK, LOCK_ACQUIRE },
    { "lock.release", MANAGER_LOCK, LOCK_RELEASE },
    { "lock.holder", MANAGER_LOCK, LOCK_HOLDER },
    { "condition.acquire", MANAGER_CONDITION, LOCK_ACQUIRE },
    { "condition.release", MANAGER_CONDITION, LOCK_RELEASE },
    { "condition.wait", MANAGER_CONDITION, CONDITION_WAIT },
    { "condition.notify", MANAGER_CONDITION, CONDITION_NOTIFY },
    { "event.set", MANAGER_EVENT, EVENT_SET },
    { "event.clear", MANAGER_EVENT, EVENT_CLEAR },
    { "event.wait", MANAGER_EVENT, EVENT_WAIT },
    { "semaphore.acquire", MANAGER_SEMAPHORE, SEMAPHORE_ACQUIRE },
    { "semaphore.release", MANAGER_SEMAPHORE, SEMAPHORE_RELEASE },
    { "semaphore.units", MANAGER_SEMAPHORE, SEMAPHORE_UNITS },
    { "barrier.wait", MANAGER_BARRIER, BARRIER_WAIT },
    { "barrier.abort", MANAGER_BARRIER, BARRIER_ABORT },
    { "barrier.reset", MANAGER_BARRIER, BARRIER_RESET },
    { "barrier.waiting", MANAGER_BARRIER, BARRIER_WAITING },
    { "queue.put", MANAGER_QUEUE, QUEUE_PUT },
    { "queue.get", MANAGER_QUEUE, QUEUE_GET },
    { "queue.done", MANAGER_QUEUE, QUEUE_DONE },
    { "queue.join", MANAGER_QUEUE, QUEUE_JOIN },
    { "queue.shutdown", MANAGER_QUEUE, QUEUE_SHUTDOWN },
    { "queue.count", MANAGER_QUEUE, QUEUE_COUNT },
    { "queue.capacity", MANAGER_QUEUE, QUEUE_CAPACITY },
    { "object.call", MANAGER_OBJECT, CUSTOM_CALL },
};

static const struct {
    const char *name;
    int code;
} codes[] = {
    { "EACCES", EACCES },
    { "EAGAIN", EAGAIN },
    { "EBADMSG", EBADMSG },
    { "EBUSY", EBUSY },
    { "ECANCELED", ECANCELED },
    { "ECHILD", ECHILD },
    { "EDEADLK", EDEADLK },
    { "EEXIST", EEXIST },
    { "EFAULT", EFAULT },
    { "EINVAL", EINVAL },
    { "EIO", EIO },
    { "ELOOP", ELOOP },
    { "EMSGSIZE", EMSGSIZE },
    { "ENOENT", ENOENT },
    { "ENOLCK", ENOLCK },
    { "ENOMEM", ENOMEM },
    { "ENOSPC", ENOSPC },
    { "ENOTSUP", ENOTSUP },
    { "EOVERFLOW", EOVERFLOW },
    { "EOWNERDEAD", EOWNERDEAD },
    { "EPERM", EPERM },
    { "EPIPE", EPIPE },
    { "EPROTO", EPROTO },
    { "ERANGE", ERANGE },
    { "ETIMEDOUT", ETIMEDOUT },
    { "EUSERS", EUSERS },
};

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define SLOTS 512

_Static_assert(COUNT(operations) < SLOTS / 2, "most names are found at once");

/* Of the operations, by their names. Whoever looks first fills them; whoever does meanwhile, or in a child that was
 * forked meanwhile, does the same again, and finds each where it is or belongs. */
static const struct operation *_Atomic slots[SLOTS];
static atomic_bool filled;

static unsigned slot_of(const char *name, size_t size)
{
    uint32_t hash = (uint32_t)size;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)name[i]) * UINT32_C(16777619);
    return (hash ^ hash >> 16) % SLOTS;
}

static void fill_slots(void)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        const struct operation *there;
        unsigned slot = slot_of(operations[i].name, strlen(operations[i].name));
        while ((there = atomic_load_explicit(&slots[slot], memory_order_relaxed)) && there != &operations[i])
            slot = (slot + 1) % SLOTS;
        atomic_store_explicit(&slots[slot], &operations[i], memory_order_relaxed);
    }
    /* Release: pairs with the load in operation_named. */
    atomic_store_explicit(&filled, true, memory_order_release);
}

const struct operation *operation_named(const char *name, size_t size)
{
    const struct operation *there;
    if (!atomic_load_explicit(&filled, memory_order_acquire))
        fill_slots();
    unsigned slot = slot_of(name, size);
    for (; (there = atomic_load_explicit(&slots[slot], memory_order_relaxed)); slot = (slot + 1) % SLOTS)
        if (strlen(there->name) == size && memcmp(there->name, name, size) == 0)
            return there;
    return NULL;
}

bool operation_is_plain(const struct operation *operation)
{
    switch (operation->type) {
    case MANAGER_DICT:
    case MANAGER_LIST:
    case MANAGER_NAMESPACE:
    case MANAGER_SET:
    case MANAGER_VALUE:
    case MANAGER_ARRAY:
    case MANAGER_OBJECT:
        return true;
    default:
        return false;
    }
}

unsigned type_kin(unsigned type)
{
    return type == MANAGER_RLOCK               ? MANAGER_LOCK
           : type == MANAGER_BOUNDED_SEMAPHORE ? MANAGER_SEMAPHORE
           : type == MANAGER_JOINABLE_QUEUE    ? MANAGER_QUEUE
                                               : type;
}

const struct operation *operation_of(unsigned type, unsigned method)
{
    type = type_kin(type);
    for (size_t i = 0; i < COUNT(operations); i++)
        if (operations[i].type == type && operations[i].method == method)
            return &operations[i];
    return NULL;
}

const struct operation *operation_at(unsigned type, const char *name)
{
    for (size_t i = 0; i < COUNT(operations); i++) {
        const char *dot = operations[i].type == type ? strchr(operations[i].name, '.') : NULL;
        if (dot && strcmp(dot + 1, name) == 0)
            return &operations[i];
    }
    return NULL;
}

const char *code_name(int code)
{
    for (size_t i = 0; i < COUNT(codes); i++)
        if (codes[i].code == (code < 0 ? -code : code))
            return codes[i].name;
    return "EIO";
}

int code_named(const char *name, size_t size)
{
    for (size_t i = 0; i < COUNT(codes); i++)
        if (strlen(codes[i].name) == size && memcmp(codes[i].name, name, size) == 0)
            return codes[i].code;
    return EIO;
}
