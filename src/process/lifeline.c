/* process/lifeline.c */
#include "process/lifeline.h"

#include "os/wiped.h"
#include "process/handle.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* The kernel walks the list of all whom a pipe signals whenever one is put into it, or taken out. */
#define CHILDREN_MOST 64

static void close_line(const struct lifeline *line)
{
    if (shm_is(line->fd, &line->file))
        close(line->fd);
}

/* One with room for another child, or NULL. */
static struct lifeline *line_with_room(void)
{
    struct lifeline *line = wiped->lifelines;
    while (line && (atomic_load(&line->children) >= CHILDREN_MOST || !shm_is(line->fd, &line->file)))
        line = line->next;
    return line;
}

int lifeline_bind(struct child_bond *bond, enum child_tie tie, struct lifeline **found)
{
    struct lifeline *line = line_with_room();
    int writer = line ? line->fd : -1;
    int failed = child_bind(bond, tie, writer);
    *found = NULL;
    if (failed < 0 || !(bond->tie & CHILD_TO_PIPE))
        return failed;
    if (!line || bond->pipe[1] != writer) {
        line = wiped_allocate(sizeof *line);
        if (!line) {
            close(bond->pipe[0]);
            close(bond->pipe[1]);
            return -ENOMEM;
        }
        line->fd = bond->pipe[1];
        shm_identify(line->fd, &line->file);
        pthread_mutex_lock(&wiped->lines_guard);
        line->next = wiped->lifelines;
        wiped->lifelines = line;
        pthread_mutex_unlock(&wiped->lines_guard);
    }
    bond->file = line->file;
    *found = line;
    return 0;
}

void lifelines_sweep(void)
{
    pthread_mutex_lock(&wiped->lines_guard);
    struct lifeline *first = wiped->lifelines, **place = &first, *line;
    while ((line = *place) != NULL) {
        if (atomic_load(&line->children) > 0) {
            place = &line->next;
            continue;
        }
        *place = line->next;
        close_line(line);
        free(line);
    }
    wiped->lifelines = first;
    pthread_mutex_unlock(&wiped->lines_guard);
}

const struct lifeline *lifelines(void)
{
    return wiped->lifelines;
}

void lifelines_close(const struct lifeline *first, int other)
{
    for (const struct lifeline *line = first; line; line = line->next)
        if (line->fd != other)
            close_line(line);
}

/* ---- forks by hand ----
 *
 * The list of handles is not held meanwhile: brood's own forks hold that, and wait for libc's lock, under which these
 * functions may run. */

static _Thread_local int forks;              /* of this thread, one within another (a signal handler's) */
static const struct lifeline *lines_at_fork; /* while their guard is held */

static void before_fork(void)
{
    if (forks == 0 && handles_are_held())
        return; /* a fork of brood's own, or one in a handler that interrupted brood */
    if (forks++ > 0)
        return;
    handles_enter();
    pthread_mutex_lock(&wiped->lines_guard);
    lines_at_fork = wiped->lifelines;
}

static void after_fork(void)
{
    if (forks == 0 || --forks > 0)
        return;
    pthread_mutex_unlock(&wiped->lines_guard);
    handles_leave();
}

static void in_forked(void)
{
    if (forks == 0)
        return;
    forks = 0;
    handles_begin();
    lifelines_close(lines_at_fork, -1);
}

int lifelines_at_fork(void)
{
    return pthread_atfork(before_fork, after_fork, in_forked) == 0 ? 0 : -ENOMEM;
}
