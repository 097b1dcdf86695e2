/* brood/manager.h: a server process that holds objects which others work with.
 *
 *     brood_manager *manager = brood_manager_start(NULL);
 *     brood_dict *dict = brood_manager_dict(manager, NULL);
 *     brood_dict_set(dict, "count", 0);
 *     ...                                        any process of the family, once it has the pointer:
 *     brood_dict_add(dict, "count", 1);          one step in the server: no update is lost
 *
 * There are dictionaries (brood/dict.h), lists (brood/list.h), sets (brood/set.h) and namespaces (brood/namespace.h),
 * values (brood/managed_value.h) and arrays (brood/managed_array.h); and what one waits for: locks
 * (brood/managed_lock.h), conditions (brood/managed_condition.h), events (brood/managed_event.h), semaphores
 * (brood/managed_semaphore.h), barriers (brood/managed_barrier.h) and queues (brood/managed_queue.h). Each may stand in
 * another: brood/reference.h. Types and functions of your own run there too: brood/managed_type.h.
 *
 * Objects lie in the private memory of the server, so that nothing a client does, or dies of, can tear them. A call is
 * a message to the server and back through the region: well under a microsecond while both are awake. The server does
 * one call after the other, and takes its clients in turn; one that sends or gets much holds the others up for as long
 * as that is copied, and one that waits holds nobody up. Within a family a plain brood_lock or brood_value is faster
 * still; what a manager adds is structure, dynamic values, names, and that they are safe.
 *
 * Many calls at once cost far less in a batch: brood/batch.h.
 *
 * A handle of an object is a pointer into the region, good in every process of the family. It belongs to the process
 * that asked for it, and is no good when that has ended. Anybody may close it, before the manager is destroyed. An
 * object lives as long as it has a handle or a name, or another one refers to it.
 *
 * The server is a child of the process that started it and ends with that, however it ends. It ignores SIGINT, SIGHUP
 * and SIGQUIT, ends in order at a SIGTERM, and has the standard streams and no other descriptor of yours.
 *
 * Crash rule: what a client that is killed had asked for is done wholly or not at all, nobody else waits for it, and
 * what it held in the server is given back. If the server is killed, all calls, those under way too, fail at once with
 * EOWNERDEAD, and what it held is gone.
 *
 * A thread's first call takes a channel of the manager for itself, which counts as a lock that it holds (ENOLCK: it has
 * 1,024 already), and 4 KiB of the region; it is given to another when the thread is gone.
 *
 * EINVAL, of every call here: the manager is NULL or none, or brood_init has not been called. Of every call to the
 * server: EOWNERDEAD: it was killed.  EPIPE: it was shut down.  ENOMEM: no memory in the region or the server, or more
 * than the server is to have; and where its starter has set limits ENOSPC and EMSGSIZE, as brood_manager_options says.
 */
#ifndef BROOD_MANAGER_H
#define BROOD_MANAGER_H

#include <brood/any.h>
#include <brood/connection.h>
#include <brood/listener.h>
#include <brood/result.h>
#include <brood/start.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_manager brood_manager;
typedef struct brood_dict brood_dict;
typedef struct brood_list brood_list;
typedef struct brood_namespace brood_namespace;
typedef struct brood_set brood_set;
typedef struct brood_managed_value brood_managed_value;
typedef struct brood_managed_array brood_managed_array;
typedef struct brood_managed_lock brood_managed_lock;
typedef struct brood_managed_condition brood_managed_condition;
typedef struct brood_managed_event brood_managed_event;
typedef struct brood_managed_semaphore brood_managed_semaphore;
typedef struct brood_managed_barrier brood_managed_barrier;
typedef struct brood_managed_queue brood_managed_queue;
typedef struct brood_managed_object brood_managed_object;

typedef struct brood_manager_options {
    const char *name;  /* UTF-8, in messages, cut to 19 bytes; NULL: "manager" */
    brood_start start; /* of the server. BROOD_DEFAULT: as everywhere, but the fork server instead of fork where the
                        * program has other threads; the log says so (brood/log.h) */
    /* Limits, for clients that nobody should have to trust with the server's memory. Whoever goes beyond one gets an
     * error, and nothing is changed, for him or for others. 0: none. */
    size_t max_objects; /* that live at once: ENOSPC, of what would make one more */
    size_t max_memory;  /* bytes that contents and names take, as brood_manager_stats has them: ENOMEM. A call that
                         * changes all or nothing needs room for both meanwhile */
    size_t max_message; /* bytes of a call's arguments, and of what a get, a slice, all items and the like would answer,
                         * encoded (brood/any.h); 256 at least: EMSGSIZE. For brood_manager_listen see max_message
                         * there, too: of longer messages not even the arguments are read */
    size_t max_depth;   /* how deep lists and maps may lie in a value, from 1 to 64, which 0 means too: EMSGSIZE */
    const char *load;   /* a file of brood_manager_save, the caller's to read: its objects are there from the beginning.
                         * NULL: none are */
    void *reserved[3];
} brood_manager_options;

