/* brittle.c: a library that kills every process but the one that may load it: BRITTLE_FOR in the environment names it.
 */
#include "square.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void load(void)
{
    const char *allowed = getenv("BRITTLE_FOR");
    if (!allowed || atoi(allowed) != getpid())
        kill(getpid(), SIGKILL);
}

static int answer(void *arg)
{
    (void)arg;
    return 42;
}

static int square(const void *in, void *out)
{
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

const struct square_plugin square_plugin = { .target = answer, .task = square };
