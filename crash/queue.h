/* queue.h: what operations on queues share: queue.c tells how one is tried.
 *
 * Each message has a number, and the books say how often it was got. What lies there at first has numbers from FIRST
 * on, what the victim puts from VICTIM on, what the survivors put from FED on.
 */
#ifndef CRASH_QUEUE_H
#define CRASH_QUEUE_H

#include "point.h"

#include <brood.h>

enum { FIRST = 1, VICTIM = 50, FED = 100, NUMBERS = 150, SIZE_MOST = 6000 };

struct message {
    int number;
    char bytes[SIZE_MOST];
};

/* In the region. */
struct ground {
    brood_queue *queue, *other, *dead; /* other: to warm up with */
    size_t size;
    int nap_ms, first;
    void *loan;
    _Atomic int served;     /* sleepers */
    _Atomic int tried, fed; /* by survivors */
    _Atomic int got[NUMBERS];
    _Atomic int redelivered;
};

enum kind { NOBODY, GETTER, PUTTER, JOINER, CLOSED };

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    enum kind kind;          /* who sleeps */
    int sleepers;            /* before the operation begins */
    int first;               /* messages there */
    size_t size;             /* of all of them; 0: 64 */
    bool joins;              /* the victim waits until all is done */
    bool full;               /* there is no room for more */
    int puts;                /* the victim puts so many */
    int takes;               /* the victim may get so many for good */
    bool wakes;              /* the victim sleeps until there is a message, or room */
    bool sleeps;             /* it sleeps until its time is over */
    int borrowed;            /* so often the first message was borrowed by one that died */
    int deliveries;          /* .max_deliveries, with dead letters */
    bool torn_put, torn_get; /* one has died in the middle of it */
    bool told;    /* the result is whether the first message was marked as redelivered, not what is missing */
    bool makes;   /* it makes or ends a queue */
    size_t leaks; /* blocks that may be lost */
};

/* Puts the message of that number. 0, or the put's failure. */
int queue_put_number(const struct ground *ground, brood_queue *queue, int number, int timeout_ms);

/* One point of an operation whose detail is a struct act. */
void queue_run(struct point *point);

#endif
