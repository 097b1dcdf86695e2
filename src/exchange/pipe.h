/* exchange/pipe.h: the end of a pipe among many things that are waited for. */
#ifndef EXCHANGE_PIPE_H
#define EXCHANGE_PIPE_H

#include <brood/pipe.h>
#include <brood/queue.h>

/* *queue: what it receives from: a message is there when a get from that would not wait. The process has the end from
 * now on. 0; -EINVAL: it is no end of a pipe that receives, or this process has closed it; -ENOMEM; -ETIMEDOUT: others
 * were in the way. With sentences, of the call `call`. */
int pipe_queue(const brood_connection *memory, const char *call, brood_queue **queue);

#endif
