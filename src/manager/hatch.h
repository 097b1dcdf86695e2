/* manager/hatch.h: what can be asked of a queue; in the server, and in requests. (hatch.c serves it.)
 */
#ifndef MANAGER_HATCH_H
#define MANAGER_HATCH_H

enum queue_method {
    QUEUE_PUT, /* (item, whether to wait) */
    QUEUE_GET, /* (whether to wait) */
    QUEUE_DONE,
    QUEUE_JOIN, /* (whether to wait) */
    QUEUE_SHUTDOWN,
    QUEUE_COUNT,
    QUEUE_CAPACITY,
    QUEUE_METHODS,
};

#endif
