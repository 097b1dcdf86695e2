/* queue.c: brood_queue under the knife.
 *
 * No number (queue.h) may be got twice; those of survivors are all got; those of the victim as its operation says, all
 * of a batch or none; and of what was there only that may be missing which the victim got. Along its path that changes
 * as often as the operation has commits. Who is asleep must wake by itself as soon as there is a message, room, or
 * nothing more, as the case may be: only if there is not does the point's process help.
 */
#include "queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SLEEPERS = 3,
    GRACE_US = 10000,   /* who is to be woken is awake by then, as a rule */
    SLEEPER_MS = 10000, /* it begins long before the kill: what counts is how long it takes from when it may wake */
    NAP_MS = 3,
    LONG_NAP_MS = 25,
    LIMIT = 4 << 20,
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper[SLEEPERS];
    int sleepers;
    pid_t helper;
    size_t blocks;
};

/* ---- what all do ---- */

int queue_put_number(const struct ground *ground, brood_queue *queue, int number, int timeout_ms)
{
    struct message message = { .number = number };
    memset(message.bytes, number, sizeof message.bytes);
    return brood_queue_put(queue, &message, ground->size, timeout_ms);
}

static void book(const struct scene *scene, const struct message *message, size_t size, int told, const char *who)
{
    struct ground *ground = scene->ground;
    bool whole = size == ground->size && message->number > 0 && message->number < NUMBERS;
    for (size_t i = 0; whole && i < size - sizeof message->number; i++)
        whole = message->bytes[i] == (char)message->number;
    if (!whole)
        point_fault(scene->point, POINT_TORN, "%s got a torn message, number %d, of %zu bytes", who, message->number,
                    size);
    else if (atomic_fetch_add(&ground->got[message->number], 1) != 0)
        point_fault(scene->point, POINT_DOUBLED, "%s got message %d, which had been got", who, message->number);
    if (whole && message->number == FIRST && told > 0)
        atomic_store(&ground->redelivered, told);
}

/* 0, or the get's failure. */
static int take_number(const struct scene *scene, brood_queue *queue, int timeout_ms, const char *who)
{
    struct message message;
    size_t size = 0;
    int told = brood_queue_get(queue, &message, sizeof message, &size, timeout_ms);
    if (told >= 0)
        book(scene, &message, size, told, who);
    return told < 0 ? told : 0;
}

static void feed(struct scene *scene)
{
    int number = FED + atomic_fetch_add(&scene->ground->tried, 1);
    int failed = queue_put_number(scene->ground, scene->ground->queue, number, SURVIVOR_MS);
    if (failed == 0)
        atomic_fetch_add(&scene->ground->fed, 1);
    else if (failed != -EPIPE)
        point_fault(scene->point, failed == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "a put: %s", brood_error());
}

/* ---- those who sleep ---- */

static void sleep_as(const struct scene *scene, enum kind kind, int number)
{
    struct ground *ground = scene->ground;
    int result = 0;
    if (kind == GETTER || kind == CLOSED)
        result = take_number(scene, ground->queue, SLEEPER_MS, "a sleeper");
    else if (kind == PUTTER)
        result = queue_put_number(ground, ground->queue, number, SLEEPER_MS);
    else
        result = brood_queue_join(ground->queue, SLEEPER_MS);
    if (result < 0 && !(kind == CLOSED && result == -EPIPE))
        point_fault(scene->point, result == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "a sleeper: %s", brood_error());
    atomic_fetch_add(&ground->served, 1);
}

static void be_asleep(void *context)
{
    const struct scene *scene = context;
    sleep_as(scene, scene->act->kind, FED + 30 + scene->sleepers);
}

static void add_sleeper(struct scene *scene)
{
    pid_t pid = point_survivor(be_asleep, scene);
    scene->sleeper[scene->sleepers++] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a sleeper neither sleeps nor ends");
}

/* Whether there is what they wait for. It touches nothing that might wake them. */
static bool is_ready(const struct scene *scene)
{
    brood_queue *queue = scene->ground->queue;
    switch (scene->act->kind) {
    case GETTER:
        return brood_queue_is_empty(queue) == 0;
    case PUTTER:
        return brood_queue_is_full(queue) == 0;
    case JOINER:
        return brood_queue_join(queue, 0) == 0;
    default:
        return false;
    }
}

static bool wait_served(const struct scene *scene, int served, long us)
{
    for (long long end = point_us() + us; atomic_load(&scene->ground->served) < served;) {
        if (point_us() > end)
            return false;
        usleep(50);
    }
    return true;
}

static void help(struct scene *scene)
{
    struct ground *ground = scene->ground;
    if (scene->act->kind == GETTER)
        feed(scene);
    else if (scene->act->kind == PUTTER)
        take_number(scene, ground->queue, 0, "the founder");
    else if (scene->act->kind == CLOSED)
        brood_queue_close(ground->queue);
    else
        while (take_number(scene, ground->queue, 0, "the founder") == 0)
            continue;
}

