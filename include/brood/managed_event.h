/* brood/managed_event.h: an event in a manager: something that has happened or not yet, and those who wait for it.
 *
 * Setting it releases everyone who waits at that moment, even if it is cleared again at once. Within a family a
 * brood_event (brood/event.h) is faster; this one is found by its name.
 *
 * Crash rule: a set, or a clear, that a process is killed in has happened or has not; if it has, all who waited are
 * told. Who dies waiting leaves no trace. An event knows nobody who would have to set it: those who wait for one who
 * died wait on. Wait with a timeout, or for the process.
 *
 * EINVAL, of every call: the event is NULL or none, or its process has ended; it is gone (it has neither handle nor
 * name) while one waits. And what brood/manager.h says of every call to the server: its end ends all waits at once.
 */
#ifndef BROOD_MANAGED_EVENT_H
#define BROOD_MANAGED_EVENT_H

#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_managed_event_close(brood_managed_event *event);

/* It has happened: all who wait return, and all who come, until it is cleared. Setting it twice is setting it once. */
BROOD_API int brood_managed_event_set(brood_managed_event *event);

/* It has not happened yet, again. */
BROOD_API int brood_managed_event_clear(brood_managed_event *event);

/* Waits until it is set, up to `timeout_ms` milliseconds (0: only looks, BROOD_FOREVER: never gives up).
 * 0: it is set, or has been since this call began.  ETIMEDOUT: it has not.  EINVAL: also, the timeout. */
BROOD_API int brood_managed_event_wait(brood_managed_event *event, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
