/* array_use.c: an array as one process sees it: its bounds, its elements of every type, slices, and its lock.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct point {
    int x, y, z;
};

static void initialised(void)
{
    int numbers[3] = { 0 }, initial[] = { 1, 2, 3 };
    brood_array *array = CHECK_POINTER(brood_array_create('i', 3, &(brood_array_options){ .initial = initial }));
    NEED(array != NULL);
    CHECK_EQ(brood_array_count(array), 3);
    CHECK_EQ(brood_array_type(array), 'i');
    initial[0] = 9; /* it was copied */
    CHECK_RESULT(brood_array_get_slice(array, 0, 3, numbers), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(numbers[i], i + 1);
    CHECK_RESULT(brood_array_destroy(array), 0);
    array = CHECK_POINTER(brood_array_create('d', 1000, NULL));
    for (size_t i = 0; i < 1000; i++)
        CHECK(*(double *)brood_array_at(array, i) == 0);
    CHECK_RESULT(brood_array_destroy(array), 0);
    array = CHECK_POINTER(brood_array_create('?', 3, &(brood_array_options){ .initial = "\0\2\1" }));
    for (size_t i = 0; i < 3; i++)
        CHECK_EQ(*(char *)brood_array_at(array, i), i != 0);
    CHECK_RESULT(brood_array_destroy(array), 0);
    CHECK_RESULT(brood_array_destroy(NULL), 0);
}

/* Each type: its elements lie side by side, and what is set is got, and nothing beside it changed. */
static void every_type(void)
{
    static const char codes[] = "cbBhHiIlLqQfdu?";
    enum { COUNT = 37 };
    for (const char *code = codes; *code; code++) {
        size_t size = (size_t)brood_type_size(*code);
        brood_array *array = CHECK_POINTER(brood_array_create(*code, COUNT, NULL));
        char *elements = CHECK_POINTER(brood_array_at(array, 0));
        CHECK_EQ((uintptr_t)elements % 64, 0);
        for (size_t i = 0; i < COUNT; i++) {
            CHECK(brood_array_at(array, i) == elements + i * size);
            CHECK_RESULT(brood_array_set(array, i, i % 2), 0);
        }
        for (size_t i = 0; i < COUNT; i++) {
            unsigned char datum[8] = { 0 }, zero[8] = { 0 };
            CHECK_RESULT((brood_array_get)(array, i, datum, 0), 0);
            CHECK_EQ(memcmp(datum, zero, size) != 0, i % 2);
            CHECK_EQ(memcmp(datum, elements + i * size, size), 0);
        }
        if (*code != '?')
            CHECK_RESULT(brood_array_add(array, 1, 41, NULL), 0);
        CHECK_RESULT(brood_array_set(array, 0, *code == '?' ? 1 : 42), 0);
        CHECK_EQ(memcmp(elements, elements + size, size), 0);
        CHECK_RESULT(brood_array_destroy(array), 0);
    }
}

/* Slices of every place and length, of elements of every size. */
static void slices(void)
{
    static const char codes[] = "bhiq";
    enum { COUNT = 20 };
    for (const char *code = codes; *code; code++) {
        size_t size = (size_t)brood_type_size(*code);
        brood_array *array = CHECK_POINTER(brood_array_create(*code, COUNT, NULL));
        char *elements = brood_array_at(array, 0), model[COUNT * 8] = { 0 }, data[COUNT * 8 + 1], copy[COUNT * 8 + 1];
        uint32_t state = 3;
        for (size_t begin = 0; begin <= COUNT; begin++)
            for (size_t count = 0; begin + count <= COUNT; count++) {
                for (size_t i = 0; i < sizeof data; i++)
                    data[i] = (char)(random_next(&state) >> 9);
                /* the caller's data need not be aligned */
                NEED((brood_array_set_slice)(array, begin, count, data + 1, 0) == 0);
                memcpy(model + begin * size, data + 1, count * size);
                NEED(memcmp(elements, model, COUNT * size) == 0);
                memset(copy, 'x', sizeof copy);
                NEED((brood_array_get_slice)(array, begin, count, copy + 1, 0) == 0);
                NEED(memcmp(copy + 1, data + 1, count * size) == 0);
                NEED(count == COUNT || copy[1 + count * size] == 'x');
                NEED(copy[0] == 'x');
            }
        CHECK_RESULT(brood_array_destroy(array), 0);
    }
}