static void serve_sleepers(struct scene *scene)
{
    for (int served = 1; served <= scene->sleepers; served++) {
        if (wait_served(scene, served, GRACE_US))
            continue;
        if (!is_ready(scene))
            help(scene);
        if (!wait_served(scene, served, 2 * SURVIVOR_MS * 1000L))
            point_fault(scene->point, POINT_STUCK, "a sleeper is not woken, though it could go on");
        point_served(scene->point);
    }
    for (int i = 0; i < scene->sleepers; i++)
        point_join(scene->point, scene->sleeper[i], "a sleeper", SLEEPER_MS + 500);
}

static void run_victim(void *context)
{
    const struct scene *scene = context;
    scene->act->before(scene->ground);
    step_begin();
    scene->act->act(scene->ground);
    step_end();
}

static void make_true(struct scene *scene, int timeout_ms)
{
    brood_queue *queue = scene->ground->queue;
    long long end = point_us() + timeout_ms * 1000LL;
    if (!scene->act->puts && !scene->act->joins)
        feed(scene);
    else /* there is a message, unless another was faster; the victim may have the latch */
        while (take_number(scene, queue, 0, "the founder") < 0 && brood_queue_count(queue) > 0 && point_us() < end)
            usleep(200);
}

static void make_true_now(void *context)
{
    make_true(context, 0);
}

/* It sleeps: what it waits for comes true, and who else waits has come after it. By another process: the victim may
 * stand still with a latch of the heap, and this one must lead it on. */
static bool let_go(void *context)
{
    struct scene *scene = context;
    if (scene->act->sleeps)
        return true; /* its own time ends it */
    if (!scene->act->wakes)
        return false;
    if (scene->point->mode != POINT_AWAKE && !scene->point->record && scene->sleepers == scene->act->sleepers &&
        scene->act->kind != NOBODY)
        add_sleeper(scene);
    if (scene->helper <= 0 || waitpid(scene->helper, NULL, WNOHANG) == scene->helper)
        scene->helper = point_survivor(make_true_now, scene);
    return true;
}

/* For the victim, which stands still and may hold a latch, and for those who sleep. */
static void let_all_go(void *context)
{
    struct scene *scene = context;
    make_true(scene, SURVIVOR_MS);
    for (int i = 0; i < scene->sleepers && !scene->act->joins; i++)
        make_true(scene, SURVIVOR_MS);
}

/* ---- the ground ---- */

static void borrow_and_die(void *context)
{
    const struct scene *scene = context;
    brood_block block;
    _exit(brood_queue_borrow(scene->ground->queue, &block, 0) < 0);
}

static char *no_memory(void)
{
    return mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void die_putting(void *context)
{
    const struct scene *scene = context;
    brood_queue_put(scene->ground->queue, no_memory(), 64, 0);
}

static void die_getting(void *context)
{
    const struct scene *scene = context;
    brood_queue_get(scene->ground->queue, no_memory(), 4096, &(size_t){ 0 }, 0);
}

static bool let_die(struct scene *scene, void (*body)(void *context))
{
    pid_t pid = point_child(body, scene);
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status != 1 << 8;
}

static bool prepare(struct scene *scene)
{
    const struct act *act = scene->act;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 ||
        !(scene->ground = brood_alloc(sizeof(struct ground)))) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    struct ground *ground = scene->ground;
    ground->nap_ms = scene->point->record || scene->point->inside ? LONG_NAP_MS : NAP_MS;
    ground->size = act->size ? act->size : 64;
    brood_heap_stats stats;
    brood_heap_stat(&stats);
    scene->blocks = stats.blocks;
    ground->other = brood_queue_create(NULL);
    ground->dead = brood_queue_create(NULL);
    brood_queue_options options = { .name = "ground", .max_messages = act->full ? (size_t)act->first : 0 };
    options.max_deliveries = act->deliveries;
    options.dead_letters = act->deliveries ? ground->dead : NULL;
    ground->queue = brood_queue_create(&options);
    bool done = ground->queue && ground->other && ground->dead;
    for (int i = 0; i < act->first && done; i++)
        done = queue_put_number(ground, ground->queue, FIRST + i, 0) == 0;
    for (int i = 0; i < act->borrowed && done; i++)
        done = let_die(scene, borrow_and_die);
    if (act->torn_put && done)
        done = let_die(scene, die_putting);
    if (act->torn_get && done)
        done = let_die(scene, die_getting);
    if (!done)
        point_fault(scene->point, POINT_TORN, "no ground: %s", brood_error());
    return done;
}

/* ---- the account ---- */

