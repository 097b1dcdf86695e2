/* family_init.c: founding a family: what brood_init takes from its options and the environment, how it fails, and that
 * nothing works before it or after its failure. Each attempt is a process of its own, since each has only one.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

struct attempt {
    const char *limit_variable;
    const char *start_variable;
    const char *log_variable;
    const brood_init_options *options;
    int result;
    size_t limit; /* what brood_heap_stat must say; 0: anything */
    const char *sentence;
};

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int no_task(const void *in, void *out)
{
    (void)in;
    (void)out;
    return 0;
}

/* Every call that can be made without an object of brood's. */
static void check_unusable(void)
{
    static void *place;
    static brood_lock lock;
    int here = 0;
    brood_heap_stats stats;
    CHECK_NULL(brood_alloc(1), EINVAL);
    CHECK_NULL(brood_alloc_array(1, 1), EINVAL);
    CHECK_NULL(brood_strdup("x"), EINVAL);
    CHECK_NULL(brood_alloc_into(&place, 1), EINVAL);
    CHECK_ERRNO(brood_free(&here), EINVAL);
    CHECK_ERRNO(brood_free_from(&place), EINVAL);
    CHECK_EQ(brood_contains(&here), 0);
    CHECK_RESULT(brood_heap_stat(&stats), -EINVAL);
    CHECK_RESULT(brood_heap_check(), -EINVAL);
    CHECK_RESULT(brood_fini(), -EINVAL);
    CHECK_RESULT(brood_start_default(), -EINVAL);
    CHECK_RESULT(brood_start_set_default(BROOD_SPAWN, true), -EINVAL);
    CHECK_RESULT(brood_start_server(), -EINVAL);
    CHECK_NULL(brood_process_start(nothing, NULL, 0, NULL), EINVAL);
    CHECK_RESULT(brood_process_join(NULL, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_process_stop(NULL, NULL, 0, 0, 0), -EINVAL);
    CHECK_RESULT(brood_process_signal(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_process_fd(NULL), -EINVAL);
    CHECK_NULL(brood_process_self(), EINVAL);
    CHECK_NULL(brood_process_parent(), EINVAL);
    CHECK_RESULT(brood_process_children(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_process_at_exit(nothing, NULL), -EINVAL);
    CHECK_RESULT(brood_process_pid(NULL), -EINVAL);
    CHECK_STR(brood_process_name(NULL), "");
    CHECK_RESULT(brood_lock_init(&lock, NULL), -EINVAL);
    CHECK_RESULT(brood_lock_acquire(&lock, 0), -EINVAL);
    CHECK_RESULT(brood_lock_release(&lock), -EINVAL);
    CHECK_RESULT(brood_lock_abandon(&lock), -EINVAL);
    CHECK_RESULT(brood_lock_holder(&lock), -EINVAL);
    CHECK_NULL(brood_pool_create(1, NULL), EINVAL);
    CHECK_RESULT(brood_pool_map(NULL, no_task, NULL, 0, NULL, 0, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_workers(NULL), -EINVAL);
    CHECK_RESULT(brood_pool_keeper(NULL), -EINVAL);
    CHECK_RESULT(brood_pool_worker(NULL, 0), -EINVAL);
}

static int attempt_here(void *arg)
{
    const struct attempt *attempt = arg;
    if (attempt->limit_variable != NULL)
        setenv("BROOD_LIMIT", attempt->limit_variable, 1);
    if (attempt->start_variable != NULL)
        setenv("BROOD_START_METHOD", attempt->start_variable, 1);
    if (attempt->log_variable != NULL)
        setenv("BROOD_LOG", attempt->log_variable, 1);
    if (!CHECK_RESULT(brood_init(attempt->options), attempt->result))
        return 1;
    if (attempt->result < 0) {
        char sentence[512];
        strncpy(sentence, brood_error(), sizeof sentence - 1);
        sentence[sizeof sentence - 1] = '\0';
        if (attempt->sentence != NULL)
            CHECK_HAS(sentence, attempt->sentence);
        check_unusable();
        CHECK_NULL(brood_alloc(1), EINVAL);
        CHECK_STR(brood_error(), sentence);
        CHECK_RESULT(brood_start_default(), -EINVAL);
        CHECK_STR(brood_error(), sentence);
        CHECK_NULL(brood_process_start(nothing, NULL, 0, NULL), EINVAL);
        CHECK_STR(brood_error(), sentence);
        CHECK_RESULT(brood_init(NULL), -EINVAL);
        CHECK_STR(brood_error(), sentence);
        return 0;
    }
    brood_heap_stats stats;
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    if (attempt->limit != 0)
        CHECK_EQ((long long)stats.limit, (long long)attempt->limit);
    void *block = CHECK_POINTER(brood_alloc(1000));
    brood_free(block);
    return 0;
}

static void attempt_init(struct attempt attempt)
{
    CHECK_EQ(wait_child(fork_child(attempt_here, &attempt)), 0);
}

static void before_init(void)
{
    CHECK_STR(brood_error(), "");
    check_unusable();
    CHECK_RESULT(brood_init(NULL), 0);
    CHECK_POINTER(brood_alloc(1));
}

static void init_twice(void)
{
    CHECK_STR(brood_error(), "");
    CHECK_RESULT(brood_init(NULL), 0);
    CHECK_STR(brood_error(), "");
    CHECK_RESULT(brood_init(NULL), BROOD_ALREADY);
    CHECK(brood_error()[0] != '\0');
    /* the options are not looked at any more */
    CHECK_RESULT(brood_init(&(brood_init_options){ .limit = 1, .reserved = { &errno } }), BROOD_ALREADY);
    void *block = CHECK_POINTER(brood_alloc(1));
    brood_free(block);
}

static atomic_int founders;
static atomic_int joiners;

static void *init_in_thread(void *arg)
{
    (void)arg;
    int result = brood_init(NULL);
    if (result == 0)
        atomic_fetch_add(&founders, 1);
    else if (CHECK_RESULT(result, BROOD_ALREADY))
        atomic_fetch_add(&joiners, 1);
    brood_free(CHECK_POINTER(brood_alloc(100)));
    return NULL;
}

static void init_by_threads(void)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        NEED(pthread_create(&threads[i], NULL, init_in_thread, NULL) == 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(atomic_load(&founders), 1);
    CHECK_EQ(atomic_load(&joiners), 7);
}

static int never(void)
{
    CHECK(!"preload ran in a first process");
    return 1;
}

static void options_good(void)
{
    attempt_init((struct attempt){ .options = &(brood_init_options){ .limit = MIB }, .limit = MIB });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .limit = MIB + 1 }, .limit = MIB + 65536 });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .limit = 100 * MIB }, .limit = 100 * MIB });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .name = "founder", .start = BROOD_SPAWN } });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .start = BROOD_FORK } });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .start = BROOD_FORKSERVER } });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .command = harness_command(NULL) } });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .preload = never } }); /* the server's */
}

