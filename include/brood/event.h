/* brood/event.h: something that has happened or not yet, and those who wait for it.
 *
 * A brood_event is 64 bytes in a struct of yours, in the region; zeroed memory is one that is not set. Any thread of
 * any process of the family may use it; a signal handler may call brood_event_set.
 *
 * Setting it releases everyone who waits at that moment, even if it is cleared again at once: whoever began to wait
 * before the set returns, and none can be made to wait for the next one. What was stored before the set is seen by
 * those it releases.
 *
 * Crash rule: a set, or a clear, has happened or has not, whenever in the call a process is killed; if it has, all who
 * waited are awake: kernel and call do both as one step. Who dies waiting leaves no trace. An event knows nobody who
 * would have to set it: those who wait for one who died wait on. Wait with a timeout, or for the process.
 *
 * Never free, unmap or reuse memory that holds an event which is waited for.
 *
 * EINVAL, of every call: the event is NULL, not in the region, not aligned to 8 bytes, or its memory is neither zeroed
 * nor an event's; or brood_init has not been called. Not repeated below.
 */
#ifndef BROOD_EVENT_H
#define BROOD_EVENT_H

#include <brood/result.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_event {
    uint64_t opaque[8] __attribute__((aligned(8)));
} brood_event;

/* Makes `event` one that is not set: needed for a name only. Its memory must be zeroed, or an event's after
 * brood_event_fini. EBUSY: it is an event already: it has been initialised, or used, before. ENOMEM: no room for the
 * name. */
BROOD_API int brood_event_init(brood_event *event, const brood_name_options *options);

/* Ends its use: the memory is zeroed, and the name freed: one without may just as well be forgotten with the memory
 * that holds it. NULL is fine, and it may be set.
 * EBUSY: somebody waits for it, asleep at this moment; who is just about to cannot be seen. */
BROOD_API int brood_event_fini(brood_event *event);

/* It has happened: all who wait return, and all who come, until it is cleared. Setting it twice is setting it once.
 * A signal handler may call this, whatever it interrupts; should it fail there, brood_error()'s sentence is the
 * handler's. */
BROOD_API int brood_event_set(brood_event *event);

/* It has not happened yet, again. */
BROOD_API int brood_event_clear(brood_event *event);

/* Waits until it is set, up to `timeout_ms` milliseconds (0: only looks, BROOD_FOREVER: never gives up).
 * 0: it is set, or has been since this call began.  ETIMEDOUT: it has not. */
BROOD_API int brood_event_wait(brood_event *event, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
