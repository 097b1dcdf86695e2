/* process/postbox.c */
#include "process/postbox.h"

#include "error/error.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/post.h"
#include "process/table.h"
#include "region/region.h"
#include "wait/latch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define OWN_END 0 /* the id of the box's own sending end */
#define SLIPS_MOST \
    201 /* with its own; far below what the sockets hold, so that there is always room to turn one over */
#define PATIENCE INT64_C(20000000) /* ns */
#define SWEEP_EACH 2               /* looked at as one is put in: so the living are at least half of all */

static int box_fd = -1;

static struct postbox *box(void)
{
    return &region->table->postbox;
}

/* ---- the descriptor ---- */

void postbox_found(void)
{
    int ends[2];
    const struct slip own = { .id = OWN_END };
    int failed = post_pair(ends);
    if (failed == 0) {
        post_widen(ends[0]);
        failed = post_offer(ends[0], &own, sizeof own, ends, 1);
        failed = failed < 0 ? failed : shm_identify(ends[1], &box()->file);
        close(ends[0]);
        box_fd = child_out_of_the_way(ends[1]);
        failed = box_fd < 0 ? box_fd : failed;
    }
    box()->failed = failed;
}

void postbox_join(int fd)
{
    box_fd = fd;
    if (postbox_descriptor() >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int postbox_descriptor(void)
{
    return box_fd >= 0 && shm_is(box_fd, &box()->file) ? box_fd : -1;
}

void postbox_moved(int fd)
{
    if (box_fd != fd) /* a store would cost a fresh child the copy of a page */
        box_fd = fd;
}

/* ---- what lies in it ---- */

int postbox_open(struct thread *self, int64_t deadline, const char *call)
{
    if (box()->failed < 0)
        return error_set(ENOTSUP, "%s: the family's first process got no sockets for that: %s", call,
                         strerror(-box()->failed));
    if (postbox_descriptor() < 0)
        return error_set(EBADF, "%s: the program, or who started it, closed brood's descriptor for that", call);
    int64_t patience = clock_now() + PATIENCE;
    return latch_take(self, &box()->latch, patience > deadline ? patience : deadline) < 0 ? -ETIMEDOUT : 0;
}

void postbox_shut(struct thread *self)
{
    latch_drop(self, &box()->latch);
}

uint64_t postbox_number(void)
{
    return ++box()->serial;
}

/* What is `at` so many. Its descriptors: `count` of them, 0 if it has not so many. 0; -EAGAIN: there are not so many;
 * -EMFILE. */
static int fetch(size_t at, struct slip *slip, int *fds, int count)
{
    int came = count;
    int failed = post_rewind(box_fd, at * sizeof *slip);
    int size = failed < 0 ? failed : post_look(box_fd, slip, sizeof *slip, count ? fds : NULL, count ? &came : NULL);
    return size < 0 ? size : size == sizeof *slip && came == count ? 0 : -EPROTO;
}

/* Where the first one of that id lies, from `from` on; *count: how many lie before it, or at all. -ENOENT. */
static int place_of(uint64_t id, int from, int *count)
{
    struct slip slip;
    int failed = post_rewind(box_fd, (size_t)from * sizeof slip);
    *count = from;
    while (failed >= 0 && (failed = post_look(box_fd, &slip, sizeof slip, NULL, NULL)) >= 0) {
        if (slip.id == id)
            return *count;
        ++*count;
    }
    return failed == -EAGAIN || failed == -EPIPE ? -ENOENT : failed; /* EPIPE: not even the sending end is there */
}

int postbox_find(uint64_t id, int ends[2])
{
    struct slip slip;
    int count, at = place_of(id, 0, &count);
    return at < 0 ? at : fetch((size_t)at, &slip, ends, 2);
}

/* Of the sending end; to be closed. */
static int own_end(void)
{
    struct slip slip;
    int end, count, at = place_of(OWN_END, 0, &count);
    int failed = at < 0 ? at : fetch((size_t)at, &slip, &end, 1);
    return failed < 0 ? failed : end;
}

static void close_all(const int *fds, int count)
{
    while (count > 0)
        close(fds[--count]);
}

/* Whether it is needed. Of its own end there are two if one was killed as he turned it over. */
static bool is_needed(const struct slip *slip, bool (*lives)(const struct slip *slip))
{
    int count;
    return slip->id == OWN_END ? place_of(OWN_END, 1, &count) < 0 : lives(slip);
}

/* What lies first goes to the end, or away, if nobody needs it. 0 or -errno. */
static int turn_over(int own, bool (*lives)(const struct slip *slip))
{
    struct slip slip;
    int failed = fetch(0, &slip, NULL, 0), fds[2];
    if (failed < 0)
        return failed;
    if (is_needed(&slip, lives)) {
        int count = slip.id == OWN_END ? 1 : 2;
        if ((failed = fetch(0, &slip, fds, count)) < 0)
            return failed;
        failed = post_offer(own, &slip, sizeof slip, fds, count);
        close_all(fds, count);
        if (failed < 0)
            return failed;
    }
    return post_drop(box_fd);
}

int postbox_put(const struct slip *slip, const int ends[2], bool (*lives)(const struct slip *slip))
{
    int own = own_end(), turned = 0, count;
    if (own < 0)
        return own;
    for (int i = 0; i < SWEEP_EACH && turned == 0; i++)
        turned = turn_over(own, lives);
    place_of(slip->id, 0, &count);
    for (int i = count; count >= SLIPS_MOST && i > 0 && turned == 0; i--)
        turned = turn_over(own, lives);
    if (count >= SLIPS_MOST)
        place_of(slip->id, 0, &count);
    int failed = count < SLIPS_MOST                       ? post_offer(own, slip, sizeof *slip, ends, 2)
                 : turned == -EMFILE || turned == -ENFILE ? turned
                                                          : -ETOOMANYREFS;
    close(own);
    return failed == -EAGAIN ? -ETOOMANYREFS : failed;
}
