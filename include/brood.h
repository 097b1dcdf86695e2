/* brood.h: multiprocessing for C. Includes every noun; each header is the manual of its own.
 *
 * What holds for all of them:
 * - Result: a pointer, or NULL with errno set; or an int: 0 done, > 0 done and there is something to know (or a count,
 *   where a call says so), < 0 a negative errno: not done, nothing held or changed. brood_error() has the sentence.
 * - timeout_ms: 0 tries once, BROOD_FOREVER waits on, any other negative is EINVAL. Time is CLOCK_MONOTONIC, and a
 *   signal does not cut a wait short.
 * - Options: NULL, or a struct whose zero value is the default. What they point to is copied; `reserved` must be zero
 *   (else EINVAL: the caller was built against a newer brood).
 * - Any thread of any process of the family may call, a signal handler may not, unless a call says otherwise. After
 *   vfork(2) or a raw clone(2) no call is allowed; after fork(2) the child is a new process of the family that owns
 *   nothing of its parent's. A thread must not be cancelled (pthread_cancel) inside a call.
 * - "Killed" means any sudden end: SIGKILL, a crash, the OOM killer, _exit. A thread "dies" when it ends in whatever
 *   way: killed, by returning or pthread_exit, or because its process executes another program.
 */
#ifndef BROOD_H
#define BROOD_H

#include <brood/any.h>
#include <brood/array.h>
#include <brood/async.h>
#include <brood/barrier.h>
#include <brood/batch.h>
#include <brood/block.h>
#include <brood/condition.h>
#include <brood/connection.h>
#include <brood/dict.h>
#include <brood/end.h>
#include <brood/event.h>
#include <brood/family.h>
#include <brood/list.h>
#include <brood/listener.h>
#include <brood/lock.h>
#include <brood/log.h>
#include <brood/managed_array.h>
#include <brood/managed_barrier.h>
#include <brood/managed_condition.h>
#include <brood/managed_event.h>
#include <brood/managed_lock.h>
#include <brood/managed_queue.h>
#include <brood/managed_semaphore.h>
#include <brood/managed_type.h>
#include <brood/managed_value.h>
#include <brood/manager.h>
#include <brood/memory.h>
#include <brood/namespace.h>
#include <brood/pipe.h>
#include <brood/pool.h>
#include <brood/process.h>
#include <brood/progress.h>
#include <brood/queue.h>
#include <brood/reference.h>
#include <brood/result.h>
#include <brood/rwlock.h>
#include <brood/semaphore.h>
#include <brood/set.h>
#include <brood/start.h>
#include <brood/stats.h>
#include <brood/task.h>
#include <brood/type.h>
#include <brood/value.h>
#include <brood/wait.h>
#include <brood/waiter.h>

#endif
