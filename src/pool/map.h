/* pool/map.h: one map, as its caller has it: what the user gave, and what was made of it. */
#ifndef POOL_MAP_H
#define POOL_MAP_H

#include "pool/await.h"
#include "pool/owner.h"
#include "pool/progress.h"

/* Something that the keeper must look at. */
struct watch {
    bool on;
};

struct map {
    struct brood_pool *pool;
    struct owner *owner; /* this process' side of it; NULL: not known yet */
    const void *in;
    void *out;
    size_t in_size, out_size, count;
    brood_task_options options;
    struct job *job;
    struct retired *retired;   /* for when it is over */
    pthread_mutex_t job_guard; /* `job` is taken away with it, and looked into by others than its caller; no other
                                * guard is taken inside */
    struct progress progress;
    struct watch watch;
    uint64_t traced; /* its number there; 0: none */
};

/* What any call is given: 0, or -EINVAL, -ENOMEM with a sentence that begins with the call's name. */
int task_check(const char *call, brood_task *task, const brood_task_options *options);

/* The same of all arguments of a call. */
int map_check(const struct map *map, const char *call, brood_task *task);

/* Whether it says that items vary in size; such an item. */
bool task_varies(size_t size);
brood_block task_item(const void *in, size_t in_size, size_t i);

/* The keeper looks often from here on; and does not have to any more. */
void task_watch(struct owner *owner, struct watch *watch);
void task_unwatch(struct owner *owner, struct watch *watch);

/* Its max_memory. */
int64_t task_most(const brood_task_options *options);

/* The address of a function, as data. */
uintptr_t task_address(brood_task *task);

/* Looks at the arguments, makes the job and offers it. 0, or -errno with a sentence, and nothing is left of it. */
int map_begin(struct map *map, const char *call, brood_task *task);

/* Whether it is finished; has a seat told of it. */
bool map_is_over(struct map *map);
void map_ask(struct map *map, unsigned seat);

/* Tells the caller's `progress`, when it is time. */
void map_tell(struct map *map, bool over);

/* Hands over what there is, and gives the job back. `failed`: as for collect (pool/result.h). What the call returns. */
int map_end(struct map *map, int failed);

/* It is not wanted any more; what runs is ended then. */
void map_cancel(struct map *map, int64_t at);

/* Gives the job of a map that is over back, and what it has with it. */
void map_forget(struct map *map);

#endif
