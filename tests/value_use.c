/* value_use.c: a value as one process sees it: every type, what converts to what, what is refused, and its lock.
 */
#include "harness.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <wchar.h>

struct point {
    int x, y, z;
};

/* Stored, loaded, exchanged, and added to over its edge: most + 1 is least. */
#define CHECK_INTEGER(code, type, least, most) \
    do { \
        const type initial = 7; \
        brood_value *value = CHECK_POINTER(brood_value_create(code, &(brood_value_options){ .initial = &initial })); \
        type now = 0, before = 0; \
        NEED(value != NULL); \
        CHECK_EQ(brood_value_type(value), code); \
        CHECK_EQ(brood_type_size(code), sizeof(type)); \
        CHECK_RESULT(brood_value_load(value, &now), 0); \
        CHECK_EQ(now, 7); \
        CHECK_RESULT(brood_value_store(value, most), 0); \
        CHECK_RESULT(brood_value_load(value, &now), 0); \
        CHECK(now == (most)); \
        CHECK_RESULT(brood_value_add(value, 1, &before), 0); \
        CHECK(before == (most)); \
        CHECK_RESULT(brood_value_load(value, &now), 0); \
        CHECK(now == (least)); \
        CHECK_RESULT(brood_value_add(value, -1, NULL), 0); \
        CHECK(*(type *)brood_value_at(value) == (most)); \
        now = 3; \
        CHECK_RESULT(brood_value_compare_exchange(value, &now, 5), -EAGAIN); \
        CHECK(now == (most)); \
        CHECK_RESULT(brood_value_compare_exchange(value, &now, 5), 0); \
        CHECK(now == (most)); \
        CHECK_EQ(*(type *)brood_value_at(value), 5); \
        CHECK_RESULT(brood_value_store(value, 6.0), 0); \
        CHECK_RESULT(brood_value_store(value, 0.5), -EDOM); \
        CHECK_RESULT(brood_value_store(value, (double)NAN), -EDOM); \
        CHECK_RESULT(brood_value_store(value, (float)INFINITY), -EDOM); \
        CHECK_RESULT(brood_value_add(value, 1e30, &before), -EDOM); \
        CHECK_RESULT(brood_value_compare_exchange(value, &(type){ 6 }, 1.5), -EDOM); \
        CHECK_EQ(*(type *)brood_value_at(value), 6); \
        CHECK_RESULT(brood_value_destroy(value), 0); \
    } while (0)

static void integers(void)
{
    CHECK_INTEGER('c', char, CHAR_MIN, CHAR_MAX);
    CHECK_INTEGER('b', signed char, SCHAR_MIN, SCHAR_MAX);
    CHECK_INTEGER('B', unsigned char, 0, UCHAR_MAX);
    CHECK_INTEGER('h', short, SHRT_MIN, SHRT_MAX);
    CHECK_INTEGER('H', unsigned short, 0, USHRT_MAX);
    CHECK_INTEGER('i', int, INT_MIN, INT_MAX);
    CHECK_INTEGER('I', unsigned, 0, UINT_MAX);
    CHECK_INTEGER('l', long, LONG_MIN, LONG_MAX);
    CHECK_INTEGER('L', unsigned long, 0, ULONG_MAX);
    CHECK_INTEGER('q', long long, LLONG_MIN, LLONG_MAX);
    CHECK_INTEGER('Q', unsigned long long, 0, ULLONG_MAX);
    CHECK_INTEGER('u', wchar_t, WCHAR_MIN, WCHAR_MAX);
}

