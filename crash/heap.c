/* heap.c: brood_alloc, brood_free and their relatives under the knife.
 *
 * Before the kill blocks with known contents lie about: some of the founder's, some (the kin) of the victim's, beside
 * the block the operation is about. Afterwards a newcomer frees a block of the victim's kin, so that it meets the very
 * part of the heap that the victim worked in, and takes and fills blocks of the same size; then the heap must be whole,
 * no contents may have changed, and the number of blocks must have changed as the operation may change it: by its one
 * block, and for brood_alloc_into and brood_free_from exactly as the pointer says. A block may be lost only to a victim
 * that died in the last few instructions of brood_alloc, when it had the block. A block that changes its size has its
 * contents, as far as they fit, for as long as it is one.
 *
 * A repairer is a second victim: the first is killed in the middle of its operation, the second in what it does about
 * that.
 */
#include "heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LIMIT = 4 << 20,
    TAKEN = 20, /* blocks that a survivor takes */
    HELD_BYTE = 0x5a,
    KIN_BYTE = 0x3c,
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
};

static const size_t held_sizes[HEAP_HELD] = { 16, 48, 100, 1000, 4000, 40000 };

static bool holds(const char *block, size_t size, int byte)
{
    for (size_t i = 0; i < size; i++)
        if (block[i] != (char)byte)
            return false;
    return true;
}

void *heap_filled(size_t size, int byte)
{
    void *block = brood_alloc(size);
    return block ? memset(block, byte, size) : NULL;
}

/* ---- preparations ---- */

void heap_prepare(struct ground *ground, size_t size)
{
    for (int i = 0; i < 3; i++)
        brood_free(brood_alloc(size));
    for (int i = 0; i < HEAP_KIN; i++)
        ground->kin[i] = heap_filled(HEAP_SMALL, KIN_BYTE);
    ground->place = brood_alloc(sizeof *ground->place);
    ground->lock = brood_alloc(sizeof *ground->lock);
}

void heap_before_block(struct ground *ground, size_t size)
{
    heap_prepare(ground, size);
    ground->block = heap_filled(size, HEAP_BYTE);
}

static void before_placed(struct ground *ground, size_t size)
{
    heap_before_block(ground, size);
    *ground->place = ground->block;
}

static uintptr_t span_of(const void *block)
{
    return (uintptr_t)block / HEAP_SPAN;
}

/* Takes blocks until the next one must come from another span than all before it: how many. */
static int fill_span(struct ground *ground, size_t size)
{
    int taken = 0, in_span = 0, changes = 0;
    uintptr_t span = 0;
    while (taken < HEAP_FILLED) {
        void *block = ground->filled[taken++] = brood_alloc(size);
        bool other = span_of(block) != span;
        span = span_of(block);
        if (other && ++changes == 3)
            break; /* the span before was filled from its beginning: so many blocks are in one */
        in_span = other ? 1 : in_span + 1;
    }
    for (int left = in_span - 1; left > 0 && taken < HEAP_FILLED; left--)
        ground->filled[taken++] = brood_alloc(size);
    return taken;
}

static void before_span(struct ground *ground, size_t size)
{
    heap_prepare(ground, size);
    fill_span(ground, size);
}

/* Its span is full, and leaves that state with the free. */
static void before_leave_full(struct ground *ground, size_t size)
{
    heap_prepare(ground, size);
    ground->block = ground->filled[fill_span(ground, size) - 1];
}

/* Its span becomes empty with the free, and is not the only one of its size. */
static void before_leave_empty(struct ground *ground, size_t size)
{
    heap_prepare(ground, size);
    int last = fill_span(ground, size);
    ground->block = brood_alloc(size);
    brood_free(ground->filled[last - 2]);
}

static void before_full(struct ground *ground, size_t size)
{
    heap_prepare(ground, size);
    int i = 0;
    while (i < HEAP_FILLED && (ground->filled[i] = brood_alloc(size)))
        i++;
}

