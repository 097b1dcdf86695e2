/* process/start.c: brood/start.h: the start methods' names, and this process' default. */
#include "process/start.h"

#include "error/error.h"
#include "process/handle.h"
#include "process/server.h"
#include "region/region.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int default_method = BROOD_FORK;
static _Atomic bool chosen; /* by the program, not by the environment */

static const char *const method_names[] = { NULL, "fork", "spawn", "forkserver" };

const char *brood_start_name(brood_start start)
{
    size_t at = (size_t)start;
    return at < sizeof method_names / sizeof *method_names ? method_names[at] : NULL;
}

int brood_start_find(const char *name)
{
    if (!name)
        return error_set(EINVAL, "brood_start_find: name is NULL");
    for (size_t i = 1; i < sizeof method_names / sizeof *method_names; i++)
        if (strcmp(method_names[i], name) == 0)
            return (int)i;
    return error_set(EINVAL, "'%s' is no start method: fork, spawn and forkserver are", name);
}

int start_choose(brood_start asked)
{
    const char *text = getenv("BROOD_START_METHOD");
    if (asked != BROOD_DEFAULT) {
        if (!brood_start_name(asked))
            return error_set(EINVAL, "brood_init: %d is no start method", (int)asked);
        atomic_store(&chosen, true);
        atomic_store(&default_method, (int)asked);
    } else if (text && text[0]) {
        int found = brood_start_find(text);
        if (found < 0)
            return error_set(EINVAL, "BROOD_START_METHOD is '%s': it must be fork, spawn or forkserver", text);
        atomic_store(&default_method, found);
    }
    return 0;
}

void start_inherit(brood_start start)
{
    atomic_store(&default_method, (int)start);
}

brood_start start_default(void)
{
    return (brood_start)atomic_load(&default_method);
}

int brood_start_default(void)
{
    return region_enter() < 0 ? -EINVAL : (int)start_default();
}

int brood_start_set_default(brood_start start, bool force)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!brood_start_name(start))
        return error_set(EINVAL, "brood_start_set_default: %d is no start method", (int)start);
    if (atomic_exchange(&chosen, true) && !force)
        return error_set(EBUSY, "brood_start_set_default: it was set to %s before", brood_start_name(start_default()));
    atomic_store(&default_method, (int)start);
    return 0;
}

int brood_start_server(void)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (handles_are_held())
        return error_set(EDEADLK, "brood_start_server: called in a signal handler that interrupted a call of brood");
    int failed = server_hold();
    if (failed < 0)
        return failed;
    int pid = server_pid();
    server_let_go();
    return pid;
}
