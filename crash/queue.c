/* queue.c: brood_queue under the knife.
 *
 * Each message has a number, and the books say how often it was got. What lies there at first has numbers from FIRST
 * on, what the victim puts from VICTIM on, what the survivors put from FED on. No number may be got twice; those of
 * survivors are all got; those of the victim as its operation says, all of a batch or none; and of what was there only
 * that may be missing which the victim got. Along its path that changes as often as the operation has commits. Who is
 * asleep must wake by itself as soon as there is a message, room, or nothing more, as the case may be: only if there is
 * not does the point's process help.
 */
#include "point.h"

#include <brood.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SLEEPERS = 3,
    FIRST = 1,
    VICTIM = 50,
    FED = 100,
    NUMBERS = 150,
    SIZE_MOST = 6000,
    GRACE_US = 10000,   /* who is to be woken is awake by then, as a rule */
    SLEEPER_MS = 10000, /* it begins long before the kill: what counts is how long it takes from when it may wake */
    NAP_MS = 3,
    LONG_NAP_MS = 25,
    LIMIT = 4 << 20,
};

/* In the region. */
struct ground {
    brood_queue *queue, *other, *dead; /* other: to warm up with */
    size_t size;
    int nap_ms, first;
    void *loan;
    _Atomic int served;     /* sleepers */
    _Atomic int tried, fed; /* by survivors */
    _Atomic int got[NUMBERS];
    _Atomic int redelivered;
};

enum kind { NOBODY, GETTER, PUTTER, JOINER, CLOSED };

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    enum kind kind;          /* who sleeps */
    int sleepers;            /* before the operation begins */
    int first;               /* messages there */
    size_t size;             /* of all of them; 0: 64 */
    bool full;               /* there is no room for more */
    bool puts;               /* the victim puts */
    int takes;               /* the victim may get so many for good */
    bool wakes;              /* the victim sleeps until there is a message, or room */
    bool sleeps;             /* it sleeps until its time is over */
    int borrowed;            /* so often the first message was borrowed by one that died */
    int deliveries;          /* .max_deliveries, with dead letters */
    bool torn_put, torn_get; /* one has died in the middle of it */
    bool told;    /* the result is whether the first message was marked as redelivered, not what is missing */
    bool makes;   /* it makes or ends a queue */
    size_t leaks; /* blocks that may be lost */
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

struct message {
    int number;
    char bytes[SIZE_MOST];
};

/* ---- what all do ---- */

static int put_number(const struct ground *ground, brood_queue *queue, int number, int timeout_ms)
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
    int failed = put_number(scene->ground, scene->ground->queue, number, SURVIVOR_MS);
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
        result = put_number(ground, ground->queue, number, SLEEPER_MS);
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

/* ---- the victim's acts ---- */

static void act_put(struct ground *ground)
{
    put_number(ground, ground->queue, VICTIM, BROOD_FOREVER);
}

static void act_put_nap(struct ground *ground)
{
    put_number(ground, ground->queue, VICTIM, ground->nap_ms);
}

static void act_put_many(struct ground *ground)
{
    static struct message message[3];
    brood_block blocks[3];
    for (int i = 0; i < 3; i++) {
        message[i].number = VICTIM + i;
        memset(message[i].bytes, VICTIM + i, sizeof message[i].bytes);
        blocks[i] = (brood_block){ &message[i], ground->size };
    }
    brood_queue_put_many(ground->queue, blocks, 3, BROOD_FOREVER);
}

static void act_reserve(struct ground *ground)
{
    struct message *message = brood_queue_reserve(ground->queue, ground->size, BROOD_FOREVER);
    if (!message)
        return;
    message->number = VICTIM;
    memset(message->bytes, VICTIM, ground->size - sizeof message->number);
    ground->loan = message;
}

static void act_commit(struct ground *ground)
{
    brood_queue_commit(ground->queue, ground->loan, ground->size);
}

static void act_withdraw(struct ground *ground)
{
    brood_queue_withdraw(ground->queue, ground->loan);
}

static void act_get(struct ground *ground)
{
    static struct message message;
    size_t size;
    brood_queue_get(ground->queue, &message, sizeof message, &size, BROOD_FOREVER);
}

static void act_get_nap(struct ground *ground)
{
    static struct message message;
    size_t size;
    brood_queue_get(ground->queue, &message, sizeof message, &size, ground->nap_ms);
}

static void act_get_try(struct ground *ground)
{
    static struct message message;
    size_t size;
    brood_queue_get(ground->queue, &message, sizeof message, &size, 0);
}

static void act_get_small(struct ground *ground)
{
    brood_queue_get(ground->queue, NULL, 0, NULL, 0);
}

static void act_get_block(struct ground *ground)
{
    brood_block block;
    brood_queue_get_block(ground->queue, &block, BROOD_FOREVER);
}

static void act_get_many(struct ground *ground)
{
    static char buffer[4 * sizeof(struct message)];
    brood_block blocks[4];
    brood_queue_get_many(ground->queue, buffer, sizeof buffer, blocks, 4, BROOD_FOREVER);
}