#define CHECK_REAL(code, type, most) \
    do { \
        const type initial = (type)1.5; \
        brood_value *value = CHECK_POINTER(brood_value_create(code, &(brood_value_options){ .initial = &initial })); \
        type now = 0, before = 0; \
        NEED(value != NULL); \
        CHECK_EQ(brood_value_type(value), code); \
        CHECK_EQ(brood_type_size(code), sizeof(type)); \
        CHECK_RESULT(brood_value_load(value, &now), 0); \
        CHECK(now == (type)1.5); \
        CHECK_RESULT(brood_value_add(value, 3.14, &before), 0); \
        CHECK(before == (type)1.5); \
        CHECK_RESULT(brood_value_load(value, &now), 0); \
        CHECK(now == (type)((type)1.5 + (type)3.14)); \
        CHECK_RESULT(brood_value_add(value, -1, NULL), 0); \
        CHECK(*(type *)brood_value_at(value) == (type)(now - 1)); \
        CHECK_RESULT(brood_value_store(value, most), 0); \
        CHECK_RESULT(brood_value_add(value, most, NULL), 0); \
        CHECK_RESULT(brood_value_load(value, &now), 0); \
        CHECK(isinf(now)); \
        CHECK_RESULT(brood_value_store(value, (type)NAN), 0); \
        CHECK_RESULT(brood_value_load(value, &now), 0); \
        CHECK(isnan(now)); \
        CHECK_RESULT(brood_value_compare_exchange(value, &now, 0), 0); /* bit for bit: the same NaN */ \
        now = (type)-0.0; \
        CHECK_RESULT(brood_value_compare_exchange(value, &now, 2), -EAGAIN); \
        CHECK(now == 0 && !signbit(now)); \
        CHECK_RESULT(brood_value_compare_exchange(value, &now, 2), 0); \
        CHECK(*(type *)brood_value_at(value) == 2); \
        CHECK_RESULT(brood_value_destroy(value), 0); \
    } while (0)

static void reals(void)
{
    CHECK_REAL('f', float, FLT_MAX);
    CHECK_REAL('d', double, DBL_MAX);
}

