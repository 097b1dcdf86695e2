/* manager/link.c */
#include "manager/link.h"

#include "error/error.h"
#include "os/clock.h"
#include "os/thread.h"

#include <brood/memory.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAY_ROOM 32 /* bytes of what is said of a request */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;
static _Thread_local struct link *mine;

/* In a forked child it is its parent's, and only forgotten. */
static void drop(struct link *link)
{
    struct remote *remote = link->remote;
    if (remote->process == thread_self()->process) {
        pthread_mutex_lock(&remote->guard);
        struct link **place = &remote->links;
        while (*place != link)
            place = &(*place)->next;
        *place = link->next;
        brood_connection_close(link->end);
        pthread_mutex_unlock(&remote->guard);
        remote_release(remote);
    }
    free(link);
}

static void drop_all(void *first)
{
    (void)first;
    while (mine) {
        struct link *link = mine;
        mine = link->next_of_thread;
        drop(link);
    }
}

static void prepare(void)
{
    pthread_key_create(&thread_end, drop_all);
}

/* Those of others that are closed are freed on the way. */
struct link *link_find(const struct remote *remote)
{
    for (struct link **place = &mine, *link; (link = *place);) {
        if (atomic_load(&link->remote->closed)) {
            *place = link->next_of_thread;
            drop(link);
        } else if (link->remote == remote) {
            return link;
        } else {
            place = &link->next_of_thread;
        }
    }
    return NULL;
}

struct link *link_make(struct remote *remote, brood_connection *end)
{
    struct link *link = calloc(1, sizeof *link);
    if (!link) {
        brood_connection_close(end);
        return NULL;
    }
    link->end = end;
    link->remote = remote;
    return link;
}

void link_discard(struct link *link)
{
    if (!link)
        return;
    brood_connection_close(link->end);
    free(link);
}

bool link_own(struct link *link)
{
    struct remote *remote = link->remote;
    pthread_once(&once, prepare);
    if (pthread_setspecific(thread_end, link) != 0)
        return false;
    link->next_of_thread = mine;
    mine = link;
    atomic_fetch_add(&remote->uses, 1);
    pthread_mutex_lock(&remote->guard);
    link->next = remote->links;
    remote->links = link;
    pthread_mutex_unlock(&remote->guard);
    return true;
}

void links_close(struct remote *remote)
{
    pthread_mutex_lock(&remote->guard);
    for (struct link *link = remote->links; link; link = link->next) {
        brood_connection_close(link->end);
        link->end = NULL;
    }
    pthread_mutex_unlock(&remote->guard);
    atomic_store(&remote->closed, true);
}

/* ---- one request ---- */

/* The other end hears of it at once: what this thread has there is given back. */
static int lose(struct link *link, int code, const char *why)
{
    link->failed = code;
    snprintf(link->why, sizeof link->why, "%s", why);
    pthread_mutex_lock(&link->remote->guard);
    brood_connection_close(link->end);
    link->end = NULL;
    pthread_mutex_unlock(&link->remote->guard);
    return error_set(code, "%s", link->why);
}

/* One that is closed may have been told why: that is still to be received. */
static int send_bytes(struct link *link, const void *bytes, size_t size)
{
    int failed = brood_connection_send(link->end, bytes, size, BROOD_FOREVER);
    if (failed == -EPIPE)
        return 0;
    return failed < 0 ? lose(link, EOWNERDEAD, brood_error()) : 0;
}

int link_say(struct link *link, const char *operation)
{
    uint8_t bytes[SAY_ROOM];
    const struct item head = { .kind = BROOD_LIST, .natural = 2 }, number = item_int(link->number);
    const struct item name = { .kind = BROOD_STRING, .bytes = (const uint8_t *)operation, .size = strlen(operation) };
    struct out out = { .bytes = bytes, .room = sizeof bytes };
    item_write(&out, &head);
    item_write(&out, &number);
    item_write(&out, &name);
    return send_bytes(link, bytes, out.size);
}

/* Milliseconds, rounded up. */
static int left_until(int64_t deadline)
{
    int64_t left = deadline == CLOCK_NEVER ? -1 : deadline - clock_now();
    int64_t ms = deadline == CLOCK_NEVER ? BROOD_FOREVER : left <= 0 ? 0 : (left + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* What came instead of an answer: the server's last word, or none that can be understood. */
static int take_last_word(struct link *link, const struct link_answer *answer, bool is_word)
{
    brood_any sentence;
    if (!is_word || brood_any_decode(answer->value.at, (size_t)(answer->value.end - answer->value.at), &sentence) < 0)
        return lose(link, EPROTO, "it answers something else");
    int failed = lose(link, -answer->result, sentence.string);
    brood_any_clear(&sentence);
    return failed;
}

int link_exchange(struct link *link, const void *request, size_t size, int timeout_ms, struct link_answer *answer)
{
    int64_t deadline = clock_deadline(timeout_ms);
    int failed = send_bytes(link, request, size);
    while (failed == 0) {
        failed = brood_connection_recv_block(link->end, &answer->block, left_until(deadline));
        if (failed == -ETIMEDOUT && deadline != CLOCK_NEVER) {
            deadline = CLOCK_NEVER;
            failed = link_say(link, "cancel");
            continue;
        }
        if (failed < 0)
            return lose(link, failed == -ENOMEM ? ENOMEM : EOWNERDEAD, brood_error());
        struct item number;
        failed = message_answered(answer->block.data, answer->block.size, &number, &answer->result, &answer->value);
        if (failed == 0 && number.kind == BROOD_INT && number.integer == link->number)
            return 0;
        failed = take_last_word(link, answer, failed == 0 && number.kind == BROOD_NIL && answer->result < 0);
        brood_free(answer->block.data);
    }
    return failed;
}
