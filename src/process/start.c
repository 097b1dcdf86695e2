/* process/start.c: forking, spawning, and what a child does first.
 *
 * A spawned child is this very program again. It is told by a marker in its environment: the region's descriptor, its
 * slot, the program's descriptor, and its own pid, which it writes there itself before it executes the program. The
 * marker counts only for that pid, only where the slot names it too, and never in a program that gained privileges; it
 * is removed at once. A child whose marker counts but whose region cannot be joined must not go on as a program of its
 * own: it would start children of its own in turn, for ever.
 */
#include "process/start.h"

#include "error/error.h"
#include "os/program.h"
#include "os/wiped.h"
#include "process/end.h"
#include "process/process.h"
#include "region/region.h"
#include "wait/spin.h"

#include <brood/family.h>
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

static char *const *start_arguments; /* what brood_init was given; else NULL */

int start_command(char *const *command)
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
    start_arguments = copy; /* for the process' life, as its own arguments are */
    return 0;
}

/* What every child does once it has a slot and knows its target. */
static int run(slot_id id, brood_target *target)
{
    struct slot *slot = slot_of(id);
    table_pass_gate(slot);
    child_rename(slot->name);
    end_note_to(&slot->note);
    int code = target(slot->ticket->arg);
    end_say(&slot->note, code);
    return code;
}

pid_t start_fork(slot_id id, struct child_bond *bond)
{
    pid_t pid = child_fork();
    if (pid < 0)
        return error_set(-pid, "fork failed: %s", strerror(-pid));
    if (pid > 0) {
        atomic_store(&slot_of(id)->pid, pid);
        return pid;
    }
    wiped_begin();
    process_forget_all();
    child_follow(bond);
    table_begin(id);
    child_leave(run(id, slot_of(id)->ticket->target));
}

pid_t start_spawn(slot_id id, struct child_bond *bond)
{
    int memory = region_descriptor(), program = program_fd();
    if (memory < 0)
        return memory;
    if (program < 0)
        return error_set(EBADF, "the program closed brood's descriptor of its own file, which a spawned child needs");
    size_t count = 0;
    while (environ && environ[count])
        count++;
    char **environment = calloc(count + 2, sizeof *environment), marker[MARKER_SIZE];
    if (!environment)
        return error_set(ENOMEM, "no memory for the environment of a spawned child");
    for (size_t i = 0; i < count; i++)
        environment[i] = environ[i];
    environment[count] = marker;
    int length = snprintf(marker, sizeof marker - 11, MARKER "=%d:%llx:%d:0:", memory, (unsigned long long)id, program);
    struct child_program plan = {
        .program = program,
        .arguments = start_arguments ? start_arguments : program_arguments(),
        .environment = environment,
        .pid_text = marker + length,
        .pid_shared = &slot_of(id)->pid,
        .keep = (const int[]){ memory, program },
        .keep_count = 2,
        .bond = bond,
    };
    pid_t pid = child_exec(&plan);
    free(environment);
    return pid < 0 ? error_set(-pid, "a spawned child could not be started: %s", strerror(-pid)) : pid;
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

int start_join(void)
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
    fcntl(memory, F_SETFD, FD_CLOEXEC);
    program_adopt(program);
    atomic_store(&spin_cpus, region->cpus);
    table_begin((slot_id)id);
    return 1;
}

_Noreturn void start_serve(void)
{
    slot_id id = table_self("");
    struct slot *slot = slot_of(id);
    uintptr_t target;
    int found = module_find(&slot->ticket->function, &target);
    if (found < 0) {
        char function[MODULE_PATH_MAX + 64];
        module_describe(&slot->ticket->function, function, sizeof function);
        snprintf(slot->note.why, sizeof slot->note.why, "%.60s is not in the child: %s", function,
                 found == -ESTALE ? "the library is another build there" : "the library is not loaded there");
        end_say(&slot->note, found);
        exit(EXIT_FAILURE);
    }
    brood_target *function;
    memcpy(&function, &target, sizeof function);
    exit(run(id, function) & 0xff);
}