static void truths(void)
{
    brood_value *value = CHECK_POINTER(brood_value_create('?', &(brood_value_options){ .initial = &(char){ 2 } }));
    bool now = false, before;
    NEED(value != NULL);
    CHECK_EQ(brood_type_size('?'), sizeof(bool));
    CHECK_EQ(*(char *)brood_value_at(value), 1);
    CHECK_RESULT(brood_value_load(value, &now), 0);
    CHECK(now);
    CHECK_RESULT(brood_value_store(value, 256), 0); /* not 0, so true */
    CHECK_EQ(*(char *)brood_value_at(value), 1);
    CHECK_RESULT(brood_value_store(value, 0.0), 0);
    CHECK_RESULT(brood_value_load(value, &now), 0);
    CHECK(!now);
    CHECK_RESULT(brood_value_store(value, 0.1), 0);
    CHECK_RESULT(brood_value_compare_exchange(value, &now, true), -EAGAIN);
    CHECK(now);
    CHECK_RESULT(brood_value_compare_exchange(value, &now, false), 0);
    CHECK_RESULT(brood_value_add(value, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_value_add(value, 1, &before), -EINVAL);
    CHECK_RESULT(brood_value_load(value, &now), 0);
    CHECK(!now);
    CHECK_RESULT(brood_value_load(value, &(int){ 0 }), -EINVAL);
    CHECK_RESULT(brood_value_destroy(value), 0);
}

/* What goes in converts as C's assignment does; where C leaves it undefined it is refused. */
static void conversions(void)
{
    brood_value *small = CHECK_POINTER(brood_value_create('b', NULL));
    brood_value *large = CHECK_POINTER(brood_value_create('Q', NULL));
    brood_value *real = CHECK_POINTER(brood_value_create('d', NULL));
    NEED(small && large && real);
    const short constant = 300;
    CHECK_RESULT(brood_value_store(small, constant), 0);
    CHECK_EQ(*(signed char *)brood_value_at(small), 300 - 256);
    CHECK_RESULT(brood_value_store(small, 200U), 0);
    CHECK_EQ(*(signed char *)brood_value_at(small), 200 - 256);
    CHECK_RESULT(brood_value_store(small, 127.0), 0);
    CHECK_RESULT(brood_value_store(small, -128.0f), 0);
    CHECK_EQ(*(signed char *)brood_value_at(small), -128);
    CHECK_RESULT(brood_value_store(small, 128.0), -EDOM);
    CHECK_HAS(brood_error(), "type 'b'");
    CHECK_RESULT(brood_value_store(small, -129.0), -EDOM);
    CHECK_RESULT(brood_value_store(small, true), 0);
    CHECK_EQ(*(signed char *)brood_value_at(small), 1);
    CHECK_RESULT(brood_value_store(large, -1), 0);
    CHECK(*(unsigned long long *)brood_value_at(large) == ULLONG_MAX);
    CHECK_RESULT(brood_value_store(large, 9223372036854775808.0), 0); /* 2^63 */
    CHECK(*(unsigned long long *)brood_value_at(large) == 1ULL << 63);
    CHECK_RESULT(brood_value_store(large, 18446744073709551616.0), -EDOM); /* 2^64 */
    CHECK_RESULT(brood_value_store(large, -1.0), -EDOM);
    CHECK_RESULT(brood_value_store(real, -3), 0);
    CHECK(*(double *)brood_value_at(real) == -3);
    CHECK_RESULT(brood_value_store(real, ULLONG_MAX), 0);
    CHECK(*(double *)brood_value_at(real) == 18446744073709551616.0);
    CHECK_RESULT(brood_value_store(real, 1.5f), 0);
    CHECK(*(double *)brood_value_at(real) == 1.5);
    CHECK_RESULT(brood_value_store(real, 'a'), 0);
    CHECK(*(double *)brood_value_at(real) == 'a');
    CHECK_RESULT(brood_value_destroy(small), 0);
    CHECK_RESULT(brood_value_destroy(large), 0);
    CHECK_RESULT(brood_value_destroy(real), 0);
}

/* The macros evaluate each argument once. */
static void evaluated_once(void)
{
    brood_value *values[] = { CHECK_POINTER(brood_value_create('i', NULL)), NULL };
    brood_array *array = CHECK_POINTER(brood_array_create('i', 4, NULL));
    brood_value **value = values;
    int data[6] = { 0 }, *out = data, i = 0;
    size_t index = 0;
    CHECK_RESULT(brood_value_add(*value++, ++i, out++), 0);
    CHECK(value == values + 1 && i == 1 && out == data + 1);
    CHECK_RESULT(brood_value_store(*--value, ++i), 0);
    CHECK_RESULT(brood_value_load(*value++, out++), 0);
    CHECK(value == values + 1 && i == 2 && out == data + 2 && data[1] == 2);
    data[2] = 2;
    CHECK_RESULT(brood_value_compare_exchange(*--value, out++, ++i), 0);
    CHECK(value == values && i == 3 && out == data + 3);
    CHECK_RESULT(brood_array_set(array, index++, ++i), 0);
    CHECK_RESULT(brood_array_add(array, index++, ++i, out++), 0);
    CHECK_RESULT(brood_array_get(array, --index, out++), 0);
    CHECK(index == 1 && i == 5 && out == data + 5 && data[4] == 5);
    CHECK_RESULT(brood_array_get_slice(array, --index, 1, out++), 0);
    CHECK(index == 0 && out == data + 6 && data[5] == 4);
    CHECK_RESULT(brood_array_destroy(array), 0);
    CHECK_RESULT(brood_value_destroy(*values), 0);
}

/* What comes out is not converted. */
static void wrong_types(void)
{
    brood_value *value = CHECK_POINTER(brood_value_create('i', &(brood_value_options){ .name = "answers" }));
    NEED(value != NULL);
    long long longer = 1;
    float real = 1;
    unsigned same = 1;
    struct point point = { 0 };
    CHECK_RESULT(brood_value_load(value, &longer), -EINVAL);
    CHECK_HAS(brood_error(), "value 'answers' is of type 'i', the datum of type 'q'");
    CHECK_RESULT(brood_value_load(value, &real), -EINVAL);
    CHECK_RESULT(brood_value_load(value, &point), -EINVAL);
    CHECK_HAS(brood_error(), "a struct of 12 bytes");
    CHECK_RESULT(brood_value_store(value, point), -EINVAL);
    CHECK_RESULT(brood_value_store(value, 1.0L), -EINVAL); /* no type of these */
    CHECK_RESULT(brood_value_add(value, 1, &longer), -EINVAL);
    CHECK_RESULT(brood_value_add(value, point, NULL), -EINVAL);
    void *bare = &longer;
    CHECK_RESULT(brood_value_add(value, 1, bare), -EINVAL); /* of what type? */
    CHECK_RESULT(brood_value_compare_exchange(value, &real, 1), -EINVAL);
    CHECK_RESULT(brood_value_compare_exchange(value, &same, point), -EINVAL);
    CHECK_RESULT((brood_value_load)(value, NULL, 'i'), -EINVAL);
    CHECK_RESULT((brood_value_store)(value, NULL, 0), -EINVAL);
    CHECK_RESULT((brood_value_add)(value, NULL, 0, NULL, 0), -EINVAL);
    CHECK_RESULT((brood_value_compare_exchange)(value, NULL, 0, &same, 0), -EINVAL);
    CHECK_RESULT((brood_value_compare_exchange)(value, &same, 0, NULL, 0), -EINVAL);
    CHECK_RESULT((brood_value_store)(value, &same, 'z'), -EINVAL);
    CHECK_RESULT((brood_value_load)(value, &same, -1), -EINVAL);
    CHECK_EQ(longer, 1);
    CHECK_EQ(*(int *)brood_value_at(value), 0);
    CHECK_RESULT((brood_value_store)(value, &(int){ 42 }, 0), 0); /* 0: of its own type */
    CHECK_RESULT(brood_value_load(value, &same), 0);              /* its sign is the reader's matter */
    CHECK_EQ(same, 42);
    CHECK_RESULT(brood_value_destroy(value), 0);
}

static void structs(void)
{
    for (int raw = 0; raw < 2; raw++) {
        const struct point initial = { 1, 2, 3 };
        brood_value_options options = { .initial = &initial, .raw = raw };
        brood_value *value = CHECK_POINTER(brood_value_create(BROOD_STRUCT(struct point), &options));
        struct point point = { 0 };
        NEED(value != NULL);
        CHECK_EQ(brood_type_size(BROOD_STRUCT(struct point)), sizeof(struct point));
        CHECK_EQ(brood_value_type(value), BROOD_STRUCT(point));
        CHECK_RESULT(brood_value_load(value, &point), 0);
        CHECK(memcmp(&point, &initial, sizeof point) == 0);
        CHECK_RESULT(brood_value_store(value, (struct point){ 4, 5, 6 }), 0);
        CHECK_RESULT(brood_value_load(value, &point), 0);
        CHECK(point.x == 4 && point.y == 5 && point.z == 6);
        CHECK_RESULT(brood_value_store(value, initial), 0);
        CHECK_EQ(((struct point *)brood_value_at(value))->z, 3);
        CHECK_RESULT(brood_value_store(value, 1), -EINVAL);
        CHECK_RESULT(brood_value_load(value, &(int){ 0 }), -EINVAL);
        CHECK_RESULT(brood_value_load(value, &(struct { char bytes[13]; }){ { 0 } }), -EINVAL);
        CHECK_RESULT(brood_value_add(value, 1, NULL), -EINVAL);
        CHECK_RESULT(brood_value_compare_exchange(value, &point, initial), -EINVAL);
        CHECK_RESULT(brood_value_destroy(value), 0);
    }
    brood_value *single = CHECK_POINTER(brood_value_create(257, NULL)); /* as small as can be */
    CHECK_RESULT((brood_value_store)(single, "x", 257), 0);
    CHECK_EQ(*(char *)brood_value_at(single), 'x');
    CHECK_RESULT(brood_value_destroy(single), 0);
}

static void no_types(void)
{
    static const int none[] = { 0, -1, 1, 'a', 'z', 'p', 127, 255, 256, INT_MIN };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CHECK_NULL(brood_value_create(none[i], NULL), EINVAL);
        CHECK_RESULT(brood_type_size(none[i]), -EINVAL);
    }
    CHECK_NULL(brood_value_create('i', &(brood_value_options){ .reserved = { &(int){ 0 } } }), EINVAL);
}

