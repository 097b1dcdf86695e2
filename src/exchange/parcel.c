/* exchange/parcel.c */
#include "exchange/parcel.h"

#include "error/error.h"
#include "os/clock.h"
#include "os/post.h"
#include "process/postbox.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What lies beside a descriptor. */
struct label {
    uint64_t number; /* of the message in its queue */
    uint64_t parcel; /* never the same in a family: who dies before it commits leaves the number to another */
};

enum { SENDING, RECEIVING };

/* Whether the queue that the slip was written for is there, and means this pair. */
static bool lives(const struct slip *slip)
{
    const struct queue *queue = queue_in(slip->owner);
    return queue && atomic_load(&queue->parcels) == slip->id;
}

static void close_pair(const int ends[2])
{
    close(ends[SENDING]);
    close(ends[RECEIVING]);
}

static int refuse(int failed, const char *call)
{
    if (failed == -ETOOMANYREFS)
        return error_set(ETOOMANYREFS, "%s: too many descriptors are on their way, or too many queues have some", call);
    if (failed == -ENOENT)
        return error_set(EBADF, "%s: somebody has read from brood's descriptor for that", call);
    return error_set(-failed, "%s: the sockets for descriptors: %s", call, strerror(-failed));
}

/* A new pair for the queue. 0, or -errno. The box is open. */
static int make_pair(struct queue *queue, int ends[2])
{
    struct slip slip = { .id = postbox_number(), .owner = queue };
    int failed = post_pair(ends);
    if (failed < 0)
        return failed;
    post_widen(ends[SENDING]);
    failed = postbox_put(&slip, ends, lives);
    if (failed < 0)
        close_pair(ends);
    else
        atomic_store(&queue->parcels, slip.id); /* killed before: the pair goes as one that nobody means */
    return failed;
}

/* The first label there that is not of a message before `number`; those are taken away, with their descriptors.
 * 0; -EAGAIN: there is none. */
static int skip_to(const int ends[2], uint64_t number, struct label *label)
{
    int failed;
    while ((failed = post_look(ends[RECEIVING], label, sizeof *label, NULL, NULL)) >= 0 && label->number < number)
        if ((failed = post_drop(ends[RECEIVING])) < 0)
            return failed;
    return failed < 0 ? failed : 0;
}

/* Where there is no room, what lies first may be what the dead have left: of messages that have been got, or of this
 * one's number, which nobody has committed. */
static int make_place(const int ends[2], struct queue *queue, uint64_t number)
{
    struct label first;
    int failed;
    while ((failed = skip_to(ends, side_look(&queue->gets).count, &first)) == 0 && first.number >= number)
        if ((failed = post_drop(ends[RECEIVING])) < 0)
            break;
    return failed;
}

static int send_to(const int ends[2], struct queue *queue, const struct label *label, int fd)
{
    int failed = post_offer(ends[SENDING], label, sizeof *label, &fd, 1);
    if (failed != -EAGAIN)
        return failed;
    make_place(ends, queue, label->number);
    return post_offer(ends[SENDING], label, sizeof *label, &fd, 1);
}

int parcel_send(struct thread *self, struct queue *queue, uint64_t number, int fd, uint64_t *parcel, int64_t deadline,
                const char *call)
{
    int ends[2];
    int failed = postbox_open(self, deadline, call);
    if (failed < 0)
        return failed;
    failed = queue->parcels ? postbox_find(queue->parcels, ends) : make_pair(queue, ends);
    if (failed == 0) {
        struct label label = { .number = number, .parcel = *parcel = postbox_number() };
        failed = send_to(ends, queue, &label, fd);
        close_pair(ends);
        if (failed == -EBADF)
            failed = error_set(EBADF, "%s: %d is no open descriptor", call, fd);
        else if (failed < 0 && failed != -EAGAIN)
            failed = refuse(failed, call);
    } else {
        failed = refuse(failed, call);
    }
    postbox_shut(self);
    return failed;
}

/* The one that is wanted, past what the dead have left. A copy, or -errno. */
static int find(const int ends[2], uint64_t number, uint64_t parcel)
{
    struct label label;
    int fd = -1, count = 1, failed;
    while ((failed = skip_to(ends, number, &label)) == 0 && label.number == number && label.parcel != parcel)
        if ((failed = post_drop(ends[RECEIVING])) < 0)
            return failed;
    if (failed == -EAGAIN || (failed == 0 && label.number != number))
        return -EIO;
    if (failed == 0)
        failed = post_look(ends[RECEIVING], &label, sizeof label, &fd, &count);
    return failed < 0 ? failed : count == 1 ? fd : -EIO;
}

int parcel_take(struct thread *self, struct queue *queue, uint64_t number, uint64_t parcel, int64_t deadline,
                const char *call)
{
    int ends[2];
    int found = postbox_open(self, deadline, call);
    if (found < 0)
        return found;
    found = postbox_find(queue->parcels, ends);
    if (found == 0) {
        found = find(ends, number, parcel);
        close_pair(ends);
    }
    postbox_shut(self);
    if (found == -ENOENT || found == -EIO)
        return error_set(EIO, "%s: somebody has taken the descriptor that is next out of brood's sockets", call);
    if (found == -EMFILE || found == -ENFILE)
        return error_set(-found, "%s: no descriptor is free for the one that is next: %s", call, strerror(-found));
    return found < 0 ? refuse(found, call) : found;
}

/* Takes away what is of messages before that one. What cannot be reached just now goes with the next one. */
static void clear(struct thread *self, struct queue *queue, uint64_t before)
{
    int ends[2];
    struct label label;
    if (postbox_descriptor() < 0 || postbox_open(self, LATCH_TRY, "") < 0)
        return;
    if (postbox_find(queue->parcels, ends) == 0) {
        skip_to(ends, before, &label);
        close_pair(ends);
    }
    postbox_shut(self);
}

void parcel_done(struct thread *self, struct queue *queue, uint64_t number)
{
    clear(self, queue, number + 1);
}

void parcels_close(struct thread *self, struct queue *queue)
{
    if (queue->parcels)
        clear(self, queue, UINT64_MAX);
}
