/* exchange/wait.c: brood/wait.h, once: on words alone by one system call, else by a watch that is made for it. */
#include "error/error.h"
#include "exchange/waitable.h"
#include "exchange/watch.h"
#include "region/region.h"
#include "wait/latch.h"

#include <errno.h>
#include <stdlib.h>

static const char call[] = "brood_wait";

static bool are_words(const brood_waitable *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!waitable_has_word(&items[i]))
            return false;
    return count <= FUTEX_WATCH_MOST;
}

/* How many are ready; 0: none, and how to hear of them. -EAGAIN: words alone do not tell of all. -errno with a
 * sentence. *until: when to look again though nobody says so. */
static int look(brood_waitable *items, size_t count, struct futex_watch *words, unsigned *slept_on, int64_t *until)
{
    int ready = 0;
    bool naps = false, others = false;
    *slept_on = 0;
    for (size_t i = 0; i < count; i++) {
        struct waitable_news news;
        int is = waitable_announce(&items[i], call, &news);
        if (is < 0)
            return is;
        items[i].ready = is;
        ready += is;
        if (is)
            continue;
        if (news.word.word)
            words[(*slept_on)++] = news.word;
        naps = naps || news.naps;
        others = others || news.process;
    }
    *until = naps ? clock_now() + WAITABLE_NAP : CLOCK_NEVER;
    return ready == 0 && others ? -EAGAIN : ready;
}

static _Atomic uint32_t nobody_wakes;

static int wait_for_words(brood_waitable *items, size_t count, int64_t deadline)
{
    struct futex_watch words[FUTEX_WATCH_MOST];
    for (;;) {
        unsigned slept_on;
        int64_t until = CLOCK_NEVER;
        int ready = look(items, count, words, &slept_on, &until);
        if (ready == -EAGAIN ? clock_now() < deadline : ready != 0)
            return ready;
        if (clock_now() >= deadline)
            return -ETIMEDOUT;
        int64_t end = until < deadline ? until : deadline;
        if (slept_on > 0)
            futex_sleep_any(words, slept_on, end);
        else
            futex_sleep(&nobody_wakes, 0, end); /* there are owned semaphores alone */
    }
}

static int add_all(brood_watch *watch, const brood_waitable *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        brood_waitable item = items[i];
        item.tag = (void *)i; /* what comes back says by it which it was */
        int failed = watch_add(watch, &item, call);
        if (failed < 0)
            return failed;
    }
    return 0;
}

static int wait_by_watch(brood_waitable *items, size_t count, int64_t deadline)
{
    brood_watch *watch = watch_create(call);
    if (!watch)
        return -errno;
    brood_waitable *ready = calloc(count, sizeof *ready);
    if (!ready) {
        watch_destroy(watch);
        return error_set(ENOMEM, "%s: no memory", call);
    }
    int result = add_all(watch, items, count);
    if (result == 0)
        result = watch_wait(watch, ready, count, deadline, call);
    for (size_t i = 0; i < count; i++)
        items[i].ready = 0;
    for (int i = 0; i < result; i++)
        items[(size_t)ready[i].tag].ready = ready[i].ready;
    free(ready);
    watch_destroy(watch);
    return result;
}

int brood_wait(brood_waitable *items, size_t count, int timeout_ms)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!items || count == 0)
        return error_set(EINVAL, "%s: there is nothing to wait for", call);
    if (timeout_ms < BROOD_FOREVER)
        return error_set(EINVAL, "%s: a timeout of %d ms", call, timeout_ms);
    int64_t deadline = clock_deadline(timeout_ms);
    int result = are_words(items, count) ? wait_for_words(items, count, deadline) : -EAGAIN;
    if (result == -EAGAIN)
        result = wait_by_watch(items, count, deadline);
    if (result == -ETIMEDOUT)
        error_set(ETIMEDOUT, "none of %zu things was ready, after %d ms", count, timeout_ms);
    return result;
}
