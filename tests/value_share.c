/* value_share.c: values among processes: adding at once, no mixtures, every start method, and deaths.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PROCESSES = 8, TOLD_MS = 5000 };

/* As large as several cache lines, so that copying it takes a while. */
struct wide {
    long part[40];
};

struct scene {
    brood_value *count, *sum, *tiny, *wide;
    atomic_int ready, go;
    int times;
};

static struct scene *new_scene(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    scene->count = CHECK_POINTER(brood_value_create('i', &(brood_value_options){ .name = "count" }));
    scene->sum = CHECK_POINTER(brood_value_create('d', NULL));
    scene->tiny = CHECK_POINTER(brood_value_create('B', NULL));
    scene->wide =
        CHECK_POINTER(brood_value_create(BROOD_STRUCT(struct wide), &(brood_value_options){ .name = "wide" }));
    NEED(scene->count && scene->sum && scene->tiny && scene->wide);
    return scene;
}

static void free_scene(struct scene *scene)
{
    CHECK_RESULT(brood_value_destroy(scene->count), 0);
    CHECK_RESULT(brood_value_destroy(scene->sum), 0);
    CHECK_RESULT(brood_value_destroy(scene->tiny), 0);
    CHECK_RESULT(brood_value_destroy(scene->wide), 0);
    brood_free(scene);
}

static struct wide wide_of(long number)
{
    struct wide wide;
    for (size_t i = 0; i < sizeof wide.part / sizeof *wide.part; i++)
        wide.part[i] = number;
    return wide;
}

static bool is_whole(const struct wide *wide)
{
    struct wide whole = wide_of(wide->part[0]);
    return memcmp(wide, &whole, sizeof whole) == 0;
}

static int add(void *arg)
{
    struct scene *scene = arg;
    atomic_fetch_add(&scene->ready, 1);
    NEED(wait_word(&scene->go, 1, TOLD_MS));
    for (int i = 0; i < scene->times; i++) {
        int before = -1;
        NEED(brood_value_add(scene->count, 1, &before) == 0 && before >= 0);
        NEED(brood_value_add(scene->sum, 0.25, NULL) == 0);
        unsigned char seen = 0;
        while (brood_value_compare_exchange(scene->tiny, &seen, (unsigned char)(seen + 1)) == -EAGAIN)
            continue;
        NEED(brood_value_acquire(scene->wide, BROOD_FOREVER) == 0);
        ((struct wide *)brood_value_at(scene->wide))->part[0]++;
        NEED(brood_value_release(scene->wide) == 0);
    }
    return 0;
}

