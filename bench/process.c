/* bench/process.c: what a process costs, from its start to its end being known.
 *
 * Brood's and the raw one are started by the same process, so that both copy, or leave behind, the same memory.
 */
#include "clock.h"
#include "figure.h"
#include "trouble.h"

#include <brood.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS 400
#define SPAWNS 100
#define HEAVY_BYTES ((size_t)1 << 30)
#define HEAVY_FORKS 8

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

static double processes_by_hand(int count)
{
    uint64_t began = clock_ns();
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        if (pid < 0 || reap(pid) < 0)
            return trouble("fork %d of %d failed", i, count);
    }
    return us_each(began, count);
}

double process_fork_brood(void)
{
    return processes_by_brood(BROOD_FORK, FORKS);
}

double process_fork_limit(void)
{
    return processes_by_hand(FORKS);
}

double process_forkserver_brood(void)
{
    return brood_start_server() < 0 ? trouble("%s", brood_error()) : processes_by_brood(BROOD_FORKSERVER, FORKS);
}

/* ---- by a caller that has 1 GiB resident, in pages of the usual size ---- */

static double process_beside_memory(measure *measured)
{
    char *memory = mmap(NULL, HEAVY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, HEAVY_BYTES, MADV_NOHUGEPAGE) < 0)
        return trouble("no GiB of memory");
    for (size_t i = 0; i < HEAVY_BYTES; i += 4096)
        memory[i] = 1;
    double us = measured();
    munmap(memory, HEAVY_BYTES);
    return us;
}

static double heavy_limit(void)
{
    return processes_by_hand(HEAVY_FORKS);
}

double process_forkserver_1gib_brood(void)
{
    return process_beside_memory(process_forkserver_brood);
}

double process_forkserver_1gib_limit(void)
{
    return process_beside_memory(heavy_limit);
}

/* ---- by a caller with children that live ---- */

static int stay(void *arg)
{
    (void)arg;
    while (pause())
        continue;
    return 0;
}

static double beside_brood(int live)
{
    brood_process **processes = calloc((size_t)live, sizeof *processes);
    int started = 0;
    while (processes && started < live &&
           (processes[started] = brood_process_start(stay, NULL, 0, &(brood_process_options){ .start = BROOD_FORK })))
        started++;
    double us = started == live ? processes_by_brood(BROOD_FORK, FORKS)
                                : trouble("%d of %d live children: %s", started, live, brood_error());
    for (int i = 0; i < started; i++)
        if (brood_process_stop(processes[i], NULL, 0, 0, BROOD_FOREVER) < 0 || brood_process_close(processes[i]) < 0)
            us = trouble("a live child: %s", brood_error());
    free(processes);
    return us;
}

static double beside_hand(int live)
{
    pid_t *pids = calloc((size_t)live, sizeof *pids);
    int started = 0;
    for (pid_t pid = 1; pids && started < live && pid > 0;) {
        pid = fork();
        if (pid == 0)
            stay(NULL);
        if (pid > 0)
            pids[started++] = pid;
    }
    double us = started == live ? processes_by_hand(FORKS) : trouble("%d of %d live children", started, live);
    for (int i = 0; i < started; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    free(pids);
    return us;
}

double process_live_1_brood(void)
{
    return beside_brood(1);
}

double process_live_1_limit(void)
{
    return beside_hand(1);
}

double process_live_10_brood(void)
{
    return beside_brood(10);
}

double process_live_10_limit(void)
{
    return beside_hand(10);
}

double process_live_100_brood(void)
{
    return beside_brood(100);
}

double process_live_100_limit(void)
{
    return beside_hand(100);
}

double process_live_1000_brood(void)
{
    return beside_brood(1000);
}

double process_live_1000_limit(void)
{
    return beside_hand(1000);
}

/* ---- spawn ---- */

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
