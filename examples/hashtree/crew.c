/* crew.c: each thread takes a batch of the tree, has it hashed, prints it, and takes the next.
 *
 * One thread would leave the workers idle while it walks and prints, and while a batch's last long file is hashed. With
 * a few of them there is always another batch at hand, and memory is still bounded. The walk is done by one thread at a
 * time; the batches are numbered as they leave it, and printed in that order.
 */
#include "crew.h"

#include "batch.h"
#include "report.h"
#include "tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define CREW_THREADS 3
#define FIRST_FILES \
    128 /* of the first batch: the workers should not wait for a long walk. Of the next, twice as many */

struct crew {
    brood_pool *pool;
    pthread_mutex_t walk; /* guards the next three */
    struct tree *tree;
    size_t number;         /* of the next batch */
    size_t limit;          /* files in it */
    pthread_mutex_t print; /* guards the next two */
    size_t turn;           /* number of the batch that is printed next */
    bool stopped;
    pthread_cond_t turned;
};

static bool has_stopped(struct crew *crew)
{
    pthread_mutex_lock(&crew->print);
    bool stopped = crew->stopped;
    pthread_mutex_unlock(&crew->print);
    return stopped;
}

/* Whether there is a batch, and then its number. */
static bool take(struct crew *crew, struct batch *batch, size_t *number)
{
    pthread_mutex_lock(&crew->walk);
    size_t least = 8 * (size_t)brood_pool_workers(crew->pool);
    int files = has_stopped(crew) ? 0 : batch_fill(batch, crew->tree, least, crew->limit);
    if (files > 0)
        *number = crew->number++;
    else if (files < 0)
        report(NULL, strerror(-files));
    crew->limit = crew->limit < BATCH_FILES ? 2 * crew->limit : BATCH_FILES;
    pthread_mutex_unlock(&crew->walk);
    return files > 0;
}

static void print(struct crew *crew, const struct batch *batch, size_t number)
{
    pthread_mutex_lock(&crew->print);
    while (crew->turn != number)
        pthread_cond_wait(&crew->turned, &crew->print);
    crew->stopped = crew->stopped || !batch_print(batch);
    crew->turn++;
    pthread_cond_broadcast(&crew->turned);
    pthread_mutex_unlock(&crew->print);
}

static void *work(void *context)
{
    struct crew *crew = context;
    struct batch *batch = batch_create();
    size_t number;
    if (!batch)
        report(NULL, "no memory for a batch of files");
    while (batch && take(crew, batch, &number)) {
        batch_hash(batch, crew->pool);
        print(crew, batch, number);
    }
    batch_destroy(batch);
    return NULL;
}

void crew_run(brood_pool *pool, char *const *arguments)
{
    struct crew crew = {
        .pool = pool,
        .walk = PTHREAD_MUTEX_INITIALIZER,
        .tree = tree_open(arguments, report),
        .limit = FIRST_FILES,
        .print = PTHREAD_MUTEX_INITIALIZER,
        .turned = PTHREAD_COND_INITIALIZER,
    };
    pthread_t threads[CREW_THREADS - 1];
    int started = 0;
    if (!crew.tree) {
        report(NULL, strerror(ENOMEM));
        return;
    }
    /* One that cannot be started is one less: this thread does the work too. */
    while (started < CREW_THREADS - 1 && pthread_create(&threads[started], NULL, work, &crew) == 0)
        started++;
    work(&crew);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    tree_close(crew.tree);
}