static void put_and_get(void *context)
{
    struct scene *scene = context;
    if (scene->act->full)
        take_number(scene, scene->ground->queue, 0, "a newcomer");
    int failed = queue_put_number(scene->ground, scene->ground->queue, FED + 29, SURVIVOR_MS);
    if (failed < 0 && failed != -EPIPE)
        point_fault(scene->point, failed == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "a newcomer's put: %s",
                    brood_error());
    failed = take_number(scene, scene->ground->queue, SURVIVOR_MS, "a newcomer");
    if (failed < 0 && failed != -EPIPE)
        point_fault(scene->point, failed == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "a newcomer's get: %s",
                    brood_error());
}

static int count_got(const struct scene *scene, int from, int count)
{
    int got = 0;
    for (int i = 0; i < count; i++)
        got += atomic_load(&scene->ground->got[from + i]);
    return got;
}

static void drain(const struct scene *scene, brood_queue *queue)
{
    int failed;
    while ((failed = take_number(scene, queue, 0, "the founder")) == 0)
        continue;
    if (failed != -ETIMEDOUT && failed != -EPIPE)
        point_fault(scene->point, POINT_TORN, "draining: %s", brood_error());
}

/* That none has been doubled book() has seen. */
static int account(const struct scene *scene)
{
    const struct act *act = scene->act;
    struct ground *ground = scene->ground;
    int missing = act->first - count_got(scene, FIRST, act->first);
    int mine = count_got(scene, VICTIM, 3), there = atomic_load(&ground->fed), fed = count_got(scene, FED, 29);
    if (act->takes && act->wakes && fed < there) { /* it got what it was fed */
        missing += there - fed;
        fed = there;
    }
    if (missing < 0 || missing > act->takes)
        point_fault(scene->point, POINT_LOST, "%d messages are missing, of which the victim may have got %d", missing,
                    act->takes);
    if (fed != there)
        point_fault(scene->point, POINT_LOST, "%d of %d messages of survivors were got", fed, there);
    if (mine != 0 && mine != act->puts)
        point_fault(scene->point, POINT_TORN, "%d of the victim's messages were got", mine);
    if (act->told)
        return atomic_load(&ground->redelivered);
    return act->puts ? mine : missing;
}

static void check_end(const struct scene *scene)
{
    struct ground *ground = scene->ground;
    brood_heap_stats stats;
    if (brood_queue_join(ground->queue, SURVIVOR_MS) < 0)
        point_fault(scene->point, POINT_STUCK, "it cannot be joined: %s", brood_error());
    if (brood_queue_count(ground->queue) != 0 || brood_queue_bytes(ground->queue) != 0)
        point_fault(scene->point, POINT_TORN, "it is drained, and has %zu messages, %zu bytes",
                    brood_queue_count(ground->queue), brood_queue_bytes(ground->queue));
    if (brood_queue_destroy(ground->queue) < 0)
        point_fault(scene->point, POINT_TORN, "it cannot be destroyed: %s", brood_error());
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    brood_queue_destroy(ground->other);
    brood_queue_destroy(ground->dead);
    brood_heap_stat(&stats);
    if (stats.blocks > scene->blocks + scene->act->leaks || stats.blocks < scene->blocks)
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", scene->blocks, stats.blocks);
}

static void check(struct scene *scene)
{
    if (scene->helper > 0 && waitpid(scene->helper, NULL, WNOHANG) == 0)
        point_join(scene->point, scene->helper, "who helped", SURVIVOR_MS + 500);
    serve_sleepers(scene);
    pid_t newcomer = point_survivor(put_and_get, scene);
    if (newcomer > 0)
        point_join(scene->point, newcomer, "a newcomer", 2 * SURVIVOR_MS + 500);
    drain(scene, scene->ground->queue);
    drain(scene, scene->ground->dead);
    scene->point->result = account(scene);
    check_end(scene);
}

void queue_run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    if (!prepare(&scene) || !point_victim(point, &victim, run_victim, &scene))
        return;
    for (int i = 0; i < scene.act->sleepers; i++)
        add_sleeper(&scene);
    if (point_lead(point, &victim, let_go, &scene)) {
        if (point->mode != POINT_AWAKE && scene.sleepers == scene.act->sleepers && scene.act->kind != NOBODY)
            add_sleeper(&scene);
        if (point->mode == POINT_PAUSED) {
            pid_t helper = scene.act->wakes ? point_survivor(let_all_go, &scene) : 0;
            point_go_on(point, &victim);
            if (helper > 0)
                point_join(point, helper, "who helps", 3 * SURVIVOR_MS);
        }
        point_kill(point, &victim);
        check(&scene);
        return;
    }
    for (int i = 0; i < scene.sleepers; i++) {
        step_tracee sleeper = { .pid = scene.sleeper[i] };
        step_kill(&sleeper);
    }
}