static void options_bad(void)
{
    attempt_init((struct attempt){ .options = &(brood_init_options){ .limit = 1 }, .result = -EINVAL });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .limit = MIB - 65536 }, .result = -EINVAL });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .start = (brood_start)99 }, .result = -EINVAL });
    for (int i = 0; i < 8; i++) {
        brood_init_options options = { .name = "main" };
        options.reserved[i] = &options;
        attempt_init((struct attempt){ .options = &options, .result = -EINVAL });
    }
}

static void limit_variable(void)
{
    attempt_init((struct attempt){ .limit_variable = "1048576", .limit = MIB });
    attempt_init((struct attempt){ .limit_variable = "2048K", .limit = 2 * MIB });
    attempt_init((struct attempt){ .limit_variable = "3M", .limit = 3 * MIB });
    if (sizeof(size_t) == 8)
        attempt_init((struct attempt){ .limit_variable = "1G", .limit = 1024 * MIB });
    else
        attempt_init((struct attempt){ .limit_variable = "1G", .result = -ENOMEM, .sentence = "at most 536870912" });
    attempt_init((struct attempt){
        .limit_variable = "3M", .options = &(brood_init_options){ .limit = 5 * MIB }, .limit = 5 * MIB });
    static const char *const bad[] = { "x",
                                       "12Q",
                                       "-1",
                                       "-5M",
                                       "1K",
                                       "1048575x",
                                       "1MM",
                                       "M",
                                       "0x1G",
                                       "1.5G",
                                       "1M ",
                                       "1023K",
                                       "99999999999999999999",
                                       "99999999999999999G" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        attempt_init((struct attempt){ .limit_variable = bad[i], .result = -EINVAL, .sentence = "BROOD_LIMIT" });
    }
}

