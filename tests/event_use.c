/* event_use.c: events as one process sees them: set, cleared, waited for, from a signal handler too.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

struct scene {
    brood_event event;
    brood_event answer;
    brood_lock lock;
    atomic_int waiter; /* a thread's id */
    atomic_int done;
    atomic_int leave;
    long stored;
};

static struct scene *new_scene(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    return scene;
}

static void free_scene(struct scene *scene)
{
    CHECK_RESULT(brood_event_fini(&scene->event), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ((long long)scene->event.opaque[i], 0);
    brood_free(scene);
}

static void set_and_clear(void)
{
    struct scene *scene = new_scene();
    brood_event *event = &scene->event;
    CHECK_RESULT(brood_event_clear(event), 0); /* zeroed memory is one that is not set */
    CHECK_RESULT(brood_event_wait(event, 0), -ETIMEDOUT);
    long long start = now_ms();
    CHECK_RESULT(brood_event_wait(event, 60), -ETIMEDOUT);
    CHECK(now_ms() - start >= 59);
    CHECK(now_ms() - start < 5000);
    for (int i = 0; i < 1000; i++) {
        static const int timeouts[] = { 0, 1, 50, INT_MAX, BROOD_FOREVER };
        for (int again = 0; again < 1 + i % 2; again++)
            CHECK_RESULT(brood_event_set(event), 0);
        for (int again = 0; again < 3; again++)
            CHECK_RESULT(brood_event_wait(event, timeouts[i % 5]), 0);
        for (int again = 0; again < 1 + i % 2; again++)
            CHECK_RESULT(brood_event_clear(event), 0);
        CHECK_RESULT(brood_event_wait(event, 0), -ETIMEDOUT);
    }
    CHECK_RESULT(brood_event_wait(event, -2), -EINVAL);
    CHECK_RESULT(brood_event_wait(event, INT_MIN), -EINVAL);
    free_scene(scene);
    scene = new_scene();
    CHECK_RESULT(brood_event_set(&scene->event), 0); /* its first use */
    CHECK_RESULT(brood_event_wait(&scene->event, 0), 0);
    free_scene(scene);
}

static void check_no_event(void *memory)
{
    brood_event *event = memory;
    CHECK_RESULT(brood_event_init(event, NULL), -EINVAL);
    CHECK_RESULT(brood_event_set(event), -EINVAL);
    CHECK_RESULT(brood_event_clear(event), -EINVAL);
    CHECK_RESULT(brood_event_wait(event, 0), -EINVAL);
    CHECK_RESULT(brood_event_wait(event, BROOD_FOREVER), -EINVAL);
    if (event != NULL)
        CHECK_RESULT(brood_event_fini(event), -EINVAL);
}

static void no_events(void)
{
    static brood_event there;
    brood_event here;
    memset(&here, 0, sizeof here);
    check_no_event(NULL);
    check_no_event(&here);
    check_no_event(&there);
    CHECK_RESULT(brood_event_fini(NULL), 0);
    unsigned char *memory = CHECK_POINTER(brood_alloc(256));
    for (int offset = 1; offset < 8; offset++)
        check_no_event(memory + offset);
    for (int offset = 8; offset < 64; offset += 8) { /* 8 bytes of alignment are enough */
        brood_event *event = (brood_event *)(void *)(memory + offset);
        CHECK_RESULT(brood_event_set(event), 0);
        CHECK_RESULT(brood_event_wait(event, 0), 0);
        CHECK_RESULT(brood_event_fini(event), 0);
    }
    for (size_t i = 0; i < 256; i++)
        CHECK_EQ(memory[i], 0);
    memset(memory, 0xff, 256);
    check_no_event(memory);
    memset(memory, 0x01, 256);
    check_no_event(memory);
    brood_free(memory);
    struct scene *scene = new_scene(); /* another noun is none either */
    CHECK_RESULT(brood_lock_acquire(&scene->lock, 0), 0);
    check_no_event(&scene->lock);
    CHECK_RESULT(brood_lock_release(&scene->lock), 0);
    free_scene(scene);
}

static void before_init(void)
{
    brood_event event;
    memset(&event, 0, sizeof event);
    check_no_event(&event);
    CHECK_HAS(brood_error(), "brood_init");
}

static void named(void)
{
    struct scene *scene = new_scene();
    brood_event *event = &scene->event;
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    char name[] = "ready";
    CHECK_RESULT(brood_event_init(event, &(brood_name_options){ .name = name }), 0);
    name[0] = 'x';
    CHECK_RESULT(brood_event_init(event, NULL), -EBUSY);
    CHECK_RESULT(brood_event_init(event, &(brood_name_options){ .name = "other" }), -EBUSY);
    CHECK_RESULT(brood_event_wait(event, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "ready");
    CHECK_RESULT(brood_event_set(event), 0);
    CHECK_RESULT(brood_event_fini(event), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ((long long)event->opaque[i], 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    /* again: fini leaves what init needs, and it is not set */
    CHECK_RESULT(brood_event_init(event, &(brood_name_options){ .name = "later" }), 0);
    CHECK_RESULT(brood_event_wait(event, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "later");
    CHECK_RESULT(brood_event_fini(event), 0);
    CHECK_RESULT(brood_event_fini(event), 0);
    CHECK_RESULT(brood_event_init(event, NULL), 0);
    CHECK_RESULT(brood_event_fini(event), 0);
    CHECK_RESULT(brood_event_set(event), 0);
    CHECK_RESULT(brood_event_init(event, NULL), -EBUSY); /* used, so an event already */
    CHECK_RESULT(brood_event_fini(event), 0);
    for (int i = 0; i < 4; i++) {
        brood_name_options options = { .name = "x" };
        options.reserved[i] = event;
        CHECK_RESULT(brood_event_init(event, &options), -EINVAL);
    }
    free_scene(scene);
}

static void no_room_for_name(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    struct scene *scene = new_scene();
    static const size_t size[] = { 1 << 16, 4096, 256, 64, 16 };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        while (brood_alloc(size[i]) != NULL)
            ;
    }
    CHECK_RESULT(brood_event_init(&scene->event, &(brood_name_options){ .name = "a name that needs memory" }), -ENOMEM);
    CHECK_RESULT(brood_event_set(&scene->event), 0); /* it is the event that it was */
    CHECK_RESULT(brood_event_wait(&scene->event, 0), 0);
}

static void *wait_once(void *arg)
{
    struct scene *scene = arg;
    atomic_store(&scene->waiter, gettid());
    CHECK_RESULT(brood_event_wait(&scene->event, BROOD_FOREVER), 0);
    CHECK_EQ(scene->stored, 1);
    atomic_fetch_add(&scene->done, 1);
    return NULL;
}

static bool is_asleep(void *waiter)
{
    int id = atomic_load((atomic_int *)waiter);
    return id != 0 && process_state(id) == 'S';
}

/* All who wait are released by one set, though it is cleared at once; its end is refused while they sleep. */
static void released_though_cleared(void)
{
    enum { WAITERS = 4 };
    for (int round = 0; round < harness_times(50); round++) {
        struct scene *scene = new_scene();
        pthread_t threads[WAITERS];
        for (int i = 0; i < WAITERS; i++) {
            atomic_store(&scene->waiter, 0);
            NEED(pthread_create(&threads[i], NULL, wait_once, scene) == 0);
            CHECK(wait_until(is_asleep, &scene->waiter, 5000));
            CHECK_RESULT(brood_event_fini(&scene->event), -EBUSY);
        }
        CHECK_EQ(atomic_load(&scene->done), 0);
        scene->stored = 1;
        CHECK_RESULT(brood_event_set(&scene->event), 0);
        CHECK_RESULT(brood_event_clear(&scene->event), 0);
        for (int i = 0; i < WAITERS; i++)
            pthread_join(threads[i], NULL);
        CHECK_EQ(atomic_load(&scene->done), WAITERS);
        CHECK_RESULT(brood_event_wait(&scene->event, 0), -ETIMEDOUT);
        free_scene(scene);
    }
}

static void *answer_often(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; i < 5000; i++) {
        if (!CHECK_RESULT(brood_event_wait(&scene->event, BROOD_FOREVER), 0))
            return NULL;
        NEED(brood_event_clear(&scene->event) == 0);
        scene->stored++;
        NEED(brood_event_set(&scene->answer) == 0);
    }
    return NULL;
}

/* What was stored before a set is seen by whom it releases. */
static void to_and_fro(void)
{
    struct scene *scene = new_scene();
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, answer_often, scene) == 0);
    for (int i = 0; i < 5000; i++) {
        scene->stored++;
        NEED(brood_event_set(&scene->event) == 0);
        if (!CHECK_RESULT(brood_event_wait(&scene->answer, BROOD_FOREVER), 0))
            break;
        NEED(brood_event_clear(&scene->answer) == 0);
        NEED(scene->stored == 2 * (i + 1));
    }
    pthread_join(thread, NULL);
    free_scene(scene);
}

static void *flip(void *arg)
{
    struct scene *scene = arg;
    while (atomic_load(&scene->leave) == 0) {
        NEED(brood_event_set(&scene->event) == 0);
        NEED(brood_event_clear(&scene->event) == 0);
    }
    return NULL;
}

static void *wait_often(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; i < 3000; i++)
        if (!CHECK_RESULT(brood_event_wait(&scene->event, i % 2 ? BROOD_FOREVER : 5000), 0))
            break;
    return NULL;
}