/* Starts a server, and returns when it can be called. By fork it begins as a copy of its starter's memory.
 * NULL, EINVAL: bad options.  EOWNERDEAD: the server ended as it began; the sentence says how.  And what
 * brood_process_start says. If the starter is killed in it, the server ends too.
 * Of a file to load besides, and then no server is there: what open(2) and read(2) say.  EBADMSG: it is torn, changed,
 * or no file of brood_manager_save.  EFBIG: 4 GiB or more.  ENOSPC, ENOMEM, EMSGSIZE: more, or deeper, than the limits
 * say, or than there is memory for. */
BROOD_API brood_manager *brood_manager_start(const brood_manager_options *options);

/* Ends the server, and returns when it is gone: calls under way, and those to come, fail with EPIPE. 0, also if it has
 * ended already. A server that does not end within 5 seconds is killed. ECHILD: another process started it. */
BROOD_API int brood_manager_shutdown(brood_manager *manager);

/* The same, and gives back the memory of the manager: nobody may use it meanwhile or afterwards. NULL is fine. The
 * channels of other threads that live are given back by their next call to any manager. ECHILD: another process started
 * it. */
BROOD_API int brood_manager_destroy(brood_manager *manager);

/* Has the server listen at an address too, for those outside the family: brood/listener.h has addresses, keys, TLS, and
 * what strangers meet with. Any process of the family may call it, any number of times. Files and relative paths are
 * the server's to open; texts are UTF-8. Without a key whoever reaches the address may do with the objects as he likes:
 * a path is guarded by its folder, a port by nothing. At most 1,000 connections are served at a time; more wait. One
 * that has proved its key, but does not say what a client begins with, is closed after handshake_ms more (0: 10,000).
 * 0, and who connects from then on is served.  EADDRINUSE, EACCES, EADDRNOTAVAIL, ENOENT, ENOTSUP, EMFILE, ENFILE: as
 * brood_listener_create says.  ECHILD: the manager is another family's. */
BROOD_API int brood_manager_listen(brood_manager *manager, const char *address, const brood_listener_options *options);

/* Where it listens: what the last brood_manager_listen was given, with the port that the system chose, good until the
 * next. Of a manager that was connected to: that address. NULL, ENOENT: nowhere. */
BROOD_API const char *brood_manager_address(const brood_manager *manager);

/* Connects to the server of a manager of another family, in another program or on another machine, which listens there:
 * what is here called with the manager that it returns, and with handles of its objects, is done there. brood/
 * connection.h says what keys and TLS are worth; docs/protocol.md what is spoken, so that other languages can.
 *
 * It and its handles are the calling process' own: in others, forked ones too, calls are EPERM. Each thread that calls
 * has a connection of its own, until it ends; one more keeps the handles while there is no such thread.
 * brood_manager_destroy closes them all; its server is not this family's to shut down (ECHILD), and its process id is
 * 0.
 *
 * Crash rule: of a client that dies, or that the network loses, the server gives back what it held, as of one of its
 * family. A lock, unit or item that was sent, and of which the client had no time to say that it has arrived, is passed
 * on as from the dead, with a result above 0: he may have used it, or not; so an item of a plain queue may, of a client
 * whose line is cut, come twice. What it had asked for is done wholly or not at all. EOWNERDEAD, of every call from
 * then on: the server was killed, or the line is cut: what was asked for may have been done, or not. EPIPE: it was shut
 * down.
 * NULL, and errno: what brood_connection_open says (EACCES: the key).  EPROTO: what answers is no such server, or of
 * another version.  EOWNERDEAD: it hung up.  ENOMEM. */
BROOD_API brood_manager *brood_manager_connect(const char *address, const brood_connection_options *options);

/* The server's process id; 0: it has ended. For messages, and to look at it. */
BROOD_API int brood_manager_pid(const brood_manager *manager);

