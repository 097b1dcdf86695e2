/* process_faults.c: starts while the kernel refuses a call: by every start method, with the fork server there already
 * and not yet, and with the server itself refused.
 *
 * Whatever is refused, a start either makes a process that works, or says which error it met and leaves nothing.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CODE 9
#define CALLS_MOST 4
#define PATIENCE_MS 15000

enum way {
    FORK,
    SPAWN,
    SERVER,
    LAUNCH, /* no server is there yet */
    INSIDE, /* the server is refused, not its starter */
    WAYS,
};

static const char *const way_names[WAYS] = { "fork", "spawn", "server", "launch", "inside" };

static const brood_start way_methods[WAYS] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER, BROOD_FORKSERVER,
                                               BROOD_FORKSERVER };

enum {
    BY_FORK = 1 << FORK,
    BY_SPAWN = 1 << SPAWN,
    BY_SERVER = 1 << SERVER,
    BY_LAUNCH = 1 << LAUNCH,
    BY_INSIDE = 1 << INSIDE,
    BY_NONE = 0,
};

/* One refusal: the calls that get `number`, and by which ways a start must then fail with it. */
struct refusal {
    const char *name;
    long calls[CALLS_MOST]; /* ended by -1, if fewer */
    int number;
    unsigned fails;
    bool no_image;   /* a program that starts so gets no further than its loader, or brood_init: not SPAWN and LAUNCH */
    bool sanitizers; /* a sanitizer cannot do without the call */
};

#ifdef SYS_socketcall
#define BY_PIPES BY_NONE /* by which libc makes pairs of sockets, and all else that is done with them */
#else
#define BY_PIPES BY_LAUNCH
#endif

#ifdef SYS_vfork
#define CALL_FORK SYS_fork
#define CALL_VFORK SYS_vfork
#else
#define CALL_FORK (-1) /* newer processors have neither */
#define CALL_VFORK (-1)
#endif

static const struct refusal refusals[] = {
    { "processes",
      { SYS_clone, SYS_clone3, CALL_FORK, CALL_VFORK },
      EAGAIN,
      .fails = BY_FORK | BY_SPAWN | BY_LAUNCH | BY_INSIDE },
    { "exec", { SYS_execve, SYS_execveat, -1 }, EACCES, .fails = BY_SPAWN | BY_LAUNCH },
    { "pidfd_absent", { SYS_pidfd_open, SYS_pidfd_send_signal, -1 }, ENOSYS, .fails = BY_NONE },
    { "pidfd_full", { SYS_pidfd_open, -1 }, EMFILE, .fails = BY_NONE },
    { "statfs", { SYS_fstatfs, -1 }, ENOSYS, .fails = BY_NONE },
    { "close_range", { SYS_close_range, -1 }, ENOSYS, .fails = BY_NONE },
    { "memory", { CALL_MMAP, SYS_brk, -1 }, ENOMEM, .fails = BY_NONE, .no_image = true, .sanitizers = true },
    { "advice", { SYS_madvise, -1 }, EINVAL, .fails = BY_NONE, .no_image = true },
    { "pipes", { SYS_pipe2, SYS_socketpair, -1 }, EMFILE, .fails = BY_PIPES },
    { "sleep", { SYS_futex, -1 }, EINTR, .fails = BY_NONE },
};

enum { REFUSALS = sizeof refusals / sizeof *refusals };

static const struct refusal *refusal; /* the case's, in the fork server too */

static void name_case(int index, char *name, size_t size)
{
    snprintf(name, size, "%s_%s", refusals[index / WAYS].name, way_names[index % WAYS]);
}

static void refuse(void)
{
    for (int i = 0; i < CALLS_MOST && refusal->calls[i] >= 0; i++)
        if (refuse_call(refusal->calls[i], refusal->number) != 0)
            harness_skip("no seccomp filters here");
}

/* In the fork server, of the way INSIDE. */
static int preload(void)
{
    refuse();
    return 0;
}

static int return_code(void *arg)
{
    (void)arg;
    return CODE;
}

static brood_process *start(brood_start method)
{
    const brood_process_options options = { .name = "mule", .start = method, .directory = "/" };
    return brood_process_start(return_code, NULL, 0, &options);
}

static void ends_well(brood_process *process)
{
    brood_end end = { 0 };
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, PATIENCE_MS), 0);
    CHECK_EQ(end.how, BROOD_FAILED);
    CHECK_EQ(end.code, CODE);
    CHECK_RESULT(brood_process_close(process), 0);
}

/* The way that this case goes, from its name; and its refusal. */
static enum way find_case(void)
{
    const char *wanted = harness_command(NULL)[1];
    for (int i = 0; i < REFUSALS * WAYS; i++) {
        char name[64];
        name_case(i, name, sizeof name);
        if (strcmp(name, wanted) == 0) {
            refusal = &refusals[i / WAYS];
            return (enum way)(i % WAYS);
        }
    }
    NEED(!"a case of this program");
    return WAYS;
}

static void start_refused(enum way way)
{
    bool fails = refusal->fails >> way & 1;
    for (int i = 0; i < 3; i++) {
        if (!fails) {
            ends_well(start(way_methods[way]));
            continue;
        }
        int children = count_children(), descriptors = count_descriptors();
        CHECK_NULL(start(way_methods[way]), refusal->number);
        CHECK_HAS(brood_error(), strerror(refusal->number));
        CHECK_EQ(brood_process_children(NULL, 0), 0);
        if (way == LAUNCH) { /* else the server may have come to be meanwhile */
            CHECK_EQ(count_children(), children);
            CHECK_EQ(count_descriptors(), descriptors);
        }
    }
}

static void run_case(void)
{
    enum way way = find_case();
    brood_heap_stats before = { 0 }, after = { 0 };
    if (refusal->sanitizers && harness_sanitized())
        harness_skip("the sanitizer needs that call itself");
    NEED(brood_init(&(brood_init_options){ .preload = way == INSIDE ? preload : NULL }) == 0);
    ends_well(start(BROOD_FORK));
    CHECK_RESULT(brood_heap_stat(&before), 0);
    int descriptors = count_descriptors();
    if (way < LAUNCH)
        ends_well(start(way_methods[way]));
    if (way != INSIDE)
        refuse();
    start_refused(way);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_EQ(count_descriptors(), descriptors);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
}

int main(int argc, char **argv)
{
    static char names[REFUSALS * WAYS][64];
    static struct test_case cases[REFUSALS * WAYS + 1];
    for (int i = 0, count = 0; i < REFUSALS * WAYS; i++) {
        if (refusals[i / WAYS].no_image && (i % WAYS == SPAWN || i % WAYS == LAUNCH))
            continue;
        name_case(i, names[i], sizeof names[i]);
        cases[count++] = (struct test_case){ .name = names[i], .run = run_case, .no_init = true };
    }
    return harness_main(argc, argv, cases);
}