static void act_borrow(struct ground *ground)
{
    brood_block block;
    if (brood_queue_borrow(ground->queue, &block, BROOD_FOREVER) >= 0)
        ground->loan = block.data;
}

static void act_done(struct ground *ground)
{
    brood_queue_done(ground->queue, ground->loan);
}

static void act_close(struct ground *ground)
{
    brood_queue_close(ground->queue);
}

static void act_join(struct ground *ground)
{
    brood_queue_join(ground->queue, BROOD_FOREVER);
}

static void act_create(struct ground *ground)
{
    ground->loan = brood_queue_create(&(brood_queue_options){ .name = "made" });
}

static void act_destroy(struct ground *ground)
{
    brood_queue_destroy(ground->loan);
}

static void before_cold(struct ground *ground)
{
    (void)ground;
}

/* All ways once, so that no symbol and no page of its own is new. */
static void before_warm(struct ground *ground)
{
    struct ground own = { .queue = ground->other, .size = ground->size };
    for (int i = 0; i < 3; i++) {
        act_put(&own);
        act_get(&own);
        act_reserve(&own);
        act_commit(&own);
        act_borrow(&own);
        act_done(&own);
        act_put(&own);
        act_get_many(&own);
        act_get_try(&own);
    }
}

static void before_reserved(struct ground *ground)
{
    before_warm(ground);
    act_reserve(ground);
}

static void before_borrowed(struct ground *ground)
{
    before_warm(ground);
    act_borrow(ground);
}

