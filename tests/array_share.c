/* array_share.c: arrays among processes: every start method, and deaths in slices and in the lock.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 500, TOLD_MS = 5000 };

struct record {
    long first, last[9];
};

struct scene {
    brood_array *numbers, *records, *histogram;
    atomic_int ready;
};

static struct scene *new_scene(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    scene->numbers = CHECK_POINTER(brood_array_create('i', COUNT, &(brood_array_options){ .name = "numbers" }));
    scene->records = CHECK_POINTER(brood_array_create(BROOD_STRUCT(struct record), 8, NULL));
    scene->histogram = CHECK_POINTER(brood_array_create('L', 10, NULL));
    NEED(scene->numbers && scene->records && scene->histogram);
    return scene;
}

static void free_scene(struct scene *scene)
{
    CHECK_RESULT(brood_array_destroy(scene->numbers), 0);
    CHECK_RESULT(brood_array_destroy(scene->records), 0);
    CHECK_RESULT(brood_array_destroy(scene->histogram), 0);
    brood_free(scene);
}

static struct record record_of(long number)
{
    struct record record = { .first = number };
    for (size_t i = 0; i < 9; i++)
        record.last[i] = number;
    return record;
}

static bool is_whole(const struct record *record)
{
    struct record whole = record_of(record->first);
    return memcmp(record, &whole, sizeof whole) == 0;
}

static int fill(void *arg)
{
    struct scene *scene = arg;
    size_t part = (size_t)atomic_fetch_add(&scene->ready, 1) % 4;
    int numbers[COUNT / 4];
    for (size_t i = 0; i < COUNT / 4; i++)
        numbers[i] = (int)(part * (COUNT / 4) + i);
    CHECK_RESULT(brood_array_set_slice(scene->numbers, part * (COUNT / 4), COUNT / 4, numbers), 0);
    CHECK_RESULT(brood_array_set(scene->records, part, record_of((long)part)), 0);
    for (int i = 0; i < 1000; i++)
        CHECK_RESULT(brood_array_add(scene->histogram, (size_t)(i * i) % 10, 1, NULL), 0);
    return 0;
}

/* Four processes of each start method fill it together. */
static void filled_by(brood_start start)
{
    struct scene *scene = new_scene();
    brood_process *processes[4];
    brood_process_options options = { .start = start };
    for (int i = 0; i < 4; i++)
        NEED((processes[i] = brood_process_start(fill, scene, 0, &options)) != NULL);
    for (int i = 0; i < 4; i++) {
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(processes[i]), 0);
    }
    int numbers[COUNT];
    CHECK_RESULT(brood_array_get_slice(scene->numbers, 0, COUNT, numbers), 0);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(numbers[i], i);
    unsigned long total = 0, counts[10];
    CHECK_RESULT(brood_array_get_slice(scene->histogram, 0, 10, counts), 0);
    for (int i = 0; i < 10; i++)
        total += counts[i];
    CHECK_EQ(total, 4000);
    CHECK_EQ(counts[0], 400);
    CHECK_EQ(counts[2], 0);
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(((struct record *)brood_array_at(scene->records, i))->last[8], i);
    free_scene(scene);
}

static void filled_forked(void)
{
    filled_by(BROOD_FORK);
}

static void filled_spawned(void)
{
    filled_by(BROOD_SPAWN);
}

static void filled_by_server(void)
{
    filled_by(BROOD_FORKSERVER);
}

static int set_for_ever(void *arg)
{
    struct scene *scene = arg;
    int numbers[COUNT];
    struct record records[8];
    atomic_fetch_add(&scene->ready, 1);
    for (int turn = 1;; turn++) {
        for (int i = 0; i < COUNT; i++)
            numbers[i] = turn;
        for (int i = 0; i < 8; i++)
            records[i] = record_of(turn);
        NEED(brood_array_set_slice(scene->numbers, 0, COUNT, numbers) >= 0);
        NEED(brood_array_set_slice(scene->records, 0, 8, records) >= 0);
        NEED(brood_array_set(scene->records, 3, records[0]) >= 0);
    }
    return 0;
}