static void text(void)
{
    brood_array *array = CHECK_POINTER(brood_array_create('c', 16, NULL));
    char copy[16];
    CHECK_RESULT(brood_array_set_slice(array, 0, 6, "hello"), 0);
    CHECK_RESULT(brood_array_get_slice(array, 0, 16, copy), 0);
    CHECK_STR(copy, "hello");
    CHECK_RESULT(brood_array_set_slice(array, 6, 6, (const char *)brood_array_at(array, 0)), 0);
    CHECK_STR(brood_array_at(array, 6), "hello");
    CHECK_RESULT(brood_array_set(array, 0, 'j'), 0);
    CHECK_STR(brood_array_at(array, 0), "jello");
    CHECK_RESULT(brood_array_get_slice(array, 0, 4, (unsigned char *)copy), 0); /* its sign is the reader's matter */
    CHECK_RESULT(brood_array_destroy(array), 0);
}

static void structs(void)
{
    for (int raw = 0; raw < 2; raw++) {
        struct point points[5] = { { 0 } }, point;
        brood_array *array =
            CHECK_POINTER(brood_array_create(BROOD_STRUCT(struct point), 5, &(brood_array_options){ .raw = raw }));
        CHECK_RESULT(brood_array_set(array, 1, (struct point){ 1, 2, 3 }), 0);
        CHECK_RESULT(brood_array_set(array, 4, (struct point){ 4, 5, 6 }), 0);
        CHECK_RESULT(brood_array_get(array, 1, &point), 0);
        CHECK_EQ(point.z, 3);
        CHECK_RESULT(brood_array_get_slice(array, 0, 5, points), 0);
        CHECK(points[0].x == 0 && points[1].y == 2 && points[3].z == 0 && points[4].z == 6);
        CHECK_RESULT(brood_array_set_slice(array, 2, 2, &points[3]), 0);
        CHECK_EQ(((struct point *)brood_array_at(array, 3))->x, 4);
        CHECK_EQ(((struct point *)brood_array_at(array, 4))->x, 4);
        CHECK_RESULT(brood_array_set(array, 0, 1), -EINVAL);
        CHECK_RESULT(brood_array_add(array, 0, 1, NULL), -EINVAL);
        CHECK_RESULT(brood_array_set_slice(array, 0, 1, &(int){ 1 }), -EINVAL);
        CHECK_RESULT(brood_array_destroy(array), 0);
    }
}

