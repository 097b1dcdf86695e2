/* sight_process.c: the family's table, and what the kernel says of each process there. */
#include "os/proc.h"
#include "process/table.h"
#include "sight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A file of /proc as one string. */
static bool read_file(int pid, const char *name, char *text, size_t size)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    return got > 0;
}

/* The program's own name, for a process that has none in the family. */
static void ask_kernel(struct seen_process *process)
{
    char text[1024];
    unsigned long long user, system, start;
    long threads, ticks = sysconf(_SC_CLK_TCK);
    struct timespec now;
    if (!read_file(process->pid, "stat", text, sizeof text))
        return;
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    if (!open || !close ||
        sscanf(close + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %ld %*d %llu",
               &process->state, &process->parent, &user, &system, &threads, &start) != 6)
        return;
    if (!process->name[0])
        window_clean(process->name, sizeof process->name, open + 1, (size_t)(close - open - 1));
    clock_gettime(CLOCK_BOOTTIME, &now);
    process->threads = (int)threads;
    process->cpu_ms = (int64_t)((user + system) * 1000 / (unsigned long long)ticks);
    process->age_ms =
        now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 - (int64_t)(start * 1000 / (unsigned long long)ticks);
    if (process->age_ms < 0)
        process->age_ms = 0;
    long long pages;
    if (read_file(process->pid, "statm", text, sizeof text) && sscanf(text, "%*d %lld", &pages) == 1)
        process->resident = pages * sysconf(_SC_PAGESIZE);
    process->own = proc_private_bytes(process->pid);
}

static bool add(struct sight *sight, const struct seen_process *process)
{
    struct seen_process *all = sight_grow(sight->processes, sight->process_count, sizeof *all);
    if (!all)
        return false;
    sight->processes = all;
    all[sight->process_count] = *process;
    ask_kernel(&all[sight->process_count++]);
    return true;
}

static bool is_listed(const struct family *family, int pid)
{
    for (size_t i = 0; i < family->count; i++)
        if (family->pids[i] == pid)
            return true;
    return false;
}

/* Whether this slot's process is the one of that id now, and not a stranger, to whom the id went. One that has just
 * begun, or has ended, maps nothing: it is known by its parent. */
static bool is_of_family(const struct family *family, const struct seen_process *process)
{
    return is_listed(family, process->pid) || family_has(family, process->pid) || is_listed(family, process->parent);
}

static bool add_slot(struct sight *sight, const struct slot *slot, const struct family *family)
{
    uint32_t starter = (uint32_t)atomic_load(&slot->claim);
    int pid = atomic_load(&slot->pid);
    if (starter == 0 || pid <= 0)
        return true;
    struct seen_process process = { .pid = pid, .is_member = true };
    process.starter = (int)starter == pid ? 0 : (int)starter;
    window_clean(process.name, sizeof process.name, slot->name, SLOT_NAME);
    if (!add(sight, &process))
        return false;
    const struct seen_process *added = &sight->processes[sight->process_count - 1];
    if (added->state && !is_of_family(family, added))
        sight->process_count--;
    return true;
}

bool see_processes(struct sight *sight, const struct window *window, const struct family *family)
{
    struct table table;
    const struct table *at = window->head.table;
    if (!window_read(window, at, &table, sizeof table))
        return true; /* it has ended: nobody is seen */
    uint32_t top = atomic_load(&table.top);
    top = top < TABLE_SLOTS ? top : TABLE_SLOTS;
    struct slot *slots = top ? malloc(top * sizeof *slots) : NULL;
    if (top && !slots)
        return false;
    bool good = true;
    if (top && window_read(window, at->slots, slots, top * sizeof *slots))
        for (uint32_t i = 0; i < top && good; i++)
            good = add_slot(sight, &slots[i], family);
    free(slots);
    for (size_t i = 0; i < family->count && good; i++)
        if (!sight_process(sight, family->pids[i])) {
            struct seen_process process = { .pid = family->pids[i] };
            good = add(sight, &process);
            if (good && !sight->processes[sight->process_count - 1].state)
                sight->process_count--; /* it has ended meanwhile */
        }
    return good;
}