typedef struct brood_manager_stats {
    size_t objects; /* that live */
    size_t handles; /* of objects, of all processes */
    size_t memory;  /* bytes that the objects' contents take, roughly as malloc(3) counts */
    size_t clients; /* channels that threads have, those of the dead that the server has not seen yet included */
    uint64_t calls; /* done so far, this one included; those in batches, too, each of which is one besides */
    size_t waiting; /* of the clients: for a lock, an event and the like */
    void *reserved[5];
} brood_manager_stats;

/* Asks the server. EINVAL: also, `stats` is NULL. */
BROOD_API int brood_manager_stat(brood_manager *manager, brood_manager_stats *stats);

/* Writes the objects that have a name, and what they refer to, to a file, for brood_manager_options.load: dictionaries,
 * lists, sets, namespaces, values and arrays, as they are at one moment; others, references to them, and who has
 * handles, are not kept. The server does no more than
 * copy them into the region; the file is written by the caller, meanwhile others are served. It is CBOR with a checksum
 * (docs/protocol.md).
 *
 * It is written as `path` with ".new" behind it, which is overwritten, and takes the place of the old one when all of
 * it is on the disk (fsync(2)). Who looks there finds the old file or the new one, whole, also if the caller is killed
 * in it or the machine loses its power; ".new" may be left then, until the next time. Its rights are what umask(2)
 * leaves of 0666.
 * 0.  EBUSY: another call saves there now.  EFBIG: more than RLIMIT_FSIZE, or 4 GiB.  ECHILD: the manager is another
 * family's.  EINVAL: also, the path is NULL, or ".new" is there and no file.  ENAMETOOLONG, and what open(2), write(2),
 * fsync(2) and rename(2) say: nothing is changed, and ".new" is gone. */
BROOD_API int brood_manager_save(brood_manager *manager, const char *path);

/* A new handle of the object of that name, which is made if there is none; NULL: of a new one without a name. A caller
 * killed in it loses some 64 bytes of the region at most. NULL, EINVAL: the name is no UTF-8, or that of an object of
 * another type. (An rlock is a recursive lock.) */
BROOD_API brood_dict *brood_manager_dict(brood_manager *manager, const char *name);
BROOD_API brood_list *brood_manager_list(brood_manager *manager, const char *name);
BROOD_API brood_namespace *brood_manager_namespace(brood_manager *manager, const char *name);
BROOD_API brood_set *brood_manager_set(brood_manager *manager, const char *name);
BROOD_API brood_managed_lock *brood_manager_lock(brood_manager *manager, const char *name);
BROOD_API brood_managed_lock *brood_manager_rlock(brood_manager *manager, const char *name);
BROOD_API brood_managed_condition *brood_manager_condition(brood_manager *manager, const char *name);
BROOD_API brood_managed_event *brood_manager_event(brood_manager *manager, const char *name);

/* The same, of what has a number: how many units a new semaphore has, 0 (a bounded one: 1) to INT_MAX; for how many
 * parties a new barrier is, 1 to 1,000,000; how many items may be in a new queue, 0: any number. One that is there
 * already has the number that it was made with. NULL, EINVAL: also, the number. */
BROOD_API brood_managed_semaphore *brood_manager_semaphore(brood_manager *manager, const char *name, int units);
BROOD_API brood_managed_semaphore *brood_manager_bounded_semaphore(brood_manager *manager, const char *name, int units);
BROOD_API brood_managed_barrier *brood_manager_barrier(brood_manager *manager, const char *name, int parties);
BROOD_API brood_managed_queue *brood_manager_queue(brood_manager *manager, const char *name, int max_items);
BROOD_API brood_managed_queue *brood_manager_joinable_queue(brood_manager *manager, const char *name, int max_items);

/* The same, of what begins with something: a new value; the items of a new array, a list, which has so many for ever.
 * One that is there already is as it is. In C these are plain C values or a brood_any. NULL, EINVAL: also, the value is
 * NULL, or has a string that is no UTF-8; the items are no list.  EMSGSIZE: lists and maps lie more than 64 deep, or
 * max_depth. */
BROOD_API brood_managed_value *brood_manager_value(brood_manager *manager, const char *name, const brood_any *value);
BROOD_API brood_managed_array *brood_manager_array(brood_manager *manager, const char *name, const brood_any *items);

/* The name refers to its object no longer, which goes if nothing else keeps it. ENOENT: no object has that name. */
BROOD_API int brood_manager_forget(brood_manager *manager, const char *name);

#ifdef __cplusplus
}
#else
#define brood_manager_value(manager, name, value) (brood_manager_value)((manager), (name), BROOD_ANY(value))
#define brood_manager_array(manager, name, items) (brood_manager_array)((manager), (name), BROOD_ANY(items))
#endif

#endif