/* Set and cleared without pause by two at once: no waiter misses all of it. */
static void flipped(void)
{
    struct scene *scene = new_scene();
    pthread_t flippers[2], waiters[3];
    for (int i = 0; i < 3; i++)
        NEED(pthread_create(&waiters[i], NULL, wait_often, scene) == 0);
    for (int i = 0; i < 2; i++)
        NEED(pthread_create(&flippers[i], NULL, flip, scene) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(waiters[i], NULL);
    atomic_store(&scene->leave, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(flippers[i], NULL);
    free_scene(scene);
}

static struct scene *handled; /* the handler's */
static atomic_int handled_times;

static void set_in_handler(int signal)
{
    (void)signal;
    int before = errno;
    if (brood_event_set(&handled->event) != 0 || errno != before)
        atomic_store(&handled_times, INT_MIN);
    atomic_fetch_add(&handled_times, 1);
}

static void *wait_for_handler(void *arg)
{
    struct scene *scene = arg;
    while (atomic_load(&scene->leave) == 0)
        if (brood_event_wait(&scene->event, 100) == 0) {
            CHECK_RESULT(brood_event_clear(&scene->event), 0);
            atomic_fetch_add(&scene->done, 1);
        }
    return NULL;
}

/* A handler that interrupts locks, the heap, and sets and clears of the same event, all of them at work. */
static void from_a_handler(void)
{
    struct scene *scene = handled = new_scene();
    CHECK_RESULT(brood_event_clear(&scene->event), 0);
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarms, NULL); /* for the other thread */
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, wait_for_handler, scene) == 0);
    struct sigaction action = { .sa_handler = set_in_handler };
    sigaction(SIGALRM, &action, NULL);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    struct itimerval often = { { 0, 200 }, { 0, 200 } };
    setitimer(ITIMER_REAL, &often, NULL);
    long long end = now_ms() + 500;
    while (now_ms() < end) {
        NEED(brood_lock_acquire(&scene->lock, BROOD_FOREVER) == 0);
        void *block = brood_alloc(48);
        NEED(block != NULL);
        NEED(brood_event_set(&scene->event) == 0);
        NEED(brood_event_clear(&scene->event) == 0);
        brood_free(block);
        NEED(brood_lock_release(&scene->lock) == 0);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 0 }, { 0, 0 } }, NULL);
    CHECK(atomic_load(&handled_times) > 0);
    CHECK(atomic_load(&scene->done) > 0);
    atomic_store(&scene->leave, 1);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_heap_check(), 0);
    free_scene(scene);
}

