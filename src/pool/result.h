/* pool/result.h: a result as its caller has it: brood/async.h is the manual.
 *
 * It is private memory. What differs between a map, a call and an imap is a table of functions; what they share (the
 * list of the pool's results, callbacks, waiting, what is kept after the pool's end) is in result.c.
 */
#ifndef POOL_RESULT_H
#define POOL_RESULT_H

#include "pool/owner.h"

#include <brood/async.h>

struct result_kind {
    /* As struct await has them (pool/await.h). Also called under the pool's guard. */
    bool (*over)(void *result);
    void (*ask)(void *result, unsigned seat);
    uint32_t (*cpu)(void *result);
    void (*tick)(void *result); /* while it is waited for, if `ticks`; NULL: nothing */
    bool one_by_one;            /* its results are for brood_result_next */
    /* The same as over and ask, of what a call that waits for it would return next, by any thread. NULL: they are. */
    bool (*ready)(void *result);
    void (*ask_ready)(void *result, unsigned seat);
    /* Under the result's guard. All has ended, or `failed` (a negative errno, with a sentence but for ECANCELED) says
     * why it will not: hands over what there is, frees what it took of the region, and says what brood_result_wait is
     * to return, with a sentence. */
    int (*collect)(brood_result *result, int failed);
    void (*cancel)(brood_result *result, int64_t at); /* not wanted any more; what runs is ended then */
    /* It is not wanted any more: frees what it took of the region. 0; -EBUSY with a sentence: it has not ended. */
    int (*finish)(brood_result *result);
    void (*discard)(brood_result *result); /* frees it */
};

struct brood_result {
    const struct result_kind *kind; /* first: the kind's own struct begins with this one */
    struct brood_pool *pool;        /* NULL: it has been destroyed */
    struct owner *owner;            /* this process' side of it, while there is one */
    int32_t creator;                /* the process */
    brood_result *previous, *next;  /* of the pool's, under its guard */
    brood_result *earlier, *later;  /* of those that are untold, likewise */
    uint32_t thread;                /* os/thread.h: id of the one that asked for it */
    bool told;                      /* the callback has been called, or there is none; under the pool's guard */
    void (*done)(void *context, brood_result *result, int failed);
    void *context;
    bool ticks;             /* somebody is told how far it is */
    _Atomic uint32_t heard; /* pool/await.h */
    pthread_mutex_t guard;  /* of the rest */
    _Atomic bool collected;
    int outcome;
    char *sentence; /* of the outcome; NULL: none */
    brood_end end;  /* of a call */
};

/* What all have in common; and it is the pool's from here on. The latter under the pool's guard. */
void result_begin(brood_result *result, struct owner *owner, const brood_task_options *options);
void result_link(brood_result *result);

/* Frees one that nobody knows any more. */
void result_discard(brood_result *result);

/* -EBUSY, with its sentence. */
int result_is_busy(const brood_result *result);

/* Calls the callbacks of this thread's results that are there; `everyone`: of other threads' too; `few`: looks at some
 * only. How many. Never with a guard held. */
int results_tell(struct owner *owner, bool everyone, bool few);

/* Collects every result of the pool that has not been, and lets go of all; `failed` as for collect. With no other user
 * of the pool. */
void results_end(struct brood_pool *pool, int failed);

/* Whether a callback of that thread (0: of any) is to be called; whether all the pool's results are over. Has a seat
 * told of either. */
bool results_have_news(struct owner *owner, uint32_t thread);
bool results_are_over(struct owner *owner);
void results_ask(struct owner *owner, unsigned seat);

/* The watchers' seat is told of all results of the pool from now on. */
void results_watch(struct owner *owner);

/* As brood_result_wait, of any kind. */
int result_await(brood_result *result, int64_t deadline);

/* 0, or -errno with a sentence. */
int result_enter(const brood_result *result, const char *call);

#endif
