/* process/spawn.c
 *
 * A spawned child is told by a marker in its environment: the region's descriptor, its slot, the program's descriptor,
 * and its own pid, which it writes there itself before it executes the program. The marker counts only for that pid,
 * only where the slot names it too, and never in a program that gained privileges; it is removed at once. A child whose
 * marker counts but whose region cannot be joined must not go on as a program of its own: it would start children of
 * its own in turn, for ever.
 */
#include "process/spawn.h"

#include "error/error.h"
#include "os/program.h"
#include "process/postbox.h"
#include "process/ticket.h"
#include "region/region.h"
#include "wait/spin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define MARKER "BROOD_CHILD"
#define MARKER_SIZE 128
#define MARKER_TRIES 8 /* fresh address spaces that a child asks for, if the region's place is taken in its own */

extern char **environ;

static char *const *command_given; /* to brood_init; else NULL */

int spawn_command(char *const *command)
{
    size_t count = 0;
    while (command && command[count])
        count++;
    char **copy = command ? calloc(count + 1, sizeof *copy) : NULL;
    if (command && !copy)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        copy[i] = strdup(command[i]);
        if (!copy[i]) {
            while (i-- > 0)
                free(copy[i]);
            free(copy);
            return -ENOMEM;
        }
    }
    command_given = copy; /* for the process' life, as its own arguments are */
    return 0;
}

/* The marker, and the environment without any other; malloc'ed, its strings not copied. NULL: no memory. */
static char **with_marker(char *const *environment, char *marker)
{
    size_t count = 0, kept = 0;
    while (environment && environment[count])
        count++;
    char **longer = calloc(count + 2, sizeof *longer);
    if (!longer)
        return NULL;
    longer[kept++] = marker;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environment[i], MARKER "=", sizeof MARKER) != 0)
            longer[kept++] = environment[i];
    return longer;
}

/* Whether a child of ours that executes this program gains privileges, or is taken to, and so believes no marker. */
static bool is_privileged(void)
{
    return getauxval(AT_SECURE) || getuid() != geteuid() || getgid() != getegid() || program_gives_privileges();
}

pid_t spawn_start(slot_id id, const struct child_bond *bond, int *outcome)
{
    struct ticket *ticket = slot_of(id)->ticket;
    int memory = region_descriptor(), program = program_fd(), post = postbox_descriptor();
    *outcome = 0;
    if (memory < 0)
        return memory;
    if (program < 0)
        return error_set(EBADF, "the program closed brood's descriptor of its own file, which a spawned child needs");
    if (is_privileged())
        return error_set(EPERM, "a program that runs with another user's privileges can spawn no process: it would not "
                                "be believed to be its parent");
    ticket->post = post;
    char marker[MARKER_SIZE];
    char **environment = with_marker(ticket->setup.environment ? ticket->setup.environment : environ, marker);
    if (!environment)
        return error_set(ENOMEM, "no memory for the environment of a spawned child");
    int length = snprintf(marker, sizeof marker - 11, MARKER "=%d:%llx:%d:0:", memory, (unsigned long long)id, program);
    struct child_program plan = {
        .program = program,
        .arguments = command_given ? command_given : program_arguments(),
        .environment = environment,
        .pid_text = marker + length,
        .pid_shared = &slot_of(id)->pid,
        .setup = &ticket->setup,
        .keep = (int[]){ memory, program, post },
        .keep_count = 3,
        .bond = bond,
    };
    pid_t pid = child_exec(&plan, outcome);
    free(environment);
    if (pid == -ECHILD && *outcome == 0)
        error_set(ECHILD, "a spawned child was killed before it was set up");
    else if (pid < 0 && *outcome == 0)
        error_set(-pid, "a spawned child could not be started: %s", strerror(-pid));
    return pid;
}

/* The address that the region has in the family is taken in this process: the next address space may be luckier. */
static void try_again(int memory, slot_id id, int program, int tries)
{
    char marker[MARKER_SIZE];
    snprintf(marker, sizeof marker, "%d:%llx:%d:%d:%d", memory, (unsigned long long)id, program, tries + 1, getpid());
    if (tries + 1 >= MARKER_TRIES || setenv(MARKER, marker, 1) < 0)
        return;
    fcntl(memory, F_SETFD, 0);
    fcntl(program, F_SETFD, 0);
    fexecve(program, program_arguments(), environ);
    unsetenv(MARKER);
}

int spawn_join(slot_id *own)
{
    const char *marker = getenv(MARKER);
    int memory, program, tries, pid;
    unsigned long long id;
    bool ours = marker && !getauxval(AT_SECURE) &&
                sscanf(marker, "%d:%llx:%d:%d:%d", &memory, &id, &program, &tries, &pid) == 5 && pid == getpid();
    if (marker)
        unsetenv(MARKER);
    if (!ours)
        return 0;
    int joined = region_join(memory);
    if (joined == -EAGAIN)
        try_again(memory, id, program, tries);
    if (joined < 0)
        return joined;
    struct slot *slot = slot_of(id);
    if ((uint32_t)id >= region->table->count || atomic_load(&slot->claim) >> 32 != id >> 32 ||
        atomic_load(&slot->pid) != getpid()) {
        region_leave();
        return error_set(EPERM, "the family that this process was started for knows no such child");
    }
    /* Once more: an exec that changes capabilities drops it. */
    child_follow(&(struct child_bond){ .tie = slot->ticket->tie & CHILD_TO_THREAD,
                                       .parent = (pid_t)(uint32_t)atomic_load(&slot->claim) });
    fcntl(memory, F_SETFD, FD_CLOEXEC);
    program_adopt(program);
    postbox_join(slot->ticket->post);
    atomic_store(&spin_cpus, region->cpus);
    table_begin((slot_id)id);
    *own = (slot_id)id;
    return 1;
}