static void bounds(void)
{
    brood_array *array = CHECK_POINTER(brood_array_create('l', 10, &(brood_array_options){ .name = "ten" }));
    static const size_t beyond[] = { 10, 11, 1 << 20, SIZE_MAX, SIZE_MAX / 8 + 1 };
    long number = 0, numbers[12] = { 0 };
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        CHECK_NULL(brood_array_at(array, beyond[i]), ERANGE);
        CHECK_RESULT(brood_array_get(array, beyond[i], &number), -ERANGE);
        CHECK_HAS(brood_error(), "array 'ten' has 10 elements");
        CHECK_RESULT(brood_array_set(array, beyond[i], 1), -ERANGE);
        CHECK_RESULT(brood_array_add(array, beyond[i], 1, &number), -ERANGE);
        CHECK_RESULT(brood_array_get_slice(array, beyond[i], 1, numbers), -ERANGE);
        CHECK_RESULT(brood_array_set_slice(array, beyond[i], 1, numbers), -ERANGE);
        CHECK_RESULT(brood_array_get_slice(array, 1, beyond[i], numbers), -ERANGE);
        CHECK_RESULT(brood_array_set_slice(array, 10, beyond[i], numbers), -ERANGE);
    }
    CHECK_RESULT(brood_array_get_slice(array, 11, 0, numbers), -ERANGE);
    CHECK_RESULT(brood_array_get_slice(array, 10, 0, numbers), 0);
    CHECK_RESULT(brood_array_set_slice(array, 10, 0, numbers), 0);
    CHECK_RESULT(brood_array_get_slice(array, 0, 10, numbers), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(numbers[i], 0);
    CHECK_RESULT(brood_array_destroy(array), 0);
    array = CHECK_POINTER(brood_array_create('i', 0, NULL));
    CHECK_EQ(brood_array_count(array), 0);
    CHECK_NULL(brood_array_at(array, 0), ERANGE);
    CHECK_RESULT(brood_array_set(array, 0, 1), -ERANGE);
    CHECK_RESULT((brood_array_set_slice)(array, 0, 0, NULL, 0), 0);
    CHECK_RESULT(brood_array_destroy(array), 0);
}

static void wrong_types(void)
{
    brood_array *array = CHECK_POINTER(brood_array_create('i', 4, NULL));
    long long longer[4] = { 0 };
    float reals[4] = { 0 };
    int numbers[4] = { 0 };
    CHECK_RESULT(brood_array_get(array, 0, longer), -EINVAL);
    CHECK_RESULT(brood_array_get_slice(array, 0, 4, longer), -EINVAL);
    CHECK_RESULT(brood_array_set_slice(array, 0, 4, longer), -EINVAL);
    CHECK_RESULT(brood_array_set_slice(array, 0, 4, reals), -EINVAL);
    CHECK_RESULT(brood_array_set(array, 0, 0.5), -EDOM);
    CHECK_RESULT(brood_array_add(array, 0, 0.5, NULL), -EDOM);
    CHECK_RESULT(brood_array_add(array, 0, 1, longer), -EINVAL);
    CHECK_RESULT((brood_array_get)(array, 0, NULL, 'i'), -EINVAL);
    CHECK_RESULT((brood_array_set)(array, 0, NULL, 'i'), -EINVAL);
    CHECK_RESULT((brood_array_add)(array, 0, NULL, 'i', NULL, 0), -EINVAL);
    CHECK_RESULT((brood_array_get_slice)(array, 0, 4, NULL, 0), -EINVAL);
    CHECK_RESULT((brood_array_set_slice)(array, 0, 4, NULL, 0), -EINVAL);
    CHECK_RESULT((brood_array_set_slice)(array, 0, 4, numbers, 'z'), -EINVAL);
    CHECK_RESULT(brood_array_set(array, 3, 3000000000U), 0); /* wraps */
    CHECK_RESULT(brood_array_add(array, 3, 1.0, &numbers[0]), 0);
    CHECK_EQ(numbers[0], (int)3000000000U);
    CHECK_EQ(*(int *)brood_array_at(array, 0), 0);
    CHECK_RESULT(brood_array_destroy(array), 0);
}

static void not_to_be_had(void)
{
    CHECK_NULL(brood_array_create('z', 1, NULL), EINVAL);
    CHECK_NULL(brood_array_create(0, 1, NULL), EINVAL);
    CHECK_NULL(brood_array_create(256, 1, NULL), EINVAL);
    CHECK_NULL(brood_array_create('i', SIZE_MAX, NULL), ENOMEM);
    CHECK_NULL(brood_array_create('i', SIZE_MAX / 4 + 2, NULL), ENOMEM);
    CHECK_NULL(brood_array_create('b', SIZE_MAX - 8, NULL), ENOMEM);
    CHECK_NULL(brood_array_create('i', 1, &(brood_array_options){ .reserved = { 0, 0, 0, &(int){ 0 } } }), EINVAL);
}