static void before_made(struct ground *ground)
{
    before_warm(ground);
    act_create(ground);
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
    if (!scene->act->puts && scene->act->act != act_join)
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
    for (int i = 0; i < scene->sleepers && scene->act->act != act_join; i++)
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
        done = put_number(ground, ground->queue, FIRST + i, 0) == 0;
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
    int failed = put_number(scene->ground, scene->ground->queue, FED + 29, SURVIVOR_MS);
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
    if (mine != 0 && mine != (act->act == act_put_many ? 3 : act->puts))
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

static void run(struct point *point)
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

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation queue_operations[] = {
    { "queue_put", "put into an empty queue", run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .puts = true), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "queue_put_first", "a process' first put", run,
      ACT(.before = before_cold, .act = act_put, .kind = GETTER, .puts = true), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "queue_put_1", "put with one asleep", run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .sleepers = 1, .puts = true), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_put_2", "put with two asleep", run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .sleepers = 2, .puts = true), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_put_large", "put of a block", run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .size = 6000, .puts = true), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_put_large_1", "the same, with one asleep", run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .sleepers = 1, .size = 6000, .puts = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_put_many", "put of three at once", run,
      ACT(.before = before_warm, .act = act_put_many, .kind = GETTER, .puts = true), .modes = ALL_MODES, .last = 3,
      .switches = 1 },
    { "queue_put_many_2", "the same, with two asleep", run,
      ACT(.before = before_warm, .act = act_put_many, .kind = GETTER, .sleepers = 2, .puts = true), .modes = ALL_MODES,
      .last = 3, .switches = 1 },
    { "queue_put_segment", "put into another segment", run,
      ACT(.before = before_warm, .act = act_put, .first = 4, .size = 2000, .puts = true), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_put_many_segment", "put of three at once, on both sides of a segment's end", run,
      ACT(.before = before_warm, .act = act_put_many, .first = 3, .size = 2000, .puts = true),
      .modes = AWAKE_AND_PAUSED, .last = 3, .switches = 1 },
    { "queue_put_wait", "put that waits for room", run,
      ACT(.before = before_warm, .act = act_put, .kind = PUTTER, .first = 2, .full = true, .puts = true, .wakes = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    /* It waits for room before it takes the block, and again with it: another may have been faster meanwhile. */
    { "queue_put_large_wait", "the same, of a block", run,
      ACT(.before = before_warm, .act = act_put, .kind = PUTTER, .first = 2, .size = 6000, .full = true, .puts = true,
          .wakes = true),
      .modes = ALL_MODES, .any_result = true },
    { "queue_put_timeout", "put that waits for room and gives up", run,
      ACT(.before = before_warm, .act = act_put_nap, .kind = PUTTER, .first = 2, .full = true, .puts = true,
          .sleeps = true),
      .modes = ALL_MODES, .quick = 150, .any_result = true },
    { "queue_put_torn", "put after one has died in the middle of his", run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .puts = true, .torn_put = true), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_reserve", "reserve", run, ACT(.before = before_warm, .act = act_reserve), .modes = AWAKE_AND_PAUSED },
    { "queue_commit", "commit", run, ACT(.before = before_reserved, .act = act_commit, .kind = GETTER, .puts = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_commit_1", "commit with one asleep", run,
      ACT(.before = before_reserved, .act = act_commit, .kind = GETTER, .sleepers = 1, .puts = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_withdraw", "withdraw", run, ACT(.before = before_reserved, .act = act_withdraw),
      .modes = AWAKE_AND_PAUSED },
    { "queue_get", "get of one of two", run, ACT(.before = before_warm, .act = act_get, .first = 2, .takes = 1),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_get_first", "a process' first get", run,
      ACT(.before = before_cold, .act = act_get, .first = 1, .takes = 1), .modes = AWAKE_AND_PAUSED, .last = 1,
      .switches = 1 },
    { "queue_get_1", "get with one asleep who waits for room", run,
      ACT(.before = before_warm, .act = act_get, .kind = PUTTER, .sleepers = 1, .first = 2, .full = true, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_get_last", "get of the last, with one asleep in join", run,
      ACT(.before = before_warm, .act = act_get, .kind = JOINER, .sleepers = 1, .first = 1, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_get_large", "get of a block", run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .size = 6000, .takes = 1), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_get_large_last", "get of the last, a block, with one asleep in join", run,
      ACT(.before = before_warm, .act = act_get, .kind = JOINER, .sleepers = 1, .first = 1, .size = 6000, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_get_segment", "get that leaves a segment", run,
      ACT(.before = before_warm, .act = act_get_many, .first = 6, .size = 2000, .takes = 4), .modes = AWAKE_AND_PAUSED,
      .last = 4, .switches = 1 },
    { "queue_get_many", "get of three at once", run,
      ACT(.before = before_warm, .act = act_get_many, .first = 3, .takes = 3), .modes = AWAKE_AND_PAUSED, .last = 3,
      .switches = 1 },
    { "queue_get_block", "get as a block", run,
      ACT(.before = before_warm, .act = act_get_block, .first = 2, .takes = 1, .leaks = 1), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_get_block_large", "get of a block as it is", run,
      ACT(.before = before_warm, .act = act_get_block, .first = 2, .size = 6000, .takes = 1, .leaks = 1),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_get_wait", "get that waits for a message", run,
      ACT(.before = before_warm, .act = act_get, .kind = GETTER, .takes = 1, .wakes = true), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_get_line", "the same, behind another", run,
      ACT(.before = before_warm, .act = act_get, .kind = GETTER, .sleepers = 1, .takes = 1, .wakes = true),
      .modes = ALL_MODES, .any_result = true },
    { "queue_get_timeout", "get that waits and gives up", run,
      ACT(.before = before_warm, .act = act_get_nap, .kind = GETTER, .takes = 1, .sleeps = true), .modes = ALL_MODES,
      .quick = 150, .any_result = true },
    { "queue_get_try", "get where there is nothing, timeout 0", run,
      ACT(.before = before_warm, .act = act_get_try, .kind = GETTER, .takes = 1), .modes = ALL_MODES, .quick = 150,
      .any_result = true },
    { "queue_get_small", "get into too small a buffer", run,
      ACT(.before = before_warm, .act = act_get_small, .first = 1), .modes = AWAKE_AND_PAUSED },
    { "queue_get_torn", "get after one has died in the middle of his", run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .takes = 1, .torn_get = true), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_get_returned", "get of a message that came back", run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .takes = 1, .borrowed = 1), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_get_buried", "get when one has been borrowed too often", run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .takes = 1, .borrowed = 2, .deliveries = 2),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_get_buried_large", "the same, of blocks", run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .size = 6000, .takes = 1, .borrowed = 2, .deliveries = 2),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_borrow", "borrow", run, ACT(.before = before_warm, .act = act_borrow, .first = 2, .told = true),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_borrow_large", "borrow of a block", run,
      ACT(.before = before_warm, .act = act_borrow, .first = 2, .size = 6000, .told = true), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_borrow_again", "borrow of one that came back", run,
      ACT(.before = before_warm, .act = act_borrow, .first = 2, .borrowed = 1, .told = true), .modes = AWAKE_AND_PAUSED,
      .first = 1, .last = 2, .switches = 1 },
    { "queue_borrow_wait", "borrow that waits, others asleep behind it", run,
      ACT(.before = before_warm, .act = act_borrow, .kind = GETTER, .wakes = true), .modes = ALL_MODES,
      .any_result = true },
    { "queue_done", "done", run, ACT(.before = before_borrowed, .act = act_done, .first = 1, .takes = 1),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_done_1", "done with one asleep in join", run,
      ACT(.before = before_borrowed, .act = act_done, .kind = JOINER, .sleepers = 1, .first = 1, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_borrowed_sleeper", "done with one asleep for a message", run,
      ACT(.before = before_borrowed, .act = act_done, .kind = GETTER, .sleepers = 1, .first = 1, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_close", "close with two asleep for a message", run,
      ACT(.before = before_warm, .act = act_close, .kind = CLOSED, .sleepers = 2), .modes = ALL_MODES },
    { "queue_join", "join that waits", run,
      ACT(.before = before_warm, .act = act_join, .kind = JOINER, .first = 1, .wakes = true), .modes = ALL_MODES },
    { "queue_create", "create with a name", run, ACT(.before = before_warm, .act = act_create, .leaks = 2),
      .modes = AWAKE_ONLY },
    { "queue_destroy", "destroy", run, ACT(.before = before_made, .act = act_destroy, .leaks = 2),
      .modes = AWAKE_ONLY },
    { 0 },
};
