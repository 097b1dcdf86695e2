/* start_method.c: brood/start.h: what BROOD_DEFAULT means, here and in children, and what a child is by each method. */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int private_number; /* 0 in whoever begins afresh */

static brood_end end_of(brood_process *process)
{
    brood_end end = { .code = -1 };
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

static int tell_default(void *arg)
{
    (void)arg;
    return brood_start_default();
}

static int tell_grandchild(void *arg)
{
    (void)arg;
    return end_of(brood_process_start(tell_default, NULL, 0, NULL)).code;
}

static void default_is_set_once(void)
{
    CHECK_RESULT(brood_start_default(), BROOD_FORK);
    CHECK_RESULT(brood_start_set_default((brood_start)0, false), -EINVAL);
    CHECK_RESULT(brood_start_set_default((brood_start)9, true), -EINVAL);
    CHECK_RESULT(brood_start_set_default(BROOD_SPAWN, false), 0);
    CHECK_RESULT(brood_start_set_default(BROOD_FORK, false), -EBUSY);
    CHECK_HAS(brood_error(), "spawn");
    CHECK_RESULT(brood_start_default(), BROOD_SPAWN);
    CHECK_RESULT(brood_start_set_default(BROOD_FORKSERVER, true), 0);
    CHECK_RESULT(brood_start_default(), BROOD_FORKSERVER);
}

static void default_of_options(void)
{
    setenv("BROOD_START_METHOD", "fork", 1);
    NEED(brood_init(&(brood_init_options){ .start = BROOD_FORKSERVER }) == 0);
    CHECK_RESULT(brood_start_default(), BROOD_FORKSERVER);
    CHECK_RESULT(brood_start_set_default(BROOD_FORK, false), -EBUSY);
}

/* The environment is no choice of the program's: that may still make one. */
static void default_of_environment(void)
{
    setenv("BROOD_START_METHOD", "forkserver", 1);
    NEED(brood_init(NULL) == 0);
    CHECK_RESULT(brood_start_default(), BROOD_FORKSERVER);
    CHECK_RESULT(brood_start_set_default(BROOD_SPAWN, false), 0);
    CHECK_RESULT(brood_start_default(), BROOD_SPAWN);
}

static void default_of_empty_environment(void)
{
    setenv("BROOD_START_METHOD", "", 1);
    NEED(brood_init(NULL) == 0);
    CHECK_RESULT(brood_start_default(), BROOD_FORK);
}

/* Whatever the method of the child itself, and of its own children. */
static void default_is_inherited(void)
{
    for (int standard = 1; brood_start_name((brood_start)standard); standard++) {
        CHECK_RESULT(brood_start_set_default((brood_start)standard, true), 0);
        for (int method = 1; brood_start_name((brood_start)method); method++) {
            const brood_process_options options = { .start = (brood_start)method };
            CHECK_EQ(end_of(brood_process_start(tell_default, NULL, 0, &options)).code, standard);
            CHECK_EQ(end_of(brood_process_start(tell_grandchild, NULL, 0, &options)).code, standard);
        }
    }
}

struct given {
    int *shared;
    pid_t starter;
    brood_start method;
};

static int look_around(void *arg)
{
    struct given *given = arg;
    CHECK_EQ((uintptr_t)given % 16, 0);
    CHECK_EQ(private_number, given->method == BROOD_FORK ? 17 : 0);
    CHECK_EQ(getppid(), given->starter);
    *given->shared = (int)given->method;
    return 0;
}

static void child_is(brood_start method)
{
    int *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    struct given given = { shared, getpid(), method };
    private_number = 17;
    const brood_process_options options = { .start = method };
    CHECK_EQ(end_of(brood_process_start(look_around, &given, sizeof given, &options)).how, BROOD_RETURNED);
    CHECK_EQ(*shared, (int)method);
    brood_free(shared);
}

static void child_by_fork(void)
{
    child_is(BROOD_FORK);
}

static void child_by_spawn(void)
{
    child_is(BROOD_SPAWN);
}

static void child_by_forkserver(void)
{
    child_is(BROOD_FORKSERVER);
}

static int square(const void *in, void *out)
{
    *(int *)out = *(const int *)in * *(const int *)in + (private_number ? 1000 : 0);
    return 0;
}

static void pools(void)
{
    private_number = 17;
    for (int method = 1; brood_start_name((brood_start)method); method++) {
        int in[] = { 1, 2, 3 }, out[3] = { 0 };
        brood_pool *pool = CHECK_POINTER(brood_pool_create(2, &(brood_pool_options){ .start = (brood_start)method }));
        CHECK_RESULT(brood_pool_map(pool, square, in, sizeof *in, out, sizeof *out, 3, NULL), 0);
        CHECK_EQ(out[2], method == BROOD_FORK ? 1009 : 9);
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .start = (brood_start)9 }), EINVAL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "default_is_set_once", .run = default_is_set_once },
        { .name = "default_of_options", .run = default_of_options, .no_init = true },
        { .name = "default_of_environment", .run = default_of_environment, .no_init = true },
        { .name = "default_of_empty_environment", .run = default_of_empty_environment, .no_init = true },
        { .name = "default_is_inherited", .run = default_is_inherited, .deadline_s = 60 },
        { .name = "child_by_fork", .run = child_by_fork },
        { .name = "child_by_spawn", .run = child_by_spawn },
        { .name = "child_by_forkserver", .run = child_by_forkserver },
        { .name = "pools", .run = pools },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