static void check_no_array(brood_array *array)
{
    int datum = 0;
    CHECK_RESULT(brood_array_type(array), -EINVAL);
    errno = 0;
    CHECK_EQ(brood_array_count(array), 0);
    CHECK_EQ(errno, EINVAL);
    CHECK_NULL(brood_array_at(array, 0), EINVAL);
    CHECK_RESULT(brood_array_get(array, 0, &datum), -EINVAL);
    CHECK_RESULT(brood_array_set(array, 0, 1), -EINVAL);
    CHECK_RESULT(brood_array_add(array, 0, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_array_get_slice(array, 0, 1, &datum), -EINVAL);
    CHECK_RESULT(brood_array_set_slice(array, 0, 1, &datum), -EINVAL);
    CHECK_RESULT(brood_array_acquire(array, 0), -EINVAL);
    CHECK_RESULT(brood_array_release(array), -EINVAL);
    CHECK_RESULT(brood_array_abandon(array), -EINVAL);
    if (array)
        CHECK_RESULT(brood_array_destroy(array), -EINVAL);
}

static void no_arrays(void)
{
    check_no_array(NULL);
    check_no_array((brood_array *)(uintptr_t)64);
    brood_value *value = CHECK_POINTER(brood_value_create('i', NULL));
    check_no_array((brood_array *)(void *)value);
    CHECK_RESULT(brood_value_destroy(value), 0);
    brood_array *array = CHECK_POINTER(brood_array_create('i', 100000, NULL)); /* of whole units of the heap */
    CHECK_RESULT(brood_array_set(array, 99999, 1), 0);
    CHECK_RESULT(brood_array_destroy(array), 0);
    check_no_array(array);
}

static void before_init(void)
{
    check_no_array(NULL);
    CHECK_NULL(brood_array_create('i', 1, NULL), EINVAL);
}

static void no_memory(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    CHECK_NULL(brood_array_create('i', 1 << 18, NULL), ENOMEM);
    brood_array *array = CHECK_POINTER(brood_array_create('i', 1000, NULL));
    CHECK_RESULT(brood_array_destroy(array), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* ---- the lock, by threads ---- */

static void *meddle(void *arg)
{
    brood_array *array = arg;
    CHECK_RESULT(brood_array_acquire(array, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_array_acquire(array, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_array_acquire(array, -5), -EINVAL);
    CHECK_RESULT(brood_array_release(array), -EPERM);
    CHECK_RESULT(brood_array_abandon(array), -EPERM);
    CHECK_RESULT(brood_array_destroy(array), -EBUSY);
    CHECK_RESULT(brood_array_set(array, 0, 1), 0); /* one number does not wait */
    CHECK_RESULT(brood_array_add(array, 0, 1, NULL), 0);
    return NULL;
}

static void lock(void)
{
    brood_array *array = CHECK_POINTER(brood_array_create('i', 4, NULL));
    int numbers[4] = { 5, 6, 7, 8 };
    CHECK_RESULT(brood_array_acquire(array, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_array_acquire(array, 0), 0);
    CHECK_RESULT(brood_array_set_slice(array, 0, 4, numbers), 0);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, meddle, array) == 0);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_array_get_slice(array, 0, 4, numbers), 0);
    CHECK_EQ(numbers[0], 2);
    CHECK_RESULT(brood_array_release(array), 0);
    CHECK_RESULT(brood_array_destroy(array), -EBUSY);
    CHECK_RESULT(brood_array_abandon(array), 0);
    CHECK_RESULT(brood_array_get_slice(array, 0, 4, numbers), BROOD_INHERITED);
    CHECK_RESULT(brood_array_set_slice(array, 0, 4, numbers), BROOD_INHERITED);
    CHECK_RESULT(brood_array_set_slice(array, 0, 1, numbers), BROOD_INHERITED);
    CHECK_RESULT(brood_array_get(array, 0, numbers), 0); /* one number is whole, and not locked */
    CHECK_RESULT(brood_array_acquire(array, 0), BROOD_INHERITED);
    CHECK_RESULT(brood_array_set_slice(array, 0, 4, numbers), 0);
    CHECK_RESULT(brood_array_release(array), 0);
    CHECK_RESULT(brood_array_release(array), -EPERM);
    CHECK_RESULT(brood_array_get_slice(array, 0, 4, numbers), 0);
    CHECK_RESULT(brood_array_destroy(array), 0);
    array = CHECK_POINTER(brood_array_create('i', 4, &(brood_array_options){ .raw = true, .name = "bare" }));
    CHECK_RESULT(brood_array_acquire(array, 0), -EINVAL);
    CHECK_HAS(brood_error(), "array 'bare' is raw");
    CHECK_RESULT(brood_array_release(array), -EINVAL);
    CHECK_RESULT(brood_array_abandon(array), -EINVAL);
    CHECK_RESULT(brood_array_set_slice(array, 0, 4, numbers), 0);
    CHECK_RESULT(brood_array_get_slice(array, 0, 4, numbers), 0);
    CHECK_RESULT(brood_array_destroy(array), 0);
}

enum { COUNT = 200, SETTERS = 3 };

struct crowd {
    brood_array *array, *sums;
    atomic_int setters;
    int times;
};

static void *set_slices(void *arg)
{
    struct crowd *crowd = arg;
    short numbers[COUNT];
    for (int turn = 0; turn < crowd->times; turn++) {
        for (int i = 0; i < COUNT; i++)
            numbers[i] = (short)turn;
        NEED(brood_array_set_slice(crowd->array, 0, COUNT, numbers) == 0);
        NEED(brood_array_add(crowd->sums, (size_t)turn % 3, 1, NULL) == 0);
    }
    atomic_fetch_sub(&crowd->setters, 1);
    return NULL;
}

/* A slice is whole towards other slices; one number among them is whole towards everyone. */
static void threads(void)
{
    struct crowd crowd = { .setters = SETTERS, .times = harness_times(8000) };
    crowd.array = CHECK_POINTER(brood_array_create('h', COUNT, NULL));
    crowd.sums = CHECK_POINTER(brood_array_create('q', 3, NULL));
    pthread_t setters[SETTERS];
    for (int i = 0; i < SETTERS; i++)
        NEED(pthread_create(&setters[i], NULL, set_slices, &crowd) == 0);
    while (atomic_load(&crowd.setters) > 0) {
        short numbers[COUNT], number;
        NEED(brood_array_get_slice(crowd.array, 0, COUNT, numbers) == 0);
        for (int i = 1; i < COUNT; i++)
            NEED(numbers[i] == numbers[0]);
        NEED(brood_array_get(crowd.array, COUNT / 2, &number) == 0);
        NEED(number >= 0 && number < crowd.times);
    }
    for (int i = 0; i < SETTERS; i++)
        pthread_join(setters[i], NULL);
    long long sum = 0;
    for (size_t i = 0; i < 3; i++)
        sum += *(long long *)brood_array_at(crowd.sums, i);
    CHECK_EQ(sum, (long long)SETTERS * crowd.times);
    CHECK_RESULT(brood_array_destroy(crowd.array), 0);
    CHECK_RESULT(brood_array_destroy(crowd.sums), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "initialised", .run = initialised },
        { .name = "every_type", .run = every_type },
        { .name = "slices", .run = slices },
        { .name = "text", .run = text },
        { .name = "structs", .run = structs },
        { .name = "bounds", .run = bounds },
        { .name = "wrong_types", .run = wrong_types },
        { .name = "not_to_be_had", .run = not_to_be_had },
        { .name = "no_arrays", .run = no_arrays },
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "no_memory", .run = no_memory, .no_init = true },
        { .name = "lock", .run = lock },
        { .name = "threads", .run = threads },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