static void start_variable(void)
{
    attempt_init((struct attempt){ .start_variable = "fork" });
    attempt_init((struct attempt){ .start_variable = "spawn" });
    attempt_init((struct attempt){ .start_variable = "forkserver" });
    static const char *const bad[] = { "thread", "Fork", "spawn ", "0", "1", "default", "fork server" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        attempt_init((struct attempt){ .start_variable = bad[i], .result = -EINVAL, .sentence = "BROOD_START_METHOD" });
}

static void log_variable(void)
{
    for (int i = BROOD_SILENT; i <= BROOD_ERROR; i++)
        attempt_init((struct attempt){ .log_variable = brood_level_name((brood_level)i) });
    static const char *const bad[] = { "loud", "Error", "info ", "warn", "0", "1", "true", "error|info" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        attempt_init((struct attempt){ .log_variable = bad[i], .result = -EINVAL, .sentence = "BROOD_LOG" });
}

static void room_too_large(void)
{
    attempt_init((struct attempt){ .options = &(brood_init_options){ .limit = HUGE_SIZE(47) }, .result = -ENOMEM });
    attempt_init((struct attempt){ .options = &(brood_init_options){ .limit = HUGE_SIZE(62) }, .result = -ENOMEM });
}

static int address_limited(void *arg)
{
    (void)arg;
    const size_t space = (sizeof(size_t) == 8 ? 1024 : 256) * MIB;
    struct rlimit limit = { space, space };
    char sentence[64];
    NEED(setrlimit(RLIMIT_AS, &limit) == 0);
    snprintf(sentence, sizeof sentence, "RLIMIT_AS is %zu", space);
    attempt_init((struct attempt){
        .options = &(brood_init_options){ .limit = 2 * space }, .result = -ENOMEM, .sentence = sentence });
    NEED(brood_init(NULL) == 0);
    brood_heap_stats stats;
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    CHECK(stats.limit <= space / 2);
    brood_free(CHECK_POINTER(brood_alloc(MIB)));
    return 0;
}

static void address_limit(void)
{
    if (harness_sanitized())
        harness_skip("a sanitizer needs more address space than the limit leaves");
    CHECK_EQ(wait_child(fork_child(address_limited, NULL)), 0);
}

static int file_limited(void *arg)
{
    (void)arg;
    struct rlimit limit = { 16 * MIB, RLIM_INFINITY };
    signal(SIGXFSZ, SIG_DFL); /* which would kill us */
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    attempt_init((struct attempt){ .options = &(brood_init_options){ .limit = 64 * MIB },
                                   .result = -ENOMEM,
                                   .sentence = "RLIMIT_FSIZE is 16777216" });
    NEED(brood_init(NULL) == 0);
    brood_heap_stats stats;
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    CHECK(stats.limit <= 16 * MIB);
    brood_free(CHECK_POINTER(brood_alloc(MIB)));
    return 0;
}

/* A program that is refused a family ends by exit all the same. */
static int exit_refused(void *arg)
{
    (void)arg;
    struct rlimit limit = { 0, RLIM_INFINITY };
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_RESULT(brood_init(NULL), -ENOMEM);
    exit(3); /* NOLINT(concurrency-mt-unsafe) */
}

static int file_forbidden(void *arg)
{
    (void)arg;
    struct rlimit limit = { 0, RLIM_INFINITY };
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_RESULT(brood_init(NULL), -ENOMEM);
    return 0;
}

static void file_limit(void)
{
    CHECK_EQ(wait_child(fork_child(file_limited, NULL)), 0);
    CHECK_EQ(wait_child(fork_child(file_forbidden, NULL)), 0);
    CHECK_EQ(wait_child(fork_child(exit_refused, NULL)), 3 << 8);
}

static void memfd_refused(void)
{
    if (refuse_call(SYS_memfd_create, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    attempt_init((struct attempt){ .result = -ENOSYS });
}

static void madvise_refused(void)
{
    if (refuse_call(SYS_madvise, EINVAL) != 0)
        harness_skip("no seccomp filters here");
    attempt_init((struct attempt){ .result = -ENOSYS });
}

static void madvise_forbidden(void)
{
    if (refuse_call(SYS_madvise, EPERM) != 0)
        harness_skip("no seccomp filters here");
    attempt_init((struct attempt){ .result = -ENOSYS, .sentence = "madvise" });
}

static int without_descriptors(void *arg)
{
    (void)arg;
    struct rlimit files = { 20, 20 };
    NEED(setrlimit(RLIMIT_NOFILE, &files) == 0);
    while (dup(STDERR_FILENO) >= 0)
        continue;
    CHECK_RESULT(brood_init(NULL), -EMFILE);
    CHECK_HAS(brood_error(), "descriptor");
    return 0;
}

static void no_descriptor(void)
{
    CHECK_EQ(wait_child(fork_child(without_descriptors, NULL)), 0);
}

static void start_names(void)
{
    CHECK_STR(brood_start_name(BROOD_FORK), "fork");
    CHECK_STR(brood_start_name(BROOD_SPAWN), "spawn");
    CHECK_STR(brood_start_name(BROOD_FORKSERVER), "forkserver");
    CHECK_STR(brood_start_name(BROOD_DEFAULT), NULL);
    CHECK_STR(brood_start_name((brood_start)99), NULL);
    CHECK_STR(brood_start_name((brood_start)-1), NULL);
    CHECK_EQ(brood_start_find("fork"), BROOD_FORK);
    CHECK_EQ(brood_start_find("spawn"), BROOD_SPAWN);
    CHECK_EQ(brood_start_find("forkserver"), BROOD_FORKSERVER);
    CHECK_RESULT(brood_start_find("forkserver!"), -EINVAL);
    CHECK_RESULT(brood_start_find(""), -EINVAL);
    CHECK_RESULT(brood_start_find(NULL), -EINVAL);
    CHECK_HAS(brood_error(), "name is NULL");
}

static void version(void)
{
    const char *text = brood_version();
    NEED(text != NULL);
    int major = -1, minor = -1, patch = -1, length = 0;
    CHECK_EQ(sscanf(text, "%d.%d.%d%n", &major, &minor, &patch, &length), 3);
    CHECK_EQ((long long)strlen(text), length);
}

static void how_names(void)
{
    static const char *const names[] = { "running", "returned",  "failed",    "exited",     "crashed",
                                         "lost",    "cancelled", "timed out", "over memory" };
    for (int i = BROOD_RUNNING; i <= BROOD_OVER_MEMORY; i++)
        CHECK_STR(brood_how_name((brood_how)i), names[i]);
    CHECK_STR(brood_how_name((brood_how)99), NULL);
    CHECK_STR(brood_how_name((brood_how)-1), NULL);
}

static void signal_names(void)
{
    CHECK_STR(brood_signal_name(SIGSEGV), "SIGSEGV");
    CHECK_STR(brood_signal_name(SIGKILL), "SIGKILL");
    CHECK_STR(brood_signal_name(SIGABRT), "SIGABRT");
    CHECK_STR(brood_signal_name(SIGHUP), "SIGHUP");
    CHECK_STR(brood_signal_name(SIGSYS), "SIGSYS");
    CHECK_STR(brood_signal_name(SIGRTMIN), "SIGRTMIN");
    CHECK_STR(brood_signal_name(SIGRTMIN + 3), "SIGRTMIN+3");
    for (int i = 1; i < 32; i++)
        CHECK_HAS(brood_signal_name(i), "SIG");
    CHECK_STR(brood_signal_name(0), NULL);
    CHECK_STR(brood_signal_name(-1), NULL);
    CHECK_STR(brood_signal_name(65), NULL);
}

static void fail_elsewhere(void)
{
    CHECK_EQ(brood_fail(7, "line %d", 3), 7);
    CHECK_RESULT(brood_init(NULL), 0);
    CHECK_EQ(brood_fail(-9, "line %d", 3), -9);
    CHECK_EQ(brood_fail(0, "nothing"), 0);
}

static void *error_in_thread(void *arg)
{
    char *seen = arg;
    CHECK_STR(brood_error(), "");
    CHECK_NULL(brood_strdup(NULL), EINVAL);
    strncpy(seen, brood_error(), 255);
    return NULL;
}

static void error_per_thread(void)
{
    CHECK_NULL(brood_alloc(SIZE_MAX), ENOMEM);
    char mine[256] = "", other[256] = "";
    strncpy(mine, brood_error(), sizeof mine - 1);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, error_in_thread, other) == 0);
    pthread_join(thread, NULL);
    CHECK_STR(brood_error(), mine);
    CHECK(strcmp(mine, other) != 0);
    brood_free(CHECK_POINTER(brood_alloc(1)));
    CHECK_STR(brood_error(), mine); /* untouched by what succeeds */
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "init_twice", .run = init_twice, .no_init = true },
        { .name = "init_by_threads", .run = init_by_threads, .no_init = true },
        { .name = "options_good", .run = options_good, .no_init = true },
        { .name = "options_bad", .run = options_bad, .no_init = true },
        { .name = "limit_variable", .run = limit_variable, .no_init = true },
        { .name = "start_variable", .run = start_variable, .no_init = true },
        { .name = "log_variable", .run = log_variable, .no_init = true },
        { .name = "room_too_large", .run = room_too_large, .no_init = true },
        { .name = "address_limit", .run = address_limit, .no_init = true },
        { .name = "file_limit", .run = file_limit, .no_init = true },
        { .name = "madvise_refused", .run = madvise_refused, .no_init = true },
        { .name = "madvise_forbidden", .run = madvise_forbidden, .no_init = true },
        { .name = "no_descriptor", .run = no_descriptor, .no_init = true },
        { .name = "memfd_refused", .run = memfd_refused, .no_init = true },
        { .name = "start_names", .run = start_names, .no_init = true },
        { .name = "version", .run = version, .no_init = true },
        { .name = "how_names", .run = how_names, .no_init = true },
        { .name = "signal_names", .run = signal_names, .no_init = true },
        { .name = "fail_elsewhere", .run = fail_elsewhere, .no_init = true },
        { .name = "error_per_thread", .run = error_per_thread },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