/* Killed in a slice: a first part of it is set, the heir is told unless it is all of it or none, and each element is
 * whole. */
static void setter_dies(void)
{
    struct scene *scene = new_scene();
    uint32_t state = 23;
    int told = 0;
    for (int turn = 0; turn < 150; turn++) {
        static const int zeroes[COUNT];
        CHECK_RESULT(brood_array_set_slice(scene->numbers, 0, COUNT, zeroes), 0);
        atomic_store(&scene->ready, 0);
        pid_t setter = fork_child(set_for_ever, scene);
        NEED(wait_word(&scene->ready, 1, TOLD_MS));
        pass_us(random_next(&state) % 500);
        CHECK_EQ(kill_child(setter), SIGKILL);
        int numbers[COUNT];
        int result = brood_array_acquire(scene->numbers, TOLD_MS);
        NEED(result >= 0);
        CHECK_RESULT(brood_array_get_slice(scene->numbers, 0, COUNT, numbers), 0);
        int i = 1;
        while (i < COUNT && numbers[i] == numbers[0])
            i++;
        if (i < COUNT)
            CHECK_EQ(result, BROOD_INHERITED);
        for (int k = i; k < COUNT; k++)
            CHECK_EQ(numbers[k], numbers[0] - 1); /* the slice before */
        told += result;
        CHECK_RESULT(brood_array_release(scene->numbers), 0);
        result = brood_array_acquire(scene->records, TOLD_MS);
        NEED(result >= 0);
        for (size_t k = 0; k < 8; k++)
            CHECK(is_whole(brood_array_at(scene->records, k)));
        CHECK_RESULT(brood_array_release(scene->records), 0);
    }
    printf("    told of %d of 150 deaths\n", told);
    free_scene(scene);
}

static int hold(void *arg)
{
    struct scene *scene = arg;
    NEED(brood_array_acquire(scene->numbers, 0) == 0);
    *(int *)brood_array_at(scene->numbers, 0) = 1;
    atomic_fetch_add(&scene->ready, 1);
    for (;;)
        pause();
    return 0;
}

static int wait_in_slice(void *arg)
{
    struct scene *scene = arg;
    int numbers[COUNT];
    return brood_array_get_slice(scene->numbers, 0, COUNT, numbers);
}

static bool sleeps(void *context)
{
    return process_state(*(pid_t *)context) == 'S';
}

static void holder_dies(void)
{
    struct scene *scene = new_scene();
    pid_t holder = fork_child(hold, scene);
    NEED(wait_word(&scene->ready, 1, TOLD_MS));
    CHECK_RESULT(brood_array_acquire(scene->numbers, 1), -ETIMEDOUT);
    CHECK_RESULT(brood_array_destroy(scene->numbers), -EBUSY);
    pid_t waiter = fork_child(wait_in_slice, scene), other = fork_child(wait_in_slice, scene);
    CHECK(wait_until(sleeps, &waiter, TOLD_MS));
    CHECK(wait_until(sleeps, &other, TOLD_MS));
    CHECK_EQ(kill_child(other), SIGKILL);
    CHECK_EQ(kill_child(holder), SIGKILL);
    CHECK_EQ(wait_child(waiter), BROOD_INHERITED << 8); /* it passes the news on */
    CHECK_RESULT(brood_array_acquire(scene->numbers, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_array_release(scene->numbers), 0);
    CHECK_RESULT(brood_array_acquire(scene->numbers, TOLD_MS), 0);
    CHECK_RESULT(brood_array_release(scene->numbers), 0);
    free_scene(scene);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "filled_forked", .run = filled_forked },
        { .name = "filled_spawned", .run = filled_spawned },
        { .name = "filled_by_server", .run = filled_by_server },
        { .name = "setter_dies", .run = setter_dies, .deadline_s = 60 },
        { .name = "holder_dies", .run = holder_dies },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