static void check_no_value(brood_value *value)
{
    int datum = 0;
    CHECK_RESULT(brood_value_type(value), -EINVAL);
    CHECK_NULL(brood_value_at(value), EINVAL);
    CHECK_RESULT(brood_value_load(value, &datum), -EINVAL);
    CHECK_RESULT(brood_value_store(value, 1), -EINVAL);
    CHECK_RESULT(brood_value_add(value, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_value_compare_exchange(value, &datum, 1), -EINVAL);
    CHECK_RESULT(brood_value_acquire(value, 0), -EINVAL);
    CHECK_RESULT(brood_value_release(value), -EINVAL);
    CHECK_RESULT(brood_value_abandon(value), -EINVAL);
    if (value)
        CHECK_RESULT(brood_value_destroy(value), -EINVAL);
}

static void no_values(void)
{
    static _Alignas(64) char outside[256];
    CHECK_NULL(brood_value_create('z', NULL), EINVAL);
    check_no_value(NULL);
    CHECK_HAS(brood_error(), "no type");
    CHECK_RESULT(brood_value_destroy(NULL), 0);
    check_no_value((brood_value *)(void *)outside);
    char *memory = CHECK_POINTER(brood_alloc(256));
    check_no_value((brood_value *)(void *)memory);
    memset(memory, 0xff, 256);
    check_no_value((brood_value *)(void *)memory);
    brood_free(memory);
    brood_array *array = CHECK_POINTER(brood_array_create('i', 1, NULL));
    check_no_value((brood_value *)(void *)array);
    CHECK_RESULT(brood_array_destroy(array), 0);
    brood_value *value = CHECK_POINTER(brood_value_create('i', NULL));
    check_no_value((brood_value *)(void *)((char *)value + 8));
    CHECK_RESULT(brood_value_destroy(value), 0);
    check_no_value(value); /* not any more */
}

static void before_init(void)
{
    check_no_value(NULL);
    CHECK_NULL(brood_value_create('i', NULL), EINVAL);
    CHECK_EQ(brood_type_size('i'), sizeof(int));
    NEED(brood_init(NULL) == 0);
    CHECK_RESULT(brood_value_destroy(CHECK_POINTER(brood_value_create('i', NULL))), 0);
}

static void no_memory(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    CHECK_NULL(brood_value_create(BROOD_STRUCT(char[1 << 20]), NULL), ENOMEM);
    brood_heap_stats before, after;
    CHECK_RESULT(brood_heap_stat(&before), 0);
    static brood_value *values[8192];
    size_t count = 0;
    while (count < 8192 && (values[count] = brood_value_create('i', &(brood_value_options){ .name = "one of many" })))
        count++;
    CHECK(count > 100 && count < 8192);
    CHECK_EQ(errno, ENOMEM);
    while (count > 0)
        CHECK_RESULT(brood_value_destroy(values[--count]), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ(after.blocks, before.blocks);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void *meddle(void *arg)
{
    brood_value *value = arg;
    int now = 0;
    CHECK_RESULT(brood_value_acquire(value, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "value 'kept'");
    CHECK_RESULT(brood_value_acquire(value, 30), -ETIMEDOUT);
    CHECK_RESULT(brood_value_acquire(value, -2), -EINVAL);
    CHECK_RESULT(brood_value_release(value), -EPERM);
    CHECK_RESULT(brood_value_abandon(value), -EPERM);
    CHECK_RESULT(brood_value_destroy(value), -EBUSY);
    CHECK_RESULT(brood_value_add(value, 1, NULL), 0); /* numbers do not wait */
    CHECK_RESULT(brood_value_load(value, &now), 0);
    CHECK_EQ(now, 2);
    CHECK_RESULT(brood_value_store(value, 5), 0);
    CHECK_RESULT(brood_value_compare_exchange(value, &(int){ 5 }, 6), 0);
    return NULL;
}

static void lock(void)
{
    brood_value *value = CHECK_POINTER(brood_value_create('i', &(brood_value_options){ .name = "kept" }));
    static const int timeouts[] = { 0, 1, INT_MAX, BROOD_FOREVER };
    for (size_t i = 0; i < 4; i++) {
        CHECK_RESULT(brood_value_acquire(value, timeouts[i]), 0);
        CHECK_RESULT(brood_value_acquire(value, timeouts[3 - i]), 0); /* once more */
        CHECK_RESULT(brood_value_release(value), 0);
        CHECK_RESULT(brood_value_destroy(value), -EBUSY);
        CHECK_RESULT(brood_value_release(value), 0);
        CHECK_RESULT(brood_value_release(value), -EPERM);
        CHECK_RESULT(brood_value_abandon(value), -EPERM);
    }
    CHECK_RESULT(brood_value_acquire(value, 0), 0);
    CHECK_RESULT(brood_value_add(value, 1, NULL), 0);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, meddle, value) == 0);
    pthread_join(thread, NULL);
    CHECK_EQ(*(int *)brood_value_at(value), 6);
    CHECK_RESULT(brood_value_release(value), 0);
    CHECK_RESULT(brood_value_destroy(value), 0);
}

static void abandoned(void)
{
    brood_value *value = CHECK_POINTER(brood_value_create(BROOD_STRUCT(struct point), NULL));
    struct point point = { 1, 1, 1 };
    CHECK_RESULT(brood_value_acquire(value, 0), 0);
    CHECK_RESULT(brood_value_acquire(value, 0), 0);
    CHECK_RESULT(brood_value_abandon(value), 0); /* whole */
    CHECK_RESULT(brood_value_abandon(value), -EPERM);
    for (int i = 0; i < 3; i++) { /* told until one mends it */
        CHECK_RESULT(brood_value_load(value, &point), BROOD_INHERITED);
        CHECK_EQ(point.x, i);
        CHECK_RESULT(brood_value_store(value, (struct point){ i + 1, 0, 0 }), BROOD_INHERITED);
        CHECK_HAS(brood_error(), "not been mended");
        CHECK_RESULT(brood_value_acquire(value, 0), BROOD_INHERITED);
        CHECK_RESULT(brood_value_load(value, &point), 0); /* it knows */
        CHECK_RESULT(brood_value_acquire(value, 0), 0);
        CHECK_RESULT(brood_value_release(value), 0);
        CHECK_RESULT(brood_value_abandon(value), 0);
    }
    CHECK_RESULT(brood_value_acquire(value, 0), BROOD_INHERITED);
    CHECK_RESULT(brood_value_release(value), 0);
    CHECK_RESULT(brood_value_load(value, &point), 0);
    CHECK_RESULT(brood_value_acquire(value, 0), 0);
    CHECK_RESULT(brood_value_abandon(value), 0);
    CHECK_RESULT(brood_value_destroy(value), 0);
}

static void raw(void)
{
    brood_value *value = CHECK_POINTER(brood_value_create('d', &(brood_value_options){ .raw = true, .name = "bare" }));
    double now = 0;
    CHECK_RESULT(brood_value_acquire(value, 0), -EINVAL);
    CHECK_HAS(brood_error(), "value 'bare' is raw");
    CHECK_RESULT(brood_value_release(value), -EINVAL);
    CHECK_RESULT(brood_value_abandon(value), -EINVAL);
    CHECK_RESULT(brood_value_add(value, 2.5, NULL), 0);
    CHECK_RESULT(brood_value_load(value, &now), 0);
    CHECK(now == 2.5);
    CHECK_RESULT(brood_value_destroy(value), 0);
}

static void too_many_locks(void)
{
    enum { MOST = 1024 };
    brood_lock *locks = CHECK_POINTER(brood_alloc_array(MOST, sizeof *locks));
    brood_value *value = CHECK_POINTER(brood_value_create(BROOD_STRUCT(struct point), NULL));
    for (int i = 0; i < MOST; i++)
        NEED(brood_lock_acquire(&locks[i], 0) == 0);
    CHECK_RESULT(brood_value_acquire(value, 0), -ENOLCK);
    CHECK_RESULT(brood_value_store(value, (struct point){ 0 }), 0); /* for a moment it may */
    for (int i = 0; i < MOST; i++)
        NEED(brood_lock_release(&locks[i]) == 0);
    CHECK_RESULT(brood_value_acquire(value, 0), 0);
    CHECK_RESULT(brood_value_release(value), 0);
    CHECK_RESULT(brood_value_destroy(value), 0);
    brood_free(locks);
}

/* ---- threads ---- */

enum { THREADS = 4, TURNS = 20000 };

struct crowd {
    brood_value *count, *sum, *locked, *pattern;
    atomic_int writers;
    int times;
};

static void *add(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < crowd->times; i++) {
        NEED(brood_value_add(crowd->count, 1, NULL) == 0);
        NEED(brood_value_add(crowd->sum, 0.5, NULL) == 0);
        NEED(brood_value_acquire(crowd->locked, BROOD_FOREVER) == 0);
        ++*(long *)brood_value_at(crowd->locked);
        NEED(brood_value_release(crowd->locked) == 0);
    }
    return NULL;
}

static void threads_add(void)
{
    struct crowd crowd = { .times = harness_times(TURNS) };
    crowd.count = CHECK_POINTER(brood_value_create('h', NULL));
    crowd.sum = CHECK_POINTER(brood_value_create('f', NULL));
    crowd.locked = CHECK_POINTER(brood_value_create('l', NULL));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        NEED(pthread_create(&threads[i], NULL, add, &crowd) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    long added = (long)THREADS * crowd.times;
    CHECK_EQ(*(short *)brood_value_at(crowd.count), (short)added);
    CHECK(*(float *)brood_value_at(crowd.sum) == (float)added / 2);
    CHECK_EQ(*(long *)brood_value_at(crowd.locked), added);
    CHECK_RESULT(brood_value_destroy(crowd.count), 0);
    CHECK_RESULT(brood_value_destroy(crowd.sum), 0);
    CHECK_RESULT(brood_value_destroy(crowd.locked), 0);
}

static void *store_patterns(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < crowd->times; i++)
        NEED(brood_value_store(crowd->pattern, i % 2 ? (struct point){ 1, 1, 1 } : (struct point){ 2, 2, 2 }) == 0);
    atomic_fetch_sub(&crowd->writers, 1);
    return NULL;
}

static void threads_store(void)
{
    struct crowd crowd = { .times = harness_times(TURNS), .writers = 2 };
    crowd.pattern = CHECK_POINTER(brood_value_create(BROOD_STRUCT(struct point), NULL));
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        NEED(pthread_create(&threads[i], NULL, store_patterns, &crowd) == 0);
    while (atomic_load(&crowd.writers) > 0) {
        struct point point = { 0 };
        NEED(brood_value_load(crowd.pattern, &point) == 0);
        NEED(point.x == point.y && point.y == point.z);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_RESULT(brood_value_destroy(crowd.pattern), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "integers", .run = integers },
        { .name = "reals", .run = reals },
        { .name = "truths", .run = truths },
        { .name = "conversions", .run = conversions },
        { .name = "evaluated_once", .run = evaluated_once },
        { .name = "wrong_types", .run = wrong_types },
        { .name = "structs", .run = structs },
        { .name = "no_types", .run = no_types },
        { .name = "no_values", .run = no_values },
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "no_memory", .run = no_memory, .no_init = true },
        { .name = "lock", .run = lock },
        { .name = "abandoned", .run = abandoned },
        { .name = "raw", .run = raw },
        { .name = "too_many_locks", .run = too_many_locks },
        { .name = "threads_add", .run = threads_add },
        { .name = "threads_store", .run = threads_store },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
