/* heap.c: brood_alloc, brood_free and their relatives under the knife.
 *
 * Before the kill blocks with known contents lie about: some of the founder's, some (the kin) of the victim's, beside
 * the block the operation is about. Afterwards a newcomer frees a block of the victim's kin, so that it meets the very
 * part of the heap that the victim worked in, and takes and fills blocks of the same size; then the heap must be whole,
 * no contents may have changed, and the number of blocks must have changed as the operation may change it: by its one
 * block, and for brood_alloc_into and brood_free_from exactly as the pointer says.
 *
 * A repairer is a second victim: the first is killed in the middle of its operation, the second in what it does about
 * that.
 */
#include "point.h"

#include <brood.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LIMIT = 4 << 20,
    SMALL = 48,
    WIDE = 4000, /* few to a span: cheap to fill one */
    LARGE = 100 << 10,
    KIN = 4, /* blocks of the victim that survivors free, one each */
    HELD = 6,
    TAKEN = 20, /* blocks that a survivor takes */
    SPAN = 1 << 16,
    FILLED = 1200, /* blocks that filling a span, or all, may take */
    HELD_BYTE = 0x5a,
    KIN_BYTE = 0x3c,
    BLOCK_BYTE = 0x66,
};

/* Shared by the processes of one point, not in the region: an operation may be the region's very first. */
struct ground {
    void **place;     /* in the region */
    brood_lock *lock; /* of the place, where the operation takes it */
    void *block;      /* what the operation frees, or what it must not lose */
    char *kin[KIN];
    _Atomic int kin_used, kin_freed;
    char *held[HELD];
    void *filled[FILLED];
};

struct act {
    size_t size;
    void (*before)(struct ground *ground, size_t size); /* the victim's preparations; NULL: none at all */
    void (*act)(struct ground *ground, size_t size);
    int least, most; /* by how many the number of blocks may change */
    bool place;      /* the pointer at place tells by how many, exactly... */
    bool locked;     /* the pointer is changed under a lock; who gets that then takes the pointer away */
    bool cold;       /* nothing was ever allocated before */
    bool refused;    /* the heap is full */
    int repair;      /* kill a first victim after so many hundredths of the operation, and `act` by a second... */
    void (*mend)(struct ground *ground, size_t size); /* ... is this */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
};

static const size_t held_sizes[HELD] = { 16, 48, 100, 1000, 4000, 40000 };

static bool holds(const char *block, size_t size, int byte)
{
    for (size_t i = 0; i < size; i++)
        if (block[i] != (char)byte)
            return false;
    return true;
}

static void *filled(size_t size, int byte)
{
    void *block = brood_alloc(size);
    return block ? memset(block, byte, size) : NULL;
}

/* ---- preparations ---- */

static void prepare(struct ground *ground, size_t size)
{
    for (int i = 0; i < 3; i++)
        brood_free(brood_alloc(size));
    for (int i = 0; i < KIN; i++)
        ground->kin[i] = filled(SMALL, KIN_BYTE);
    ground->place = brood_alloc(sizeof *ground->place);
    ground->lock = brood_alloc(sizeof *ground->lock);
}

static void before_block(struct ground *ground, size_t size)
{
    prepare(ground, size);
    ground->block = filled(size, BLOCK_BYTE);
}

static void before_placed(struct ground *ground, size_t size)
{
    before_block(ground, size);
    *ground->place = ground->block;
}

static uintptr_t span_of(const void *block)
{
    return (uintptr_t)block / SPAN;
}

/* Takes blocks until the next one must come from another span than all before it: how many. */
static int fill_span(struct ground *ground, size_t size)
{
    int taken = 0, in_span = 0, changes = 0;
    uintptr_t span = 0;
    while (taken < FILLED) {
        void *block = ground->filled[taken++] = brood_alloc(size);
        bool other = span_of(block) != span;
        span = span_of(block);
        if (other && ++changes == 3)
            break; /* the span before was filled from its beginning: so many blocks are in one */
        in_span = other ? 1 : in_span + 1;
    }
    for (int left = in_span - 1; left > 0 && taken < FILLED; left--)
        ground->filled[taken++] = brood_alloc(size);
    return taken;
}

static void before_span(struct ground *ground, size_t size)
{
    prepare(ground, size);
    fill_span(ground, size);
}

/* Its span is full, and leaves that state with the free. */
static void before_leave_full(struct ground *ground, size_t size)
{
    prepare(ground, size);
    ground->block = ground->filled[fill_span(ground, size) - 1];
}

/* Its span becomes empty with the free, and is not the only one of its size. */
static void before_leave_empty(struct ground *ground, size_t size)
{
    prepare(ground, size);
    int last = fill_span(ground, size);
    ground->block = brood_alloc(size);
    brood_free(ground->filled[last - 2]);
}

