/* pool/call.h: one call of a task, as its caller has it: from its being put into the pool's ring to its end. */
#ifndef POOL_CALL_H
#define POOL_CALL_H

#include "pool/map.h"

struct placed {
    struct owner *owner; /* this process' side of the pool */
    struct ring *ring;
    uint64_t number;
    struct call *call; /* NULL: there is none */
    struct watch watch;
};

/* Makes the call of `map`, which is of one item, with that index, and puts it where workers find it; its result comes
 * to a place of the pool's, and its item is copied, even where they lie in the region, if `own`. `result`: what it is
 * of, which is linked then; NULL: nothing that is to be. 0, or -errno with a sentence. */
int call_begin(struct placed *placed, const struct map *map, const char *name, brood_task *task, size_t index, bool own,
               brood_result *result);

bool call_is_over(const struct placed *placed);
void call_ask(const struct placed *placed, unsigned seat);
uint32_t call_cpu(const struct placed *placed);

/* Of one that is over: how it ended; then its result is at `out` if it returned 0 (out NULL: it is not wanted). */
void call_take(const struct placed *placed, void *out, size_t out_size, brood_end *end);

/* Takes it back if nobody has it; else returns when it is over, or no worker that lives has it. */
void call_stop(const struct placed *placed);

/* It is not wanted any more; if it runs it is ended then. False: it does not run; the keeper need not look at once. */
bool call_cancel(struct placed *placed, int64_t at);

/* Gives its memory back, now, or when it is over. */
void call_release(struct placed *placed);

/* What a call that takes a result is to say of that end: 0; 1, or -ENOENT of an unfit one, with a sentence. */
int call_outcome(const struct placed *placed, const brood_end *end);

/* Those that were abandoned, of a pool whose workers are gone. */
void calls_free(struct owner *owner);

#endif
