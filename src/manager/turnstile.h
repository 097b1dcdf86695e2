/* manager/turnstile.h: what can be asked of a lock, and of a condition, which has a lock of its own; in the server, and
 * in requests. (turnstile.c serves both.)
 */
#ifndef MANAGER_TURNSTILE_H
#define MANAGER_TURNSTILE_H

enum lock_method {
    LOCK_ACQUIRE, /* (whether to wait) */
    LOCK_RELEASE,
    LOCK_HOLDER,      /* a process */
    CONDITION_WAIT,   /* (whether to wait) */
    CONDITION_NOTIFY, /* (how many) */
    LOCK_METHODS,
};

#endif