static void before_full(struct ground *ground, size_t size)
{
    prepare(ground, size);
    int i = 0;
    while (i < FILLED && (ground->filled[i] = brood_alloc(size)))
        i++;
}

static void before_remote(struct ground *ground, size_t size)
{
    prepare(ground, size);
    ground->block = ground->held[1]; /* the founder's */
    ground->held[1] = NULL;
}

/* ---- operations ---- */

static void act_alloc(struct ground *ground, size_t size)
{
    (void)ground;
    brood_alloc(size);
}

static void act_free(struct ground *ground, size_t size)
{
    (void)size;
    brood_free(ground->block);
}

static void act_alloc_into(struct ground *ground, size_t size)
{
    brood_alloc_into(ground->place, size);
}

static void act_free_from(struct ground *ground, size_t size)
{
    (void)size;
    brood_free_from(ground->place);
}

static void act_alloc_into_locked(struct ground *ground, size_t size)
{
    if (brood_lock_acquire(ground->lock, BROOD_FOREVER) < 0)
        abort();
    brood_alloc_into(ground->place, size);
    brood_lock_release(ground->lock);
}

static void act_free_from_locked(struct ground *ground, size_t size)
{
    (void)size;
    if (brood_lock_acquire(ground->lock, BROOD_FOREVER) < 0)
        abort();
    brood_free_from(ground->place);
    brood_lock_release(ground->lock);
}

static void mend_by_free(struct ground *ground, size_t size)
{
    (void)size;
    brood_free(ground->kin[KIN - 1]);
}

/* ---- survivors ---- */

static void check_contents(struct scene *scene, const char *who)
{
    struct ground *ground = scene->ground;
    for (int i = 0; i < HELD; i++)
        if (ground->held[i] && !holds(ground->held[i], held_sizes[i], HELD_BYTE))
            point_fault(scene->point, POINT_DOUBLED, "%s finds a block of the founder's overwritten", who);
    for (int i = ground->kin_used; i < KIN - 1; i++)
        if (ground->kin[i] && !holds(ground->kin[i], SMALL, KIN_BYTE))
            point_fault(scene->point, POINT_DOUBLED, "%s finds a block of the victim's overwritten", who);
}

static void free_well(struct scene *scene, void *block, const char *who)
{
    errno = 0;
    brood_free(block);
    if (errno == EINVAL)
        point_fault(scene->point, POINT_TORN, "%s cannot free: %s", who, brood_error());
}

static void use(struct scene *scene, const char *who)
{
    struct ground *ground = scene->ground;
    size_t size = scene->act->size;
    int wanted = size > SPAN ? 2 : TAKEN, got = 0;
    char *taken[TAKEN];
    int kin = ground->kin[0] ? atomic_fetch_add(&ground->kin_used, 1) : KIN;
    if (kin < KIN - 1) {
        free_well(scene, ground->kin[kin], who);
        atomic_fetch_add(&ground->kin_freed, 1);
    }
    for (; got < wanted; got++) {
        taken[got] = brood_alloc(size);
        if (!taken[got])
            break;
        if (!holds(taken[got], size, 0))
            point_fault(scene->point, POINT_DOUBLED, "%s is given a block that is not zeroed", who);
        memset(taken[got], got + 1, size);
    }
    point_served(scene->point);
    if (got < wanted && !scene->act->refused)
        point_fault(scene->point, POINT_LOST, "%s is refused a block: %s", who, brood_error());
    check_contents(scene, who);
    for (int i = 0; i < got; i++) {
        if (!holds(taken[i], size, i + 1))
            point_fault(scene->point, POINT_DOUBLED, "%s is given a block twice", who);
        free_well(scene, taken[i], who);
    }
}

static void use_asleep(void *context)
{
    use(context, "a sleeper");
}

static void use_after(void *context)
{
    use(context, "a newcomer");
}

static void check_heap(struct scene *scene)
{
    if (brood_heap_check() < 0)
        point_fault(scene->point, POINT_TORN, "%s", brood_error());
}

