/* bench/process.c: what a process costs, from its start to its end being known.
 *
 * Brood's and the raw one are started by the same process, so that both copy, or leave behind, the same memory.
 */
#include "clock.h"
#include "figure.h"
#include "trouble.h"

#include <brood.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS 400
#define SPAWNS 100

extern char **environ;

static double us_each(uint64_t start, int count)
{
    return (double)(clock_ns() - start) / NS_PER_US / count;
}

static int return_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static double processes_by_brood(brood_start start, int count)
{
    const brood_process_options options = { .start = start };
    uint64_t began = clock_ns();
    for (int i = 0; i < count; i++) {
        brood_process *process = brood_process_start(return_at_once, NULL, 0, &options);
        if (!process)
            return trouble("process %d of %d: %s", i, count, brood_error());
        brood_end end;
        if (brood_process_join(process, &end, BROOD_FOREVER) < 0)
            return trouble("join: %s", brood_error());
        if (end.how != BROOD_RETURNED)
            return trouble("process %d of %d ended otherwise: %s", i, count, end.why);
        if (brood_process_close(process) < 0)
            return trouble("close: %s", brood_error());
    }
    return us_each(began, count);
}

/* Waits for a raw child: 0 if it exited with 0. */
static int reap(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

double process_fork_brood(void)
{
    return processes_by_brood(BROOD_FORK, FORKS);
}

double process_fork_limit(void)
{
    uint64_t began = clock_ns();
    for (int i = 0; i < FORKS; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0 || reap(pid) < 0)
            return trouble("fork %d of %d failed", i, FORKS);
    }
    return us_each(began, FORKS);
}

double process_spawn_brood(void)
{
    return processes_by_brood(BROOD_SPAWN, SPAWNS);
}

double process_spawn_limit(void)
{
    char name[] = "speedlab", argument[] = RETURN_AT_ONCE;
    char *const arguments[] = { name, argument, NULL };
    uint64_t began = clock_ns();
    for (int i = 0; i < SPAWNS; i++) {
        pid_t pid;
        int error = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ);
        if (error)
            return trouble("posix_spawn %d of %d: %s", i, SPAWNS, strerror(error));
        if (reap(pid) < 0)
            return trouble("posix_spawn %d of %d: the child failed", i, SPAWNS);
    }
    return us_each(began, SPAWNS);
}
