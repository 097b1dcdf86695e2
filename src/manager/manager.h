/* manager/manager.h: a manager in the region, and the words in which its server is asked.
 *
 * A request begins with whom it is for and what it wants; what follows is that method's. A reply with a result below 0
 * is a sentence, or nothing.
 */
#ifndef MANAGER_MANAGER_H
#define MANAGER_MANAGER_H

#include "manager/channel.h"
#include "os/socket.h"

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/process.h>
#include <pthread.h>

#define MANAGER_MARK UINT64_C(0x726567616e616d01)
#define MANAGER_NAME 20

struct remote;

/* What brood_manager_options says; SIZE_MAX where there is no limit. */
struct manager_limits {
    size_t objects, memory, message, depth;
};

/* All but the board, whose owners stand there: by its creator, before the server begins; pid: by the server, before it
 * is up; server: the creator's handle of it, under `guard`, which only that process takes: a lock for all of a process'
 * managers would be held for good in a child that is forked meanwhile, and may start some of its own.
 * address: where it listens, by the server, before it says so. remote: of a manager that the creator has connected to
 * (manager/remote.h), in its private memory; it has no server here. */
struct brood_manager {
    struct switchboard board;
    uint64_t mark;
    int32_t creator;
    _Atomic int32_t pid;
    int32_t start;
    struct manager_limits limits;
    char name[MANAGER_NAME];
    pthread_mutex_t guard;
    brood_process *server;
    char address[SOCKET_TEXT];
    struct remote *remote;
};

/* object: 0 is the manager itself. */
struct request {
    uint64_t object;
    uint16_t method;
    uint16_t count; /* of arguments */
    uint16_t type;  /* the method that opens an object that is asked in such words; 0: any */
    uint16_t reserved;
};

enum manager_method {
    MANAGER_STAT,
    MANAGER_DICT,      /* (name or nil): an id, of which the caller has a handle then */
    MANAGER_LIST,      /* the same */
    MANAGER_NAMESPACE, /* the same */
    MANAGER_FORGET,    /* (name) */
    MANAGER_COPY,      /* (id): an id */
    MANAGER_CLOSE,     /* (id, process that asked for it) */
    MANAGER_LOCK,      /* (name or nil), as a dictionary */
    MANAGER_RLOCK,
    MANAGER_CONDITION,
    MANAGER_EVENT,
    MANAGER_SEMAPHORE,         /* (name or nil, units): these three have a number besides */
    MANAGER_BOUNDED_SEMAPHORE, /* each thread holds its own units */
    MANAGER_BARRIER,           /* (name or nil, parties) */
    MANAGER_SET,               /* (name or nil) */
    MANAGER_VALUE,             /* (name or nil, the value) */
    MANAGER_ARRAY,             /* (name or nil, a list) */
    MANAGER_QUEUE,             /* (name or nil, how many there may be in it; 0: any number) */
    MANAGER_JOINABLE_QUEUE,    /* what is got from it is lent */
    MANAGER_BATCH,             /* calls, a list each: manager/bundle.h */
    MANAGER_LISTEN,            /* (address, options: manager/listen.c): the address; of its own family only */
    MANAGER_SNAPSHOT,          /* of its own family only: manager/snapshot.h */
    MANAGER_RESTORE,           /* (a snapshot): of its starter only */
    MANAGER_OBJECT,            /* (name or nil, [type, the value it is made from]) */
    MANAGER_REGISTER,          /* (type, begin, end, [name, method, ...]): of its own family only, as */
    MANAGER_FUNCTION,          /* (name, function); these are nil, or a struct module_function's bytes */
    MANAGER_OPEN,              /* (reference, type's word or nil): an id, of which the caller has a handle then */
    MANAGER_TYPE,              /* (reference): the word of its object's type */
};

#define OBJECT_RUN 0xfff0 /* a method of plain objects: (function, its argument): manager/view.h */

/* Bytes that are somebody's. */
struct bytes {
    uint8_t *at;
    size_t size;
};

/* The server's process: its target, with the manager as its argument. */
int host_main(void *arg);

/* Whether this process is its server: in a function of the program's own. */
bool host_serves(const struct brood_manager *manager);

/* The server has been found dead: no zombie of it stays, if this process started it. */
void manager_reap(struct brood_manager *manager);

/* 0, or -EINVAL with a sentence: this is no manager; -EDEADLK: its server calls itself. */
int manager_enter(const struct brood_manager *manager, const char *call);

/* A call to the server, by the calling thread, whose channel has a request: its result, 0 and above, or -errno with a
 * sentence; then, whatever the result, the end, after the reply's content has been read. */
int manager_call(struct brood_manager *manager, const char *call, struct channel *channel);
void manager_end(struct channel *channel);

/* All of it: a call with so many values; *value, if not NULL, is the reply's, which is the caller's to clear, or nil.
 * -EINVAL, -EMSGSIZE, with a sentence: an argument cannot be sent. */
int manager_ask(struct brood_manager *manager, const char *call, const struct request *request,
                const brood_any *const *args, brood_any *value);

/* The same, of a call whose arguments are encoded already, and whose value stays so: *reply is the caller's to free. */
int manager_ask_encoded(struct brood_manager *manager, const char *call, const struct request *request,
                        const struct bytes *args, struct bytes *reply);

/* The same as manager_ask, of a call that the server may answer later, for `timeout_ms` milliseconds, and which says
 * that what it got has arrived. */
int manager_wait(struct brood_manager *manager, const char *call, const struct request *request,
                 const brood_any *const *args, int timeout_ms, brood_any *value);

#endif