/* By how many the number of blocks changed, against what the operation may do. */
static void check_account(struct scene *scene, size_t before)
{
    const struct act *act = scene->act;
    struct ground *ground = scene->ground;
    brood_heap_stats stats;
    if (brood_heap_stat(&stats) < 0) {
        point_fault(scene->point, POINT_TORN, "%s", brood_error());
        return;
    }
    int change = (int)(stats.blocks + (size_t)ground->kin_freed) - (int)before;
    scene->point->result = change;
    int least = act->least, most = act->most;
    if (act->place) {
        bool set = *ground->place;
        least = most = ground->block ? (set ? 0 : -1) : (set ? 1 : 0);
        least -= act->repair ? 1 : 0; /* what the repairer was to free */
    }
    if (change < least || change > most)
        point_fault(scene->point, change > most ? POINT_LOST : POINT_TORN,
                    "the number of blocks changed by %d, not %d to %d%s", change, least, most,
                    !act->place      ? ""
                    : *ground->place ? ", and the pointer is set"
                                     : ", and the pointer is NULL");
    if (act->place && *ground->place) {
        if (!holds(*ground->place, act->size, ground->block ? BLOCK_BYTE : 0))
            point_fault(scene->point, POINT_TORN, "the block that the pointer leads to is not as it was");
        free_well(scene, *ground->place, "the founder");
    }
}

/* What an heir may do at once: it has the lock, so the pointer is its own, and the heap must have made up its mind. */
static void *take_away(struct scene *scene)
{
    struct ground *ground = scene->ground;
    if (brood_lock_acquire(ground->lock, SURVIVOR_MS) < 0) {
        point_fault(scene->point, POINT_STUCK, "the heir does not get the lock: %s", brood_error());
        return NULL;
    }
    void *taken = *ground->place;
    *ground->place = NULL;
    if (brood_lock_release(ground->lock) < 0)
        point_fault(scene->point, POINT_TORN, "the heir cannot release: %s", brood_error());
    return taken;
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    if (scene->act->before)
        scene->act->before(scene->ground, scene->act->size);
    step_begin();
    scene->act->act(scene->ground, scene->act->size);
    step_end();
}

static void run_repairer(void *context)
{
    struct scene *scene = context;
    brood_free(brood_alloc(SMALL));
    step_begin();
    scene->act->mend(scene->ground, scene->act->size);
    step_end();
}

/* Leads the first victim to its own point of death, which every run finds by the same count of steps. False: that
 * count was taken, and the path is to be recorded now. */
static bool kill_first(struct point *point, const struct act *act, step_tracee *victim)
{
    long steps = 0;
    point->again = point->note[0] == 0;
    while (point->again || steps < point->note[0]) { /* the first time: how long is it? */
        if (step_run(victim, true, SETTLE_MS) != STEP_STOPPED)
            break;
        steps++;
    }
    if (point->again)
        point->note[0] = steps * act->repair / 100;
    step_kill(victim);
    return !point->again;
}

