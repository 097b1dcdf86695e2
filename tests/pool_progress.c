/* Progress of maps and of imap: what is told, when, and by whom; and the bar, on a terminal of the test's own. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COUNT 400
#define ERASE "\r\033[K"

struct noted {
    pthread_t caller;
    size_t last, most, failed;
    unsigned calls, over;
};

static void note(void *context, const brood_progress *progress)
{
    struct noted *noted = context;
    CHECK(pthread_equal(noted->caller, pthread_self()));
    CHECK(progress->done >= noted->last);
    CHECK(progress->count == 0 || progress->done <= progress->count);
    CHECK(progress->failed <= progress->done);
    CHECK(progress->elapsed_us >= 0);
    CHECK_EQ(progress->calls, noted->calls);
    CHECK_EQ(noted->over, 0);
    noted->last = progress->done;
    noted->most = progress->count;
    noted->failed = progress->failed;
    noted->over += progress->over;
    noted->calls++;
}

static int fail_some(const void *in, void *out)
{
    (void)out;
    pass_us(1500);
    return *(const int *)in % 10 == 3;
}

static int numbers[COUNT];

static brood_pool *pool_and_numbers(void)
{
    for (int i = 0; i < COUNT; i++)
        numbers[i] = i;
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, NULL));
    NEED(pool);
    return pool;
}

static void check_noted(const struct noted *noted, size_t count)
{
    CHECK_EQ(noted->last, COUNT);
    CHECK_EQ(noted->most, count);
    CHECK_EQ(noted->failed, COUNT / 10);
    CHECK_EQ(noted->over, 1);
    CHECK(noted->calls >= 2);
}

static void of_maps(void)
{
    brood_pool *pool = pool_and_numbers();
    struct noted noted = { .caller = pthread_self() };
    brood_task_options options = { .progress = note, .context = &noted };
    CHECK_EQ(brood_pool_map(pool, fail_some, numbers, sizeof(int), NULL, 0, COUNT, &options), COUNT / 10);
    check_noted(&noted, COUNT);

    noted = (struct noted){ .caller = pthread_self() };
    brood_result *result =
        CHECK_POINTER(brood_pool_map_async(pool, fail_some, numbers, sizeof(int), NULL, 0, COUNT, &options));
    CHECK_EQ(noted.calls, 0);
    CHECK_EQ(brood_result_wait(result, 20000), COUNT / 10);
    check_noted(&noted, COUNT);
    CHECK_EQ(brood_result_wait(result, 20000), COUNT / 10);
    CHECK_EQ(noted.over, 1);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

static int next_number(void *context, void *in)
{
    int *next = context;
    *(int *)in = *next;
    return (*next)++ == COUNT;
}

static void of_imap(void)
{
    brood_pool *pool = pool_and_numbers();
    for (size_t expect = 0; expect <= COUNT; expect += COUNT) {
        struct noted noted = { .caller = pthread_self() };
        brood_task_options options = { .progress = note, .context = &noted, .expect = expect, .unordered = true };
        int next = 0, results = 0, told;
        brood_result *result =
            CHECK_POINTER(brood_pool_imap(pool, fail_some, next_number, &next, sizeof(int), 0, &options));
        while ((told = brood_result_next(result, NULL, NULL, 20000)) >= 0) {
            CHECK(noted.calls == 0 || noted.most == expect || next > COUNT);
            results++;
        }
        CHECK_EQ(told, -EPIPE);
        CHECK_EQ(results, COUNT);
        check_noted(&noted, COUNT);
        CHECK_RESULT(brood_result_destroy(result), 0);
    }
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

/* Given up half way: it is over all the same. */
static void of_what_is_given_up(void)
{
    brood_pool *pool = pool_and_numbers();
    struct noted noted = { .caller = pthread_self() };
    brood_task_options options = { .progress = note, .context = &noted };
    int next = 0;
    brood_result *result =
        CHECK_POINTER(brood_pool_imap(pool, fail_some, next_number, &next, sizeof(int), 0, &options));
    CHECK(brood_result_next(result, NULL, NULL, 20000) >= 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_EQ(noted.over, 1);
    CHECK_EQ(noted.last, 1);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

/* A result that is destroyed, not waited for, was told of too; so is its end. */
static void of_what_is_not_asked_for(void)
{
    brood_pool *pool = pool_and_numbers();
    struct noted noted = { .caller = pthread_self() };
    brood_task_options options = { .progress = note, .context = &noted };
    brood_result *result =
        CHECK_POINTER(brood_pool_map_async(pool, fail_some, numbers, sizeof(int), NULL, 0, COUNT, &options));
    CHECK_RESULT(brood_result_wait(result, 150), -ETIMEDOUT);
    CHECK(noted.calls > 0);
    while (brood_result_destroy(result) == -EBUSY)
        pass_us(1000);
    check_noted(&noted, COUNT);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

static int fail_slowly(const void *in, void *out)
{
    (void)in;
    (void)out;
    pass_us(1500);
    return 1;
}

/* Long chunks, of which all fails, and which are left in the middle: none has failed that is not done. */
static void of_what_is_cancelled(void)
{
    brood_pool *pool = pool_and_numbers();
    struct noted noted = { .caller = pthread_self() };
    brood_end ends[COUNT];
    brood_task_options options = { .progress = note, .context = &noted, .chunk = COUNT / 2, .ends = ends };
    brood_result *result =
        CHECK_POINTER(brood_pool_map_async(pool, fail_slowly, numbers, sizeof(int), NULL, 0, COUNT, &options));
    CHECK_RESULT(brood_result_wait(result, 150), -ETIMEDOUT);
    CHECK_RESULT(brood_result_cancel(result, BROOD_FOREVER), 0);
    CHECK_EQ(brood_result_wait(result, 20000), COUNT);
    size_t failed = 0;
    for (int i = 0; i < COUNT; i++)
        failed += ends[i].how == BROOD_FAILED;
    CHECK(failed > 0 && failed < COUNT);
    CHECK_EQ((long long)noted.failed, (long long)failed);
    CHECK_EQ((long long)noted.last, (long long)failed);
    CHECK_EQ(noted.over, 1);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

struct shared {
    brood_result *result;
    atomic_int inside, calls, over, mixed;
};

static void dawdle(void *context, const brood_progress *progress)
{
    struct shared *shared = context;
    if (atomic_fetch_add(&shared->inside, 1) > 0 || (int)progress->calls != atomic_load(&shared->calls) ||
        atomic_load(&shared->over))
        atomic_fetch_add(&shared->mixed, 1);
    pass_us(progress->over ? 1000 : 400000); /* until the map is over */
    atomic_fetch_add(&shared->over, progress->over);
    atomic_fetch_add(&shared->calls, 1);
    atomic_fetch_sub(&shared->inside, 1);
}

static void *wait_for_it(void *arg)
{
    struct shared *shared = arg;
    CHECK_EQ(brood_result_wait(shared->result, 20000), COUNT / 10);
    return NULL;
}

/* Two threads wait for one result: they are told one after the other, and nobody after the end. */
static void of_two_who_wait(void)
{
    brood_pool *pool = pool_and_numbers();
    struct shared shared = { .result = NULL };
    brood_task_options options = { .progress = dawdle, .context = &shared };
    pthread_t threads[2];
    shared.result =
        CHECK_POINTER(brood_pool_map_async(pool, fail_some, numbers, sizeof(int), NULL, 0, COUNT, &options));
    for (int i = 0; i < 2; i++)
        NEED(pthread_create(&threads[i], NULL, wait_for_it, &shared) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(atomic_load(&shared.mixed), 0);
    CHECK_EQ(atomic_load(&shared.over), 1);
    CHECK(atomic_load(&shared.calls) >= 2);
    CHECK_RESULT(brood_result_destroy(shared.result), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

/* ---- the bar ---- */

static int terminal = -1;

/* Standard error becomes a terminal of so many columns; what is drawn is read by read_drawn. */
static void open_terminal(unsigned short columns)
{
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (terminal < 0 || grantpt(terminal) < 0 || unlockpt(terminal) < 0)
        harness_skip("no terminals here");
    char *name = ptsname(terminal);
    int other = name ? open(name, O_RDWR | O_NOCTTY) : -1;
    struct winsize window = { .ws_row = 24, .ws_col = columns };
    NEED(other >= 0 && ioctl(other, TIOCSWINSZ, &window) == 0 && dup2(other, STDERR_FILENO) >= 0);
    close(other);
    setenv("TERM", "xterm", 1);
}

static size_t read_drawn(char *text, size_t size)
{
    size_t length = 0;
    for (ssize_t more; (more = read(terminal, text + length, size - 1 - length)) > 0;)
        length += (size_t)more;
    text[length] = '\0';
    return length;
}

static void bar_draws(void)
{
    char text[4096];
    int before = dup(STDERR_FILENO);
    open_terminal(80);
    brood_progress progress = { .done = 512, .count = 1024, .elapsed_us = 2000000, .calls = 1, .failed = 2 };
    brood_progress_bar("frames", &progress);
    read_drawn(text, sizeof text);
    progress.over = true;
    char erased[64];
    brood_progress_bar("frames", &progress);
    read_drawn(erased, sizeof erased);
    dup2(before, STDERR_FILENO);
    CHECK_STR(text, ERASE "frames [##############---------------] 512 of 1,024, 256/s, 0:02 left, 2 failed");
    CHECK_STR(erased, ERASE);
}

/* Columns of UTF-8 text that has no wide characters. */
static size_t columns_of(const char *text)
{
    size_t columns = 0;
    for (; *text; text++)
        columns += (*text & 0xc0) != 0x80;
    return columns;
}

static void bar_fits(void)
{
    int before = dup(STDERR_FILENO);
    bool fits = true, whole = false;
    for (unsigned short columns = 1; columns < 120; columns++) {
        char text[4096];
        open_terminal(columns);
        brood_progress progress = { .done = 123456, .count = 1234567, .elapsed_us = 90000000, .calls = 1 };
        brood_progress_bar("Gr\303\266\303\237e \001der Bilder", &progress);
        read_drawn(text, sizeof text);
        fits &= strncmp(text, ERASE, strlen(ERASE)) == 0 && columns_of(text + strlen(ERASE)) < columns;
        whole |= strstr(text, "Gr\303\266\303\237e der Bilder [") && strstr(text, "123,456 of 1,234,567");
        close(terminal);
    }
    dup2(before, STDERR_FILENO);
    CHECK(fits);
    CHECK(whole);
}

static void bar_is_silent(void)
{
    char text[256];
    int before = dup(STDERR_FILENO), ends[2];
    brood_progress progress = { .done = 1, .count = 2, .elapsed_us = 1000000, .calls = 1 };
    NEED(pipe2(ends, O_NONBLOCK) == 0);
    dup2(ends[1], STDERR_FILENO);
    brood_progress_bar(NULL, &progress);
    ssize_t piped = read(ends[0], text, sizeof text);
    open_terminal(80);
    setenv("TERM", "dumb", 1);
    brood_progress_bar(NULL, &progress);
    size_t dumb = read_drawn(text, sizeof text);
    setenv("TERM", "xterm", 1);
    progress.over = true;
    progress.calls = 0; /* nothing was drawn, so there is nothing to take away */
    brood_progress_bar(NULL, &progress);
    size_t undrawn = read_drawn(text, sizeof text);
    brood_progress_bar(NULL, NULL);
    dup2(before, STDERR_FILENO);
    CHECK(piped < 0);
    CHECK_EQ(dumb, 0);
    CHECK_EQ(undrawn, 0);
}

static void bar_of_a_map(void)
{
    char text[8192];
    int before = dup(STDERR_FILENO);
    brood_pool *pool = pool_and_numbers();
    open_terminal(80);
    brood_task_options options = { .progress = brood_progress_bar };
    int failed = brood_pool_map(pool, fail_some, numbers, sizeof(int), NULL, 0, COUNT, &options);
    size_t length = read_drawn(text, sizeof text);
    dup2(before, STDERR_FILENO);
    CHECK_EQ(failed, COUNT / 10);
    CHECK_HAS(text, " of 400, ");
    CHECK(length >= strlen(ERASE) && strcmp(text + length - strlen(ERASE), ERASE) == 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "of_maps", .run = of_maps },
        { .name = "of_imap", .run = of_imap },
        { .name = "of_what_is_given_up", .run = of_what_is_given_up },
        { .name = "of_what_is_not_asked_for", .run = of_what_is_not_asked_for },
        { .name = "of_what_is_cancelled", .run = of_what_is_cancelled },
        { .name = "of_two_who_wait", .run = of_two_who_wait },
        { .name = "bar_draws", .run = bar_draws },
        { .name = "bar_fits", .run = bar_fits },
        { .name = "bar_is_silent", .run = bar_is_silent },
        { .name = "bar_of_a_map", .run = bar_of_a_map },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
