/* manager/gathering.h: what can be asked of a barrier; in the server, and in requests. (gathering.c serves it.)
 */
#ifndef MANAGER_GATHERING_H
#define MANAGER_GATHERING_H

#define BARRIER_PARTIES_MOST 1000000

enum barrier_method {
    BARRIER_WAIT, /* (whether to wait) */
    BARRIER_ABORT,
    BARRIER_RESET,
    BARRIER_WAITING,
    BARRIER_METHODS,
};

#endif