static bool prepare_family(struct scene *scene)
{
    scene->ground = mmap(NULL, sizeof *scene->ground, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (scene->ground == MAP_FAILED || brood_init(&(brood_init_options){ .limit = LIMIT }) < 0) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    for (int i = 0; i < HELD && !scene->act->cold; i++)
        if (!(scene->ground->held[i] = filled(held_sizes[i], HELD_BYTE))) {
            point_fault(scene->point, POINT_TORN, "no memory: %s", brood_error());
            return false;
        }
    return true;
}

static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    brood_heap_stats stats;
    pid_t sleeper = 0;
    if (!prepare_family(&scene) || !point_victim(point, &victim, run_victim, &scene))
        return;
    if (brood_heap_stat(&stats) < 0)
        point_fault(point, POINT_TORN, "%s", brood_error());
    if (scene.act->repair &&
        (!kill_first(point, scene.act, &victim) || !point_victim(point, &victim, run_repairer, &scene)))
        return;
    if (!point_lead(point, &victim, NULL, NULL))
        return;
    if (point->mode != POINT_AWAKE) {
        sleeper = point_survivor(use_asleep, &scene);
        if (sleeper < 0 || !point_settle(sleeper))
            point_fault(point, POINT_TORN, "a sleeper neither sleeps nor ends");
    }
    if (point->mode == POINT_PAUSED)
        point_go_on(point, &victim);
    point_kill(point, &victim);
    void *taken = scene.act->locked ? take_away(&scene) : NULL;
    if (sleeper > 0)
        point_join(point, sleeper, "a sleeper", SURVIVOR_MS);
    if (point->index % 2) /* the heap's own walk repairs too: who comes first alternates */
        check_heap(&scene);
    pid_t newcomer = point_survivor(use_after, &scene);
    if (newcomer > 0)
        point_join(point, newcomer, "a newcomer", SURVIVOR_MS);
    check_heap(&scene);
    if (scene.act->locked)
        *scene.ground->place = taken;
    check_account(&scene, stats.blocks);
    use(&scene, "the founder");
    check_heap(&scene);
}

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation heap_operations[] = {
    { "alloc_first", "the family's first block", run, ACT(.size = SMALL, .act = act_alloc, .most = 1, .cold = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "alloc_small", "48 bytes from a span with room", run,
      ACT(.size = SMALL, .before = prepare, .act = act_alloc, .most = 1), .modes = ALL_MODES, .whole = true, .last = 1,
      .switches = 1 },
    { "alloc_span", "4,000 bytes from a fresh span", run,
      ACT(.size = WIDE, .before = before_span, .act = act_alloc, .most = 1), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "alloc_large", "100 KiB", run, ACT(.size = LARGE, .before = prepare, .act = act_alloc, .most = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "alloc_refused", "4,000 bytes when all is taken", run,
      ACT(.size = WIDE, .before = before_full, .act = act_alloc, .refused = true), .modes = ALL_MODES },
    { "alloc_into", "48 bytes and the pointer", run,
      ACT(.size = SMALL, .before = prepare, .act = act_alloc_into, .place = true), .modes = ALL_MODES, .whole = true,
      .last = 1, .switches = 1 },
    { "alloc_into_locked", "the same under a lock, whose heir takes the pointer away", run,
      ACT(.size = SMALL, .before = prepare, .act = act_alloc_into_locked, .place = true, .locked = true),
      .modes = AWAKE_ONLY, .whole = true, .last = 1, .switches = 1 },
    { "free_from_locked", "48 bytes and the pointer under a lock, whose heir takes the pointer away", run,
      ACT(.size = SMALL, .before = before_placed, .act = act_free_from_locked, .place = true, .locked = true),
      .modes = AWAKE_ONLY, .whole = true, .last = -1, .switches = 1 },
    { "alloc_into_large", "100 KiB and the pointer", run,
      ACT(.size = LARGE, .before = prepare, .act = act_alloc_into, .place = true), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "free_small", "48 bytes", run, ACT(.size = SMALL, .before = before_block, .act = act_free, .least = -1),
      .modes = ALL_MODES, .whole = true, .last = -1, .switches = 1 },
    { "free_remote", "48 bytes that another process allocated", run,
      ACT(.size = SMALL, .before = before_remote, .act = act_free, .least = -1), .modes = ALL_MODES, .whole = true,
      .last = -1, .switches = 1 },
    { "free_of_full", "4,000 bytes of a full span", run,
      ACT(.size = WIDE, .before = before_leave_full, .act = act_free, .least = -1), .modes = ALL_MODES, .whole = true,
      .last = -1, .switches = 1 },
    { "free_last", "the last 4,000 bytes of a span", run,
      ACT(.size = WIDE, .before = before_leave_empty, .act = act_free, .least = -1), .modes = ALL_MODES, .whole = true,
      .last = -1, .switches = 1 },
    { "free_large", "100 KiB", run, ACT(.size = LARGE, .before = before_block, .act = act_free, .least = -1),
      .modes = ALL_MODES, .last = -1, .switches = 1 },
    { "free_from", "48 bytes and the pointer", run,
      ACT(.size = SMALL, .before = before_placed, .act = act_free_from, .place = true), .modes = ALL_MODES,
      .whole = true, .last = -1, .switches = 1 },
    { "free_from_large", "100 KiB and the pointer", run,
      ACT(.size = LARGE, .before = before_placed, .act = act_free_from, .place = true), .modes = ALL_MODES, .last = -1,
      .switches = 1 },
    { "repair_into_50", "repair after alloc_into died half way", run,
      ACT(.size = SMALL, .before = prepare, .act = act_alloc_into, .place = true, .repair = 50, .mend = mend_by_free),
      .modes = ALL_MODES, .any_result = true },
    { "repair_into_75", "... at three quarters", run,
      ACT(.size = SMALL, .before = prepare, .act = act_alloc_into, .place = true, .repair = 75, .mend = mend_by_free),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_from_50", "repair after free_from died half way", run,
      ACT(.size = SMALL, .before = before_placed, .act = act_free_from, .place = true, .repair = 50,
          .mend = mend_by_free),
      .modes = ALL_MODES, .any_result = true },
    { "repair_from_75", "... at three quarters", run,
      ACT(.size = SMALL, .before = before_placed, .act = act_free_from, .place = true, .repair = 75,
          .mend = mend_by_free),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_span_60", "repair after alloc_span died", run,
      ACT(.size = WIDE, .before = before_span, .act = act_alloc, .least = -1, .most = 1, .repair = 60,
          .mend = mend_by_free),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_large_30", "repair, by another such alloc, after alloc_large died", run,
      ACT(.size = LARGE, .before = prepare, .act = act_alloc, .most = 2, .repair = 30, .mend = act_alloc),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_free_large_50", "repair, by an alloc, after free_large died", run,
      ACT(.size = LARGE, .before = before_block, .act = act_free, .least = -1, .most = 1, .repair = 50,
          .mend = act_alloc),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { 0 },
};
