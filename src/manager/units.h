/* manager/units.h: what can be asked of a semaphore; in the server, and in requests. (units.c serves it.)
 */
#ifndef MANAGER_UNITS_H
#define MANAGER_UNITS_H

enum semaphore_method {
    SEMAPHORE_ACQUIRE, /* (whether to wait) */
    SEMAPHORE_RELEASE,
    SEMAPHORE_UNITS,
    SEMAPHORE_METHODS,
};

#endif
