/* os/lookout.h: many descriptors watched as one, which itself can be watched: level-triggered.
 *
 * Besides descriptors it has an alarm, that goes off at a time, and a flag, raised while there is something that no
 * descriptor shows. Not safe for two threads at once; but another may watch `fd`.
 */
#ifndef OS_LOOKOUT_H
#define OS_LOOKOUT_H

#include <stdbool.h>
#include <stdint.h>

struct lookout {
    int fd;          /* readable while one of the watched is ready, the alarm has gone off, or the flag is up */
    int alarm, flag; /* descriptors, or -1: not needed so far */
    int64_t at;      /* when the alarm goes off; CLOCK_NEVER: it does not */
    bool raised;
};

struct sighting {
    void *who;
    bool in, out; /* can be read or has ended; can be written */
};

/* 0 or -errno. */
int lookout_open(struct lookout *lookout);
void lookout_close(struct lookout *lookout);

/* Makes the flag, and the alarm, now: so that raising and setting them does not fail later for want of a descriptor. 0
 * or -errno. */
int lookout_equip(struct lookout *lookout, bool alarm);

/* Watches a descriptor; `who` comes with each sighting. 0 or -errno. With neither in nor out it is not seen. */
int lookout_add(struct lookout *lookout, int fd, void *who, bool in, bool out);
int lookout_change(struct lookout *lookout, int fd, void *who, bool in, bool out);
void lookout_drop(struct lookout *lookout, int fd);

/* Watches a socket for its end alone: what is there to be read, or comes, is not seen. 0 or -errno. */
int lookout_await_end(struct lookout *lookout, int fd, void *who);

/* Sets the alarm; CLOCK_NEVER: none. 0 or -errno. */
int lookout_alarm(struct lookout *lookout, int64_t at);

/* Raises the flag, or lowers it. 0 or -errno. */
int lookout_raise(struct lookout *lookout, bool up);

/* Ends a wait, of now or the next, from any thread, by the flag; who waited then takes it in. For a lookout whose flag
 * is not raised otherwise, after lookout_equip. */
void lookout_poke(const struct lookout *lookout);
void lookout_heed(const struct lookout *lookout);

/* Waits. How many were seen, at most `room`; alarm and flag are not among them, but end the wait: then it may be 0.
 * -ETIMEDOUT: nothing until `deadline`; -EBADF: its descriptor has been closed. */
int lookout_wait(struct lookout *lookout, struct sighting *seen, int room, int64_t deadline);

#endif
