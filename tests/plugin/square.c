/* square.c: functions in a library that a test loads late: the program's spawned children do not have it.
 *
 * They are handed out in a struct, since dlsym finds objects, and functions only through a cast that C does not have.
 */
#include "square.h"

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
