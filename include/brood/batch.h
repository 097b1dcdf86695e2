/* brood/batch.h: several calls to the objects of a manager, sent as one message and answered as one.
 *
 *     brood_batch *batch = brood_batch_create(manager);
 *     for (int i = 0; i < 1000; i++)
 *         brood_batch_call(batch, dict, "set", (brood_any[]){ brood_any_int(i), brood_any_string("new") }, 2);
 *     int failed = brood_batch_run(batch);
 *
 * What a message costs, above all to another machine, is paid once for all of them: a small call in a batch takes
 * well under a microsecond. They are done in their order, each as if it had been called by itself: one that fails
 * keeps none of the others from being done, and each is one step. The batch is none: do not count on nobody's call
 * coming in between. As long as the server is at a batch it serves nobody else.
 *
 * A batch is private memory of the process that made it, for one thread at a time; a forked child has one of its own.
 * It is run by the thread that calls brood_batch_run, over the region or by address, wherever its manager is.
 *
 * Crash rule: of a caller that is killed in brood_batch_run the calls up to some one have been done, perhaps none or
 * all, and the others not. If the server is killed it is EOWNERDEAD, as of any call: brood/manager.h.
 *
 * EINVAL, of every call here: the batch is NULL or none.
 */
#ifndef BROOD_BATCH_H
#define BROOD_BATCH_H

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BROOD_BATCH_MOST 65535 /* calls in one */

typedef struct brood_batch brood_batch;

/* A batch for objects of that manager, without a call. NULL, EINVAL: the manager is NULL or none.  ENOMEM. */
BROOD_API brood_batch *brood_batch_create(brood_manager *manager);

/* Gives back its memory, and the results that it has. NULL is fine. */
BROOD_API int brood_batch_destroy(brood_batch *batch);

/* Puts a call into the batch: `operation` of the object, with `count` values, which are copied. After a run the first
 * call that is put begins anew, and the results are gone. `object` is a handle of a dictionary, list, set, namespace,
 * value, array or object of your own type of the manager; docs/protocol.md lists what may be asked of each, in one
 * table, with the arguments: "set" here is what stands there as `dict.set`, if the object is a dictionary.
 * The call's number, 0 and up. Nothing is put, if it is below 0: EINVAL: the object is NULL, none of these, or
 * another manager's; it has no such operation; the values are NULL, or fewer than none; a string is no UTF-8, or
 * something of no kind.  EMSGSIZE: lists and maps lie too deep, or there are BROOD_BATCH_MOST calls.  ENOMEM.
 * (Whether there are as many values as the operation takes is told with its result: EINVAL.) */
BROOD_API int brood_batch_call(brood_batch *batch, const void *object, const char *operation, const brood_any *values,
                               int count);

/* Sends the calls, and returns when all are done: how many of them failed, 0 if none did, or there were none. The
 * batch then has their results; the calls themselves are gone, whatever comes of them. Below 0 it has no results:
 * EMSGSIZE, by address: it is larger than the server takes, and nothing has been done.  ENOMEM: also, there is no
 * memory for the answers, and the calls may have been done. (Where the manager's starter has set max_message,
 * results that do not fit into as much together are EMSGSIZE, and their calls have been done.)  And what
 * brood/manager.h says of every call to the server. */
BROOD_API int brood_batch_run(brood_batch *batch);

/* What became of the call of that number, as the call by itself would have said: its result, 0 or above, with its value
 * in *value, which is yours to clear (NULL: it is not wanted; nil, if it has none); or -errno, with its sentence. Where
 * a call by itself returns a number of things, that is the value.
 * EINVAL: also, the batch has no such result.  ENOMEM: no memory for the value. */
BROOD_API int brood_batch_result(brood_batch *batch, int number, brood_any *value);

#ifdef __cplusplus
}
#endif

#endif