static void before_remote(struct ground *ground, size_t size)
{
    heap_prepare(ground, size);
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

void heap_mend_by_free(struct ground *ground, size_t size)
{
    (void)size;
    brood_free(ground->kin[HEAP_KIN - 1]);
}

/* Both what died making a span, and its arena. */
static void mend_by_trim(struct ground *ground, size_t size)
{
    (void)ground;
    (void)size;
    brood_heap_trim();
}

/* ---- survivors ---- */

static void check_contents(struct scene *scene, const char *who)
{
    struct ground *ground = scene->ground;
    for (int i = 0; i < HEAP_HELD; i++)
        if (ground->held[i] && !holds(ground->held[i], held_sizes[i], HELD_BYTE))
            point_fault(scene->point, POINT_DOUBLED, "%s finds a block of the founder's overwritten", who);
    for (int i = ground->kin_used; i < HEAP_KIN - 1; i++)
        if (ground->kin[i] && !holds(ground->kin[i], HEAP_SMALL, KIN_BYTE))
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
    int wanted = size > HEAP_SPAN ? 2 : TAKEN, got = 0;
    char *taken[TAKEN];
    int kin = ground->kin[0] ? atomic_fetch_add(&ground->kin_used, 1) : HEAP_KIN;
    if (kin < HEAP_KIN - 1) {
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
    if (act->tail && change > 0 && scene->point->mode != POINT_PAUSED &&
        scene->point->index + (size_t)act->tail < scene->point->path->count)
        point_fault(scene->point, POINT_LOST, "a block is lost that had not been handed out yet");
    if (act->whole && brood_block_size(ground->block) > 0 && !holds(ground->block, act->whole, HEAP_BYTE))
        point_fault(scene->point, POINT_TORN, "the block is not as it was");
    if (change < least || change > most)
        point_fault(scene->point, change > most ? POINT_LOST : POINT_TORN,
                    "the number of blocks changed by %d, not %d to %d%s", change, least, most,
                    !act->place      ? ""
                    : *ground->place ? ", and the pointer is set"
                                     : ", and the pointer is NULL");
    if (act->place && *ground->place) {
        if (!holds(*ground->place, act->size, ground->block ? HEAP_BYTE : 0))
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
    brood_free(brood_alloc(HEAP_SMALL));
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
    brood_init_options options = { .limit = LIMIT,
                                   .heap = scene->act->tracked ? BROOD_HEAP_TRACK : BROOD_HEAP_DEFAULT };
    scene->ground = mmap(NULL, sizeof *scene->ground, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (scene->ground == MAP_FAILED || brood_init(&options) < 0) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    for (int i = 0; i < HEAP_HELD && !scene->act->cold; i++)
        if (!(scene->ground->held[i] = heap_filled(held_sizes[i], HELD_BYTE))) {
            point_fault(scene->point, POINT_TORN, "no memory: %s", brood_error());
            return false;
        }
    return true;
}

void heap_run(struct point *point)
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

const struct operation heap_operations[] = {
    { "alloc_first", "the family's first block", heap_run,
      ACT(.size = HEAP_SMALL, .act = act_alloc, .most = 1, .cold = true, .tail = HEAP_TAIL), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "alloc_small", "48 bytes from a span with room", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_prepare, .act = act_alloc, .most = 1, .tail = HEAP_TAIL),
      .modes = ALL_MODES, .whole = true, .last = 1, .switches = 1 },
    { "alloc_span", "4,000 bytes from a fresh span", heap_run,
      ACT(.size = HEAP_WIDE, .before = before_span, .act = act_alloc, .most = 1, .tail = HEAP_TAIL), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "alloc_large", "100 KiB", heap_run,
      ACT(.size = HEAP_LARGE, .before = heap_prepare, .act = act_alloc, .most = 1, .tail = HEAP_TAIL),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "alloc_refused", "4,000 bytes when all is taken", heap_run,
      ACT(.size = HEAP_WIDE, .before = before_full, .act = act_alloc, .refused = true), .modes = ALL_MODES },
    { "alloc_into", "48 bytes and the pointer", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_prepare, .act = act_alloc_into, .place = true), .modes = ALL_MODES,
      .whole = true, .last = 1, .switches = 1 },
    { "alloc_into_locked", "the same under a lock, whose heir takes the pointer away", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_prepare, .act = act_alloc_into_locked, .place = true, .locked = true),
      .modes = AWAKE_ONLY, .whole = true, .last = 1, .switches = 1 },
    { "free_from_locked", "48 bytes and the pointer under a lock, whose heir takes the pointer away", heap_run,
      ACT(.size = HEAP_SMALL, .before = before_placed, .act = act_free_from_locked, .place = true, .locked = true),
      .modes = AWAKE_ONLY, .whole = true, .last = -1, .switches = 1 },
    { "alloc_into_large", "100 KiB and the pointer", heap_run,
      ACT(.size = HEAP_LARGE, .before = heap_prepare, .act = act_alloc_into, .place = true), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "free_small", "48 bytes", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_before_block, .act = act_free, .least = -1), .modes = ALL_MODES,
      .whole = true, .last = -1, .switches = 1 },
    { "free_remote", "48 bytes that another process allocated", heap_run,
      ACT(.size = HEAP_SMALL, .before = before_remote, .act = act_free, .least = -1), .modes = ALL_MODES, .whole = true,
      .last = -1, .switches = 1 },
    { "free_of_full", "4,000 bytes of a full span", heap_run,
      ACT(.size = HEAP_WIDE, .before = before_leave_full, .act = act_free, .least = -1), .modes = ALL_MODES,
      .whole = true, .last = -1, .switches = 1 },
    { "free_last", "the last 4,000 bytes of a span", heap_run,
      ACT(.size = HEAP_WIDE, .before = before_leave_empty, .act = act_free, .least = -1), .modes = ALL_MODES,
      .whole = true, .last = -1, .switches = 1 },
    { "free_large", "100 KiB", heap_run,
      ACT(.size = HEAP_LARGE, .before = heap_before_block, .act = act_free, .least = -1), .modes = ALL_MODES,
      .last = -1, .switches = 1 },
    { "free_from", "48 bytes and the pointer", heap_run,
      ACT(.size = HEAP_SMALL, .before = before_placed, .act = act_free_from, .place = true), .modes = ALL_MODES,
      .whole = true, .last = -1, .switches = 1 },
    { "free_from_large", "100 KiB and the pointer", heap_run,
      ACT(.size = HEAP_LARGE, .before = before_placed, .act = act_free_from, .place = true), .modes = ALL_MODES,
      .last = -1, .switches = 1 },
    { "repair_into_50", "repair after alloc_into died half way", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_prepare, .act = act_alloc_into, .place = true, .repair = 50,
          .mend = heap_mend_by_free),
      .modes = ALL_MODES, .any_result = true },
    { "repair_into_75", "... at three quarters", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_prepare, .act = act_alloc_into, .place = true, .repair = 75,
          .mend = heap_mend_by_free),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_from_50", "repair after free_from died half way", heap_run,
      ACT(.size = HEAP_SMALL, .before = before_placed, .act = act_free_from, .place = true, .repair = 50,
          .mend = heap_mend_by_free),
      .modes = ALL_MODES, .any_result = true },
    { "repair_from_75", "... at three quarters", heap_run,
      ACT(.size = HEAP_SMALL, .before = before_placed, .act = act_free_from, .place = true, .repair = 75,
          .mend = heap_mend_by_free),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_span_60", "repair, by a trim, after alloc_span died making its span", heap_run,
      ACT(.size = HEAP_WIDE, .before = before_span, .act = act_alloc, .most = 1, .repair = 60, .mend = mend_by_trim),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_large_30", "repair, by another such alloc, after alloc_large died", heap_run,
      ACT(.size = HEAP_LARGE, .before = heap_prepare, .act = act_alloc, .most = 2, .repair = 30, .mend = act_alloc),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_free_large_50", "repair, by an alloc, after free_large died", heap_run,
      ACT(.size = HEAP_LARGE, .before = heap_before_block, .act = act_free, .least = -1, .most = 1, .repair = 50,
          .mend = act_alloc),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_alloc_80", "repair after alloc_small died with its block", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_prepare, .act = act_alloc, .least = -1, .most = 1, .repair = 80,
          .mend = heap_mend_by_free),
      .modes = ALL_MODES, .any_result = true },
    { 0 },
};
