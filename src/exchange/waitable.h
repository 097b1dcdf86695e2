/* exchange/waitable.h: things that can be waited for together, and what each kind is slept on by. */
#ifndef EXCHANGE_WAITABLE_H
#define EXCHANGE_WAITABLE_H

#include "os/futex.h"

#include <brood/wait.h>
#include <stdbool.h>
#include <stdint.h>

#define WAITABLE_NAP INT64_C(5000000) /* ns between two looks at what nobody tells us of */

/* How one hears of a thing that is told by a word. word: is woken when it is ready; NULL: is not. process: when that
 * one has ended it may be ready too; 0: none. naps: look again after WAITABLE_NAP. */
struct waitable_news {
    struct futex_watch word;
    int32_t process;
    bool naps;
};

/* Whether it is told by a word; else by a descriptor. */
bool waitable_has_word(const brood_waitable *item);

/* The descriptor of one that is told by one: 0 and *fd, or -errno with a sentence. */
int waitable_descriptor(const brood_waitable *item, const char *call, int *fd);

/* Of one that is told by a word. 1: it is ready.  0: it is not, and *news says how to hear of it.  -errno with a
 * sentence. */
int waitable_announce(const brood_waitable *item, const char *call, struct waitable_news *news);

/* What announces things of that kind: a higher room's, from when there is one of them. */
typedef int waitable_announcer(const void *object, const char *call, struct waitable_news *news);
void waitable_announce_by(brood_wait_kind kind, waitable_announcer *announcer);

/* Whether both name the same thing. */
bool waitable_is(const brood_waitable *item, const brood_waitable *other);

/* A queue's: exchange/queue_watch.c. */
int queue_announce(brood_queue *memory, int want, const char *call, struct waitable_news *news);

#endif
