/* manager/flag.h: what can be asked of an event; in the server, and in requests. (flag.c serves it.)
 */
#ifndef MANAGER_FLAG_H
#define MANAGER_FLAG_H

enum event_method {
    EVENT_SET,
    EVENT_CLEAR,
    EVENT_WAIT, /* (whether to wait) */
    EVENT_METHODS,
};

#endif
