/* process/family.c: brood/family.h.
 */
#include "process/family.h"

#include "error/error.h"
#include "os/cpu.h"
#include "os/limits.h"
#include "os/program.h"
#include "os/wiped.h"
#include "process/start.h"
#include "process/table.h"
#include "region/region.h"
#include "wait/spin.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t init_guard = PTHREAD_MUTEX_INITIALIZER;
static bool init_failed;
static _Atomic int start_method = BROOD_FORK;

static const struct {
    brood_start start;
    const char *name;
} start_methods[] = { { BROOD_FORK, "fork" }, { BROOD_SPAWN, "spawn" } };

const char *brood_version(void)
{
    return BROOD_VERSION;
}

const char *brood_start_name(brood_start start)
{
    for (size_t i = 0; i < sizeof start_methods / sizeof *start_methods; i++)
        if (start_methods[i].start == start)
            return start_methods[i].name;
    return NULL;
}

int brood_start_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof start_methods / sizeof *start_methods; i++)
        if (strcmp(start_methods[i].name, name) == 0)
            return (int)start_methods[i].start;
    return error_set(EINVAL, "'%s' is no start method: fork and spawn are", name ? name : "(null)");
}

int brood_cpu_count(void)
{
    return cpu_usable();
}

brood_start family_start_method(void)
{
    return (brood_start)atomic_load(&start_method);
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

static int choose_start(const brood_init_options *options)
{
    const char *text = getenv("BROOD_START_METHOD");
    int chosen = options ? (int)options->start : BROOD_DEFAULT;
    if (chosen == BROOD_DEFAULT && text) {
        chosen = brood_start_find(text);
        if (chosen < 0)
            return error_set(EINVAL, "BROOD_START_METHOD is '%s': it must be fork or spawn", text);
    }
    if (chosen != BROOD_DEFAULT && !brood_start_name((brood_start)chosen))
        return error_set(EINVAL, "brood_init: %d is no start method", chosen);
    if (chosen != BROOD_DEFAULT)
        atomic_store(&start_method, chosen);
    return 0;
}

static int check_options(const brood_init_options *options)
{
    for (size_t i = 0; options && i < sizeof options->reserved / sizeof *options->reserved; i++)
        if (options->reserved[i])
            return error_set(EINVAL, "brood_init: the options are of a newer brood (reserved[%zu])", i);
    return 0;
}

/* 0: founded.  1: a spawned child, which has joined; what it needs of the options is set before.  -errno. */
static int found_or_join(const brood_init_options *options)
{
    size_t limit;
    int failed = check_options(options);
    if (failed < 0 || (failed = choose_start(options)) < 0)
        return failed;
    if (program_remember() < 0 || start_command(options ? options->command : NULL) < 0 || wiped_create() < 0)
        return error_set(ENOMEM, "brood_init: no memory");
    if ((failed = start_join()) != 0 || (failed = choose_limit(options, &limit)) < 0)
        return failed;
    struct region *found = region_found(limit, table_size(limit));
    if (!found)
        return -errno;
    table_lay_out(found->table, found->size);
    found->cpus = cpu_has_quota() ? 1 : cpu_usable();
    atomic_store(&spin_cpus, found->cpus);
    region_publish(found);
    table_self(options && options->name ? options->name : "main");
    return 0;
}

int brood_init(const brood_init_options *options)
{
    int result = BROOD_ALREADY;
    if (!region_is_there()) {
        pthread_mutex_lock(&init_guard);
        if (init_failed) {
            result = region_enter();
        } else if (!region_is_there()) {
            result = found_or_join(options);
            init_failed = result < 0;
            if (init_failed)
                region_refuse(brood_error());
            if (result == 0 || result < 0) {
                pthread_mutex_unlock(&init_guard);
                return result;
            }
            pthread_mutex_unlock(&init_guard); /* the target may call brood_init too */
            start_serve();
        }
        pthread_mutex_unlock(&init_guard);
    }
    if (result == BROOD_ALREADY)
        error_tell("brood_init: this process is in a family already");
    return result;
}
