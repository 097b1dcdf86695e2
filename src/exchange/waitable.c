/* exchange/waitable.c */
#include "exchange/waitable.h"

#include "error/error.h"
#include "exchange/pipe.h"
#include "region/region.h"
#include "sync/event.h"
#include "sync/semaphore.h"

#include <brood/connection.h>
#include <brood/listener.h>
#include <brood/process.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

static _Atomic(waitable_announcer *) announcers[BROOD_WAIT_POOL + 1]; /* NULL: there is no such thing yet */

void waitable_announce_by(brood_wait_kind kind, waitable_announcer *announcer)
{
    atomic_store(&announcers[kind], announcer);
}

/* Of a room above this one. */
static bool is_higher(const brood_waitable *item)
{
    return item->kind == BROOD_WAIT_RESULT || item->kind == BROOD_WAIT_POOL;
}

/* The end of a pipe; other connections have a descriptor. */
static bool is_pipe(const brood_waitable *item)
{
    return item->kind == BROOD_WAIT_CONNECTION && region_contains(item->object);
}

bool waitable_has_word(const brood_waitable *item)
{
    return item->kind == BROOD_WAIT_EVENT || item->kind == BROOD_WAIT_SEMAPHORE || item->kind == BROOD_WAIT_QUEUE ||
           is_higher(item) || is_pipe(item);
}

int waitable_descriptor(const brood_waitable *item, const char *call, int *fd)
{
    void *object = (void *)(uintptr_t)item->object;
    switch (item->kind) {
    case BROOD_WAIT_PROCESS:
        *fd = brood_process_fd(object);
        return *fd < 0 ? *fd : 0;
    case BROOD_WAIT_CONNECTION:
        *fd = brood_connection_fd(object);
        return *fd < 0 ? *fd : 0;
    case BROOD_WAIT_LISTENER:
        *fd = brood_listener_fd(object);
        return *fd < 0 ? *fd : 0;
    case BROOD_WAIT_FD:
        break;
    default:
        return error_set(EINVAL, "%s: %d is no kind of thing to wait for", call, (int)item->kind);
    }
    if (item->want & ~(BROOD_READABLE | BROOD_WRITABLE))
        return error_set(EINVAL, "%s: of descriptor %d something else is wanted than to be readable or writable", call,
                         item->fd);
    if (fcntl(item->fd, F_GETFD) < 0)
        return error_set(EBADF, "%s: %d is no open descriptor", call, item->fd);
    *fd = item->fd;
    return 0;
}

int waitable_announce(const brood_waitable *item, const char *call, struct waitable_news *news)
{
    void *object = (void *)(uintptr_t)item->object;
    *news = (struct waitable_news){ 0 };
    if (is_pipe(item)) {
        brood_queue *queue;
        int failed = pipe_queue(object, call, &queue);
        if (failed == -ETIMEDOUT) { /* others are in the way, just now */
            news->naps = true;
            return 0;
        }
        return failed < 0 ? failed : queue_announce(queue, BROOD_GETS, call, news);
    }
    if (is_higher(item)) {
        waitable_announcer *announcer = atomic_load(&announcers[item->kind]);
        return announcer ? announcer(object, call, news) : error_set(EINVAL, "%s: this process has no pool", call);
    }
    if (item->kind == BROOD_WAIT_QUEUE)
        return queue_announce(object, item->want ? item->want : BROOD_GETS, call, news);
    int ready = item->kind == BROOD_WAIT_EVENT ? event_announce(object, call, &news->word)
                                               : semaphore_announce(object, call, &news->word);
    news->naps = ready == 0 && !news->word.word;
    return ready;
}

bool waitable_is(const brood_waitable *item, const brood_waitable *other)
{
    if (item->kind == BROOD_WAIT_FD)
        return other->kind == BROOD_WAIT_FD && item->fd == other->fd;
    return item->kind == other->kind && item->object == other->object &&
           (item->kind != BROOD_WAIT_QUEUE || item->want == other->want);
}
