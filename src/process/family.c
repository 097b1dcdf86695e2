/* process/family.c: brood/family.h, but for brood_fini.
 */
#include "error/error.h"
#include "error/log.h"
#include "os/cpu.h"
#include "os/limits.h"
#include "os/program.h"
#include "os/wiped.h"
#include "process/begin.h"
#include "process/fini.h"
#include "process/lifeline.h"
#include "process/postbox.h"
#include "process/server.h"
#include "process/spawn.h"
#include "process/start.h"
#include "process/table.h"
#include "region/heap.h"
#include "region/region.h"
#include "sync/waiter.h"
#include "wait/spin.h"

#include <brood/family.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t init_guard = PTHREAD_MUTEX_INITIALIZER;
static bool init_failed;

const char *brood_version(void)
{
    return BROOD_VERSION;
}

int brood_cpu_count(void)
{
    return cpu_usable();
}

/* Of this process, for the lines of its log. */
static void tell_name(char *name)
{
    slot_id id = atomic_load(&wiped->slot);
    name[0] = 0;
    if (id)
        table_name(id, name);
}

/* BROOD_LIMIT: bytes, or with K, M or G behind. 0 or -EINVAL with a sentence. */
static int read_limit(const char *text, size_t *limit)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    bool number = text[0] >= '0' && text[0] <= '9' && errno == 0 && value != 0 && (shift ? end[1] : end[0]) == 0;
    if (!number || value > SIZE_MAX >> shift)
        return error_set(EINVAL, "BROOD_LIMIT is '%s': it must be bytes, or a number with K, M or G behind", text);
    *limit = (size_t)value << shift;
    return 0;
}

static int choose_limit(const brood_init_options *options, size_t *limit)
{
    const char *text = getenv("BROOD_LIMIT");
    *limit = options ? options->limit : 0;
    if (*limit == 0 && text && read_limit(text, limit) < 0)
        return -EINVAL;
    const char *chosen = options && options->limit ? "the limit" : *limit ? "BROOD_LIMIT" : NULL;
    if (!chosen)
        *limit = limits_region_default();
    if (*limit >= REGION_LEAST && *limit <= REGION_MOST)
        return 0;
    if (!chosen)
        return error_set(ENOMEM,
                         "the limits of this process or machine leave %zu bytes for the region: %zu are the least",
                         *limit, REGION_LEAST);
    if (*limit > REGION_MOST)
        return error_set(ENOMEM, "%s is %zu bytes: a region has at most %zu", chosen, *limit, REGION_MOST);
    return error_set(EINVAL, "%s is %zu bytes: a region has at least %zu", chosen, *limit, REGION_LEAST);
}

static int check_options(const brood_init_options *options)
{
    return options ? error_reserved("brood_init", options->reserved, sizeof options->reserved / sizeof(void *)) : 0;
}

/* 0: founded.  1: a spawned child, which has joined as *id; what it needs of the options is set before.  -errno. */
static int found_or_join(const brood_init_options *options, slot_id *id)
{
    size_t limit;
    brood_heap_mode mode = options ? options->heap : BROOD_HEAP_DEFAULT;
    int failed = check_options(options);
    if (failed < 0 || (failed = start_choose(options ? options->start : BROOD_DEFAULT)) < 0 ||
        (failed = log_choose()) < 0 || (failed = heap_choose(&mode)) < 0 || (failed = waiter_choose()) < 0)
        return failed;
    if ((failed = wiped_create()) == -ENOSYS)
        return error_set(ENOSYS, "brood_init: the kernel cannot keep a page from a fork's child (madvise(2): "
                                 "before Linux 4.14, or refused)");
    if (failed < 0 || program_remember() < 0 || spawn_command(options ? options->command : NULL) < 0 ||
        fini_at_exit() < 0 || lifelines_at_fork() < 0)
        return error_set(ENOMEM, "brood_init: no memory");
    server_preload(options ? options->preload : NULL);
    log_ask_name(tell_name);
    if ((failed = spawn_join(id)) != 0 || (failed = choose_limit(options, &limit)) < 0)
        return failed;
    struct region *found = region_found(limit, table_size(limit), mode);
    if (!found)
        return -errno;
    table_lay_out(found->table, found->size);
    found->cpus = cpu_has_quota() ? 1 : cpu_usable();
    atomic_store(&spin_cpus, found->cpus);
    region_publish(found);
    postbox_found();
    table_self(options && options->name ? options->name : "main");
    return 0;
}

int brood_init(const brood_init_options *options)
{
    int result = BROOD_ALREADY;
    slot_id id = 0;
    if (!region_is_there()) {
        pthread_mutex_lock(&init_guard);
        if (init_failed) {
            result = region_enter();
        } else if (!region_is_there()) {
            result = found_or_join(options, &id);
            init_failed = result < 0;
            if (init_failed)
                region_refuse(brood_error());
            if (result == 0 || result < 0) {
                pthread_mutex_unlock(&init_guard);
                return result;
            }
            pthread_mutex_unlock(&init_guard); /* the target may call brood_init too */
            begin_afresh(id);
        }
        pthread_mutex_unlock(&init_guard);
    }
    if (result == BROOD_ALREADY)
        error_tell("brood_init: this process is in a family already");
    return result;
}
