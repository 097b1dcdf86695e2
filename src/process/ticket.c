/* process/ticket.c */
#include "process/ticket.h"

#include "error/error.h"
#include "os/futex.h"
#include "process/start.h"
#include "region/heap.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern char **environ;

/* Bytes of a block: first counted, then filled in the same order. A block NULL only counts. */
struct packing {
    char *block;
    size_t used; /* SIZE_MAX: too much */
};

/* Room for `size` bytes, aligned to 16, with a copy of `from` in it. NULL while counting. */
static void *pack(struct packing *packing, const void *from, size_t size)
{
    size_t start = packing->used;
    if (__builtin_add_overflow(start, size, &packing->used) || packing->used > SIZE_MAX - 15)
        packing->used = SIZE_MAX - 15;
    packing->used = (packing->used + 15) & ~(size_t)15;
    return packing->block && from ? memcpy(packing->block + start, from, size) : NULL;
}

/* A list of strings that ends with NULL, and the strings. */
static char *const *pack_strings(struct packing *packing, char *const *from)
{
    size_t count = 0;
    while (from && from[count])
        count++;
    char **strings = from ? pack(packing, from, (count + 1) * sizeof *from) : NULL;
    for (size_t i = 0; i < count; i++) {
        char *copy = pack(packing, from[i], strlen(from[i]) + 1);
        if (strings)
            strings[i] = copy;
    }
    return strings;
}

static void pack_setup(struct packing *packing, struct setup *setup, const brood_process_options *options)
{
    setup->directory = options->directory ? pack(packing, options->directory, strlen(options->directory) + 1) : NULL;
    setup->environment = pack_strings(packing, options->environment);
    setup->fds = options->fds ? pack(packing, options->fds, options->fd_count * sizeof *options->fds) : NULL;
    setup->cpus = options->cpus ? pack(packing, options->cpus, options->cpu_count * sizeof *options->cpus) : NULL;
    setup->fd_count = options->fds ? (uint32_t)options->fd_count : 0;
    setup->cpu_count = options->cpus ? (uint32_t)options->cpu_count : 0;
    setup->streams[0] = options->input;
    setup->streams[1] = options->output;
    setup->streams[2] = options->errors;
    setup->niceness = options->niceness;
    setup->max_memory = options->max_memory;
    setup->max_cpu_seconds = options->max_cpu_seconds;
    setup->max_files = options->max_files;
    setup->max_core = options->max_core;
    setup->new_session = options->new_session;
    setup->new_group = options->new_group;
}

static bool asks_for_setup(const brood_process_options *options)
{
    return options && (options->directory || options->environment || options->fds || options->cpus || options->input ||
                       options->output || options->errors || options->niceness || options->max_memory ||
                       options->max_cpu_seconds || options->max_files || options->max_core || options->new_session ||
                       options->new_group);
}

/* Lays it all out in the packing's block, or counts what that takes. */
static void fill(struct packing *packing, const struct ticket *plan, const struct module_function *function,
                 const void *arg, size_t size, const brood_process_options *options)
{
    struct ticket *ticket = pack(packing, plan, sizeof *plan);
    void *name = function ? pack(packing, function, sizeof *function) : NULL;
    struct setup setup = { 0 };
    if (plan->has_setup)
        pack_setup(packing, &setup, options);
    void *copy = size ? pack(packing, arg, size) : NULL;
    if (!ticket)
        return;
    setup.only_fds = setup.fds || plan->method == BROOD_SPAWN;
    ticket->function = name;
    ticket->setup = setup;
    ticket->arg = size ? copy : (void *)(uintptr_t)arg;
}

static int name_function(brood_target *target, struct module_function *function, brood_start method)
{
    uintptr_t address;
    memcpy(&address, &target, sizeof address);
    int failed = module_name(address, function);
    if (failed == 0)
        return 0;
    if (failed == -EINVAL)
        return error_set(EINVAL, "the function at %p is in no module: a child by %s cannot find it", (void *)address,
                         brood_start_name(method));
    char text[MODULE_PATH_MAX + 64];
    module_describe(function, text, sizeof text);
    return error_set(-failed, "the %s cannot be named to a child by %s: %s", text, brood_start_name(method),
                     strerror(-failed));
}

int ticket_write(struct slot *slot, brood_target *target, const void *arg, size_t size, brood_start method,
                 const brood_process_options *options)
{
    struct module_function function;
    bool named = method != BROOD_FORK;
    int failed = named ? name_function(target, &function, method) : 0;
    if (failed < 0)
        return failed;
    struct ticket plan = {
        .target = target,
        .has_setup = asks_for_setup(options),
        .method = method,
        .inherited_default = start_default(),
    };
    plan.answered = plan.has_setup && (method != BROOD_SPAWN || options->max_memory || options->max_files);
    struct packing packing = { 0 };
    fill(&packing, &plan, named ? &function : NULL, arg, size, options);
    if (!heap_take_into((void **)&slot->ticket, packing.used))
        return error_set(ENOMEM, "no memory in the region for an argument of %zu bytes", size);
    heap_label(slot->ticket, "start of a process");
    packing = (struct packing){ .block = (char *)slot->ticket };
    fill(&packing, &plan, named ? &function : NULL, arg, size, options);
    return 0;
}

/* ---- in the child ---- */

/* Makes a list of strings, in the region, this process' environment. It is copied out of the region for good: the
 * ticket goes with the slot, and a child that was forked meanwhile may outlive that. False: no memory. */
static bool take_environment(char *const *strings)
{
    struct packing packing = { 0 };
    pack_strings(&packing, strings);
    packing.block = mmap(NULL, packing.used, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (packing.block == MAP_FAILED)
        return false;
    packing.used = 0;
    environ = (char **)(uintptr_t)pack_strings(&packing, strings);
    return true;
}

static void answer(struct slot *slot, int outcome)
{
    atomic_store(&slot->set_up, (uint32_t)outcome + 1);
    futex_wake(&slot->set_up, 1);
    if (outcome)
        _exit(EXIT_FAILURE);
}

int ticket_descriptors(const struct ticket *ticket, int *fds)
{
    int count = 0;
    for (int i = 0; i < 3; i++)
        if (ticket->setup.streams[i] > 0)
            fds[count++] = ticket->setup.streams[i];
    for (uint32_t i = 0; i < ticket->setup.fd_count; i++)
        fds[count++] = ticket->setup.fds[i];
    return count;
}

void ticket_set_up(struct slot *slot, const int *arrived, int *keep, int keep_count)
{
    if (!slot->ticket->has_setup)
        return;
    struct setup setup = slot->ticket->setup;
    for (int i = 0; arrived && i < 3; i++)
        if (setup.streams[i] > 0)
            setup.streams[i] = *arrived++;
    setup.from = arrived;
    int outcome = 0;
    if (setup.environment && !take_environment(setup.environment)) /* before max_memory, which this would count for */
        outcome = SETUP_OUTCOME(SETUP_ENVIRONMENT, ENOMEM);
    if (outcome == 0)
        outcome = setup_apply(&setup, keep, keep_count, false);
    answer(slot, outcome);
}

void ticket_finish_setup(struct slot *slot)
{
    if (slot->ticket->answered)
        answer(slot, setup_limit(&slot->ticket->setup));
}
