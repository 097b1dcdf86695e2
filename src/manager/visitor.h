/* manager/visitor.h: one who calls a server over a line, from outside its family: docs/protocol.md.
 *
 * A visitor has a channel of the manager, as a thread of the family has: the server's loop knows no difference. A
 * request that comes over the line is put into the channel, and what the channel replies goes out over the line; when
 * the line ends the channel is left as by one who died. Requests are done one after the other, and none is taken up
 * while the answer to the last has not been sent wholly, so that no visitor makes the server keep more than one of
 * each. Nothing here waits.
 */
#ifndef MANAGER_VISITOR_H
#define MANAGER_VISITOR_H

#include "manager/manager.h"
#include "os/lookout.h"

#include <brood/connection.h>

struct visitor {
    struct visitor *next;
    bool ended;       /* it is over: visitor_end */
    bool asks;        /* its channel has a request that is not answered */
    bool more;        /* visitor_look has left something to be done */
    int64_t hello_by; /* visitor_late then; CLOCK_NEVER: it has been said */
    struct visitor_line *line;
};

/* Takes the connection over; `hello` must be said until that time. NULL: no memory, and it is closed. */
struct visitor *visitor_begin(struct brood_manager *manager, struct lookout *lookout, brood_connection *end,
                              size_t max_message, int64_t hello_by);

/* There is something to read or room to write; its request has been answered; as far as it goes. */
void visitor_look(struct visitor *visitor);
void visitor_answer(struct visitor *visitor);
bool visitor_is_answered(const struct visitor *visitor);

/* It has not said `hello` in time: it is over. */
void visitor_late(struct visitor *visitor);

/* politely: the server ends, and says so. */
void visitor_end(struct visitor *visitor, bool politely);

#endif
