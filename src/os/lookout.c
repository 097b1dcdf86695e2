/* os/lookout.c: epoll(7), timerfd_create(2), eventfd(2). */
#include "os/lookout.h"

#include "os/child.h"
#include "os/clock.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SEEN_AT_ONCE 64

int lookout_open(struct lookout *lookout)
{
    *lookout = (struct lookout){ .alarm = -1, .flag = -1, .at = CLOCK_NEVER };
    lookout->fd = epoll_create1(EPOLL_CLOEXEC);
    int failed = lookout->fd < 0 ? -errno : child_clear_of_streams(&lookout->fd, 1);
    if (failed < 0)
        lookout->fd = -1;
    return failed;
}

void lookout_close(struct lookout *lookout)
{
    if (lookout->alarm >= 0)
        close(lookout->alarm);
    if (lookout->flag >= 0)
        close(lookout->flag);
    close(lookout->fd);
}

static int control_for(struct lookout *lookout, int how, int fd, void *who, uint32_t events)
{
    struct epoll_event event = { .events = events, .data = { .ptr = who } };
    return epoll_ctl(lookout->fd, how, fd, &event) < 0 ? -errno : 0;
}

static int control(struct lookout *lookout, int how, int fd, void *who, bool in, bool out)
{
    return control_for(lookout, how, fd, who, (in ? EPOLLIN | EPOLLRDHUP : 0) | (out ? EPOLLOUT : 0));
}

/* The kernel reports EPOLLERR and EPOLLHUP unasked: what is not to be seen at all must be taken out. */
int lookout_add(struct lookout *lookout, int fd, void *who, bool in, bool out)
{
    return in || out ? control(lookout, EPOLL_CTL_ADD, fd, who, in, out) : 0;
}

int lookout_change(struct lookout *lookout, int fd, void *who, bool in, bool out)
{
    if (!in && !out) {
        lookout_drop(lookout, fd);
        return 0;
    }
    int failed = control(lookout, EPOLL_CTL_MOD, fd, who, in, out);
    return failed == -ENOENT ? control(lookout, EPOLL_CTL_ADD, fd, who, in, out) : failed;
}

void lookout_drop(struct lookout *lookout, int fd)
{
    struct epoll_event none = { 0 };
    epoll_ctl(lookout->fd, EPOLL_CTL_DEL, fd, &none);
}

int lookout_await_end(struct lookout *lookout, int fd, void *who)
{
    int failed = control_for(lookout, EPOLL_CTL_MOD, fd, who, EPOLLRDHUP);
    return failed == -ENOENT ? control_for(lookout, EPOLL_CTL_ADD, fd, who, EPOLLRDHUP) : failed;
}

/* Takes in the alarm's or the flag's descriptor; `who` is the address of where it is kept. */
static int add_own(struct lookout *lookout, int *own, int fd)
{
    if (fd < 0)
        return -errno;
    int failed = child_clear_of_streams(&fd, 1);
    if (failed == 0 && (failed = control(lookout, EPOLL_CTL_ADD, fd, own, true, false)) < 0)
        close(fd);
    if (failed == 0)
        *own = fd;
    return failed;
}

static int make_alarm(struct lookout *lookout)
{
    return lookout->alarm >= 0
               ? 0
               : add_own(lookout, &lookout->alarm, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

static int make_flag(struct lookout *lookout)
{
    return lookout->flag >= 0 ? 0 : add_own(lookout, &lookout->flag, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int lookout_equip(struct lookout *lookout, bool alarm)
{
    int failed = make_flag(lookout);
    return failed == 0 && alarm ? make_alarm(lookout) : failed;
}

int lookout_alarm(struct lookout *lookout, int64_t at)
{
    if (at == lookout->at)
        return 0;
    int failed = make_alarm(lookout);
    if (failed < 0)
        return failed;
    struct itimerspec timer = { .it_value = { 0 } }; /* zero: never */
    if (at != CLOCK_NEVER) {
        int64_t when = at > 0 ? at : 1;
        timer.it_value = (struct timespec){ .tv_sec = when / 1000000000, .tv_nsec = when % 1000000000 };
    }
    if (timerfd_settime(lookout->alarm, TFD_TIMER_ABSTIME, &timer, NULL) < 0)
        return -errno;
    lookout->at = at;
    return 0;
}

int lookout_raise(struct lookout *lookout, bool up)
{
    if (up == lookout->raised)
        return 0;
    int failed = make_flag(lookout);
    if (failed < 0)
        return failed;
    uint64_t number = 1;
    ssize_t done = up ? write(lookout->flag, &number, sizeof number) : read(lookout->flag, &number, sizeof number);
    if (done < 0)
        return -errno;
    lookout->raised = up;
    return 0;
}

/* Neither fails but for what changes nothing: a number that is at its end is not 0, and one that is 0 is taken in. */
void lookout_poke(const struct lookout *lookout)
{
    const uint64_t one = 1;
    ssize_t done = write(lookout->flag, &one, sizeof one);
    (void)done;
}

void lookout_heed(const struct lookout *lookout)
{
    uint64_t number;
    ssize_t done = read(lookout->flag, &number, sizeof number);
    (void)done;
}

/* Milliseconds, rounded up: an early look would find nothing and come again at once. */
static int milliseconds(int64_t deadline)
{
    if (deadline == CLOCK_NEVER)
        return -1;
    int64_t left = deadline > 0 ? deadline - clock_now() : 0;
    int64_t ms = (left + 999999) / 1000000;
    return left <= 0 ? 0 : ms > INT32_MAX ? INT32_MAX : (int)ms;
}

int lookout_wait(struct lookout *lookout, struct sighting *seen, int room, int64_t deadline)
{
    struct epoll_event events[SEEN_AT_ONCE];
    int most = room < SEEN_AT_ONCE ? room : SEEN_AT_ONCE, found;
    for (;;) {
        int ms = milliseconds(deadline);
        found = epoll_wait(lookout->fd, events, most, ms);
        if (found > 0)
            break;
        if (found < 0 && errno != EINTR)
            return -errno;
        if (found == 0 && milliseconds(deadline) == 0)
            return -ETIMEDOUT;
    }
    int count = 0;
    for (int i = 0; i < found; i++) {
        void *who = events[i].data.ptr;
        if (who == &lookout->alarm || who == &lookout->flag)
            continue;
        seen[count++] = (struct sighting){
            .who = who,
            .in = events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR),
            .out = events[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR),
        };
    }
    return count;
}
