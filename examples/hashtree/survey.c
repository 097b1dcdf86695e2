/* survey.c: a second walk, silent, since the first will say what cannot be read. Without it the bar has no total. */
#include "survey.h"

#include "bar.h"
#include "tree.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define FILES_AT_ONCE 256

static pthread_t thread;
static bool started;
static atomic_bool stopping;

static void *survey(void *context)
{
    struct tree *tree = tree_open(context, NULL);
    struct tree_file file;
    uint64_t bytes = 0;
    int more = 0;
    for (size_t files = 1; tree && !stopping && (more = tree_next(tree, &file)) > 0; files++) {
        bytes += file.size;
        if (files % FILES_AT_ONCE == 0) {
            bar_expect(bytes, false);
            bytes = 0;
        }
    }
    bar_expect(bytes, tree && !stopping && more == 0);
    tree_close(tree);
    return NULL;
}

void survey_start(char *const *arguments)
{
    started = pthread_create(&thread, NULL, survey, (void *)arguments) == 0; /* the bar can do without */
}

void survey_stop(void)
{
    stopping = true;
    if (started)
        pthread_join(thread, NULL);
    started = false;
}