static void run_all(brood_target *target, struct scene *scene, brood_start start, int count)
{
    brood_process *processes[PROCESSES];
    brood_process_options options = { .start = start };
    for (int i = 0; i < count; i++)
        NEED((processes[i] = brood_process_start(target, scene, 0, &options)) != NULL);
    CHECK(wait_word(&scene->ready, count, TOLD_MS * 4));
    atomic_store(&scene->go, 1);
    for (int i = 0; i < count; i++) {
        brood_end end;
        CHECK_RESULT(brood_process_join(processes[i], &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_RESULT(brood_process_close(processes[i]), 0);
    }
}

static void check_adding(brood_start start, int times)
{
    struct scene *scene = new_scene();
    scene->times = times;
    run_all(add, scene, start, PROCESSES);
    int count = 0;
    double sum = 0;
    unsigned char tiny = 0;
    struct wide wide;
    CHECK_RESULT(brood_value_load(scene->count, &count), 0);
    CHECK_RESULT(brood_value_load(scene->sum, &sum), 0);
    CHECK_RESULT(brood_value_load(scene->tiny, &tiny), 0);
    CHECK_RESULT(brood_value_load(scene->wide, &wide), 0);
    CHECK_EQ(count, PROCESSES * scene->times);
    CHECK(sum == count / 4.0);
    CHECK_EQ(tiny, (unsigned char)count);
    CHECK_EQ(wide.part[0], count);
    free_scene(scene);
}

static void adding_forked(void)
{
    check_adding(BROOD_FORK, harness_times(20000));
}

static void adding_spawned(void)
{
    check_adding(BROOD_SPAWN, harness_times(4000));
}

static void adding_by_server(void)
{
    check_adding(BROOD_FORKSERVER, harness_times(4000));
}

/* What is not one call can lose: here for certain, since both read before either writes. */
static int read_then_write(void *arg)
{
    struct scene *scene = arg;
    int count = -1;
    CHECK_RESULT(brood_value_load(scene->count, &count), 0);
    atomic_fetch_add(&scene->ready, 1);
    NEED(wait_word(&scene->ready, 2, TOLD_MS));
    CHECK_RESULT(brood_value_store(scene->count, count + 1), 0);
    return 0;
}

static int locked_read_then_write(void *arg)
{
    struct scene *scene = arg;
    int count = -1;
    atomic_fetch_add(&scene->ready, 1);
    NEED(wait_word(&scene->ready, 2, TOLD_MS));
    CHECK_RESULT(brood_value_acquire(scene->count, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_value_load(scene->count, &count), 0);
    pass_us(1000);
    CHECK_RESULT(brood_value_store(scene->count, count + 1), 0);
    CHECK_RESULT(brood_value_release(scene->count), 0);
    return 0;
}

static void lost_without_lock(void)
{
    struct scene *scene = new_scene();
    run_all(read_then_write, scene, BROOD_FORK, 2);
    CHECK_EQ(*(int *)brood_value_at(scene->count), 1); /* one of two is lost */
    atomic_store(&scene->ready, 0);
    CHECK_RESULT(brood_value_store(scene->count, 0), 0);
    run_all(locked_read_then_write, scene, BROOD_FORK, 2);
    CHECK_EQ(*(int *)brood_value_at(scene->count), 2);
    free_scene(scene);
}

struct pair {
    brood_value *value;
    unsigned long long patterns[2];
    atomic_int started;
};

static int store_both(void *arg)
{
    struct pair *pair = arg;
    atomic_fetch_add(&pair->started, 1);
    for (int i = 0;; i++)
        NEED((brood_value_store)(pair->value, &pair->patterns[i % 2], 0) == 0);
    return 0;
}

/* A reader sees one pattern or the other, never a part of each, of every type. */
static void no_mixtures(void)
{
    static const char codes[] = "cbBhHiIlLqQfdu";
    struct pair *pair = CHECK_POINTER(brood_alloc(sizeof *pair));
    NEED(pair != NULL);
    for (const char *code = codes; *code; code++) {
        size_t size = (size_t)brood_type_size(*code);
        pair->patterns[0] = 0x1111111111111111;
        pair->patterns[1] = 0x2222222222222222;
        atomic_store(&pair->started, 0);
        NEED((pair->value = brood_value_create(*code, &(brood_value_options){ .initial = pair->patterns })) != NULL);
        pid_t writers[2] = { fork_child(store_both, pair), fork_child(store_both, pair) };
        NEED(wait_word(&pair->started, 2, TOLD_MS));
        int seen[2] = { 0 };
        for (int i = 0; i < 20000 || ((!seen[0] || !seen[1]) && i < 20000000); i++) {
            unsigned long long now = 0;
            NEED((brood_value_load)(pair->value, &now, 0) == 0);
            bool first = memcmp(&now, &pair->patterns[0], size) == 0;
            NEED(first || memcmp(&now, &pair->patterns[1], size) == 0);
            seen[!first]++;
        }
        CHECK(seen[0] && seen[1]);
        CHECK_EQ(kill_child(writers[0]), SIGKILL);
        CHECK_EQ(kill_child(writers[1]), SIGKILL);
        CHECK_RESULT(brood_value_destroy(pair->value), 0);
    }
    brood_free(pair);
}

static int store_wide(void *arg)
{
    struct scene *scene = arg;
    atomic_fetch_add(&scene->ready, 1);
    for (long i = getpid();; i += 1000000)
        NEED(brood_value_store(scene->wide, wide_of(i)) == 0);
    return 0;
}

/* Killed anywhere in the store of a struct: it is whole, and nobody need be told. */
static void storer_dies(void)
{
    struct scene *scene = new_scene();
    uint32_t state = 11;
    for (int i = 0; i < 100; i++) {
        atomic_store(&scene->ready, 0);
        pid_t one = fork_child(store_wide, scene), other = fork_child(store_wide, scene);
        NEED(wait_word(&scene->ready, 2, TOLD_MS));
        pass_us(random_next(&state) % 500);
        kill(one, SIGKILL);
        struct wide wide;
        CHECK_RESULT(brood_value_load(scene->wide, &wide), 0);
        CHECK(is_whole(&wide));
        CHECK_EQ(wait_child(one), SIGKILL);
        CHECK_EQ(kill_child(other), SIGKILL);
        CHECK_RESULT(brood_value_acquire(scene->wide, TOLD_MS), 0);
        CHECK(is_whole(brood_value_at(scene->wide)));
        CHECK_RESULT(brood_value_release(scene->wide), 0);
    }
    free_scene(scene);
}

enum { PAGE = 4096 };

struct large {
    char byte[4 * PAGE]; /* a whole page of it has bytes on either side, however it lies */
};

static void end_here(int signal)
{
    (void)signal;
    _exit(0);
}

/* Half of the copy is done, from whichever end: a page in the middle cannot be written to. */
static int store_half(void *arg)
{
    brood_value *value = *(brood_value **)arg;
    char *end = (char *)brood_value_at(value) + 2 * PAGE;
    static struct large large;
    memset(&large, 'n', sizeof large);
    signal(SIGSEGV, end_here);
    NEED(mprotect(end - (uintptr_t)end % PAGE, PAGE, PROT_READ) == 0);
    brood_value_store(value, large);
    return 1;
}

/* What was committed is finished by the heir, whatever it comes for. */
static void half_stored(void)
{
    static struct large large, stored;
    memset(&stored, 'n', sizeof stored);
    for (int i = 0; i < 4; i++) {
        brood_value *value = CHECK_POINTER(brood_value_create(BROOD_STRUCT(struct large), NULL));
        CHECK_EQ(wait_child(fork_child(store_half, &value)), 0);
        const char *bytes = brood_value_at(value);
        CHECK(memchr(bytes, 'n', sizeof large) != NULL);
        CHECK(memchr(bytes, 0, sizeof large) != NULL);
        if (i == 0) {
            CHECK_RESULT(brood_value_load(value, &large), 0);
            CHECK(memcmp(&large, &stored, sizeof large) == 0);
        } else if (i == 1) {
            CHECK_RESULT(brood_value_acquire(value, 0), 0);
            CHECK(memcmp(bytes, &stored, sizeof large) == 0);
            CHECK_RESULT(brood_value_release(value), 0);
        } else if (i == 2) {
            memset(&large, 'm', sizeof large);
            CHECK_RESULT(brood_value_store(value, large), 0);
            CHECK(memcmp(bytes, &large, sizeof large) == 0);
        }
        CHECK_RESULT(brood_value_destroy(value), 0);
    }
}

static int hold(void *arg)
{
    struct scene *scene = arg;
    NEED(brood_value_acquire(scene->wide, BROOD_FOREVER) >= 0);
    NEED(brood_value_acquire(scene->wide, BROOD_FOREVER) >= 0);
    ((struct wide *)brood_value_at(scene->wide))->part[0] = 77; /* half of it */
    atomic_fetch_add(&scene->ready, 1);
    for (;;)
        pause();
    return 0;
}

static int wait_for_it(void *arg)
{
    struct scene *scene = arg;
    int told = brood_value_acquire(scene->wide, BROOD_FOREVER);
    NEED(told >= 0);
    if (told == BROOD_INHERITED)
        NEED(brood_value_store(scene->wide, wide_of(5)) == 0);
    NEED(brood_value_release(scene->wide) == 0);
    return told;
}

static bool sleeps(void *context)
{
    return process_state(*(pid_t *)context) == 'S';
}

static void holder_dies(void)
{
    struct scene *scene = new_scene();
    struct wide wide;
    for (int i = 0; i < 20; i++) {
        atomic_store(&scene->ready, 0);
        pid_t holder = fork_child(hold, scene);
        NEED(wait_word(&scene->ready, 1, TOLD_MS));
        CHECK_RESULT(brood_value_acquire(scene->wide, i % 3), -ETIMEDOUT);
        CHECK_RESULT(brood_value_destroy(scene->wide), -EBUSY);
        pid_t waiter = i % 2 ? fork_child(wait_for_it, scene) : 0;
        if (waiter)
            CHECK(wait_until(sleeps, &waiter, TOLD_MS));
        CHECK_EQ(kill_child(holder), SIGKILL);
        if (waiter) {
            CHECK_EQ(wait_child(waiter), BROOD_INHERITED << 8);
        } else {
            CHECK_RESULT(brood_value_load(scene->wide, &wide), BROOD_INHERITED);
            CHECK(wide.part[0] == 77 && !is_whole(&wide));
            CHECK_RESULT(brood_value_acquire(scene->wide, TOLD_MS), BROOD_INHERITED);
            CHECK_RESULT(brood_value_store(scene->wide, wide_of(5)), 0);
            CHECK_RESULT(brood_value_release(scene->wide), 0);
        }
        CHECK_RESULT(brood_value_load(scene->wide, &wide), 0);
        CHECK(is_whole(&wide));
    }
    atomic_store(&scene->ready, 0); /* one whose holder is dead can be destroyed */
    pid_t holder = fork_child(hold, scene);
    NEED(wait_word(&scene->ready, 1, TOLD_MS));
    CHECK_EQ(kill_child(holder), SIGKILL);
    free_scene(scene);
}

static void waiter_dies(void)
{
    struct scene *scene = new_scene();
    for (int i = 0; i < 10; i++) {
        CHECK_RESULT(brood_value_acquire(scene->wide, 0), 0);
        pid_t first = fork_child(wait_for_it, scene), second = fork_child(wait_for_it, scene);
        CHECK(wait_until(sleeps, &first, TOLD_MS));
        CHECK(wait_until(sleeps, &second, TOLD_MS));
        CHECK_EQ(kill_child(first), SIGKILL);
        CHECK_RESULT(brood_value_release(scene->wide), 0);
        CHECK_EQ(wait_child(second), 0);
    }
    free_scene(scene);
}

/* Any process destroys what another made. */
static int destroy(void *arg)
{
    CHECK_RESULT(brood_value_destroy(*(brood_value **)arg), 0);
    return 0;
}

static void destroyed_elsewhere(void)
{
    brood_heap_stats before, after;
    CHECK_RESULT(brood_heap_stat(&before), 0);
    brood_value *value = CHECK_POINTER(brood_value_create('q', &(brood_value_options){ .name = "elsewhere" }));
    CHECK_EQ(wait_child(fork_child(destroy, &value)), 0);
    CHECK_RESULT(brood_value_store(value, 1), -EINVAL);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ(after.blocks, before.blocks);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "adding_forked", .run = adding_forked, .deadline_s = 60 },
        { .name = "adding_spawned", .run = adding_spawned, .deadline_s = 60 },
        { .name = "adding_by_server", .run = adding_by_server, .deadline_s = 60 },
        { .name = "lost_without_lock", .run = lost_without_lock },
        { .name = "no_mixtures", .run = no_mixtures, .deadline_s = 60 },
        { .name = "storer_dies", .run = storer_dies, .deadline_s = 60 },
        { .name = "half_stored", .run = half_stored },
        { .name = "holder_dies", .run = holder_dies },
        { .name = "waiter_dies", .run = waiter_dies },
        { .name = "destroyed_elsewhere", .run = destroyed_elsewhere },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