/* A handler that interrupts the very wait for what it sets. */
static void from_the_waiters_handler(void)
{
    struct scene *scene = handled = new_scene();
    struct sigaction action = { .sa_handler = set_in_handler };
    sigaction(SIGALRM, &action, NULL);
    for (int i = 0; i < harness_times(200); i++) {
        struct itimerval once = { { 0, 0 }, { 0, 1 + i * 5 } };
        setitimer(ITIMER_REAL, &once, NULL);
        CHECK_RESULT(brood_event_wait(&scene->event, 5000), 0);
        CHECK_RESULT(brood_event_clear(&scene->event), 0);
    }
    CHECK_EQ(atomic_load(&handled_times), harness_times(200));
    free_scene(scene);
}

static void ignore(int signal)
{
    (void)signal;
}

static void *wait_and_time_out(void *arg)
{
    struct scene *scene = arg;
    long long start = now_ms();
    CHECK_RESULT(brood_event_wait(&scene->event, 150), -ETIMEDOUT);
    CHECK(now_ms() - start >= 149);
    atomic_store(&scene->done, 1);
    return NULL;
}

static void waits_under_signals(void)
{
    struct sigaction action = { .sa_handler = ignore };
    sigaction(SIGUSR1, &action, NULL);
    struct scene *scene = new_scene();
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, wait_and_time_out, scene) == 0);
    while (atomic_load(&scene->done) == 0) {
        pass_us(5000);
        pthread_kill(thread, SIGUSR1);
    }
    pthread_join(thread, NULL);
    free_scene(scene);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "set_and_clear", .run = set_and_clear },
        { .name = "no_events", .run = no_events },
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "named", .run = named },
        { .name = "no_room_for_name", .run = no_room_for_name, .no_init = true },
        { .name = "released_though_cleared", .run = released_though_cleared, .deadline_s = 60 },
        { .name = "to_and_fro", .run = to_and_fro },
        { .name = "flipped", .run = flipped },
        { .name = "from_a_handler", .run = from_a_handler },
        { .name = "from_the_waiters_handler", .run = from_the_waiters_handler },
        { .name = "waits_under_signals", .run = waits_under_signals },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
