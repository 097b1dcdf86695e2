/* pool/owner.h: the creator's private side of a pool: its threads, its keeper's handle, jobs not yet freed. */
#ifndef POOL_OWNER_H
#define POOL_OWNER_H

#include "pool/pool.h"

#include <brood/process.h>
#include <pthread.h>

struct retired {
    struct job *job;
    struct retired *next;
};

struct owner {
    pthread_mutex_t guard; /* of all here */
    pthread_cond_t room;   /* a place among the pool's jobs has become free */
    brood_process *keeper;
    int fallen;              /* keepers in a row that ended, or were killed, without a map's end between */
    int users;               /* threads in a call that runs tasks */
    struct retired *retired; /* jobs that have ended, but whose memory a worker may still look at */
};

/* 0, or why this process may not use the pool, with a sentence. */
int pool_enter(const struct brood_pool *pool, const char *call);

/* Frees the jobs that no worker names any more; `all`: no worker is left. Under guard, or with no other user. */
void owner_free_retired(struct owner *owner, const struct brood_pool *pool, bool all);

#endif
