/* rwlock.c: brood_rwlock under the knife.
 *
 * It guards two counters that only a writer may find unequal, and only if it was told BROOD_INHERITED. What the first
 * survivor is told says when the operation became true, as for a lock; for a reader that is never: no survivor hears
 * of a dead one. In the end its memory must be given back whole, the readers' seats included.
 */
#include "point.h"

#include <brood.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    SLEEPERS = 3,
    SEATS = 8, /* of the first block, where there are no more processors */
    CROWD = 64,
    RESULTS = 16,
    NAP_MS = 3,
    LONG_NAP_MS = 25,
    LINGER_US = 3000,
    LIMIT = 1 << 20
};

/* In the region. */
struct ground {
    brood_rwlock rwlock;
    brood_rwlock other; /* to warm up with */
    int nap_ms;
    long first, second;
    _Atomic int readers, writers; /* survivors that are inside */
    _Atomic int crowd;
    _Atomic int passed;
    _Atomic int deceived; /* the victim read what was half written */
    int result[RESULTS];  /* what each who passed was told, in their order */
};

typedef enum holding { HOLDS_NOTHING, HOLDS_TO_READ, HOLDS_TO_WRITE } holding;

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    void (*mend)(struct ground *ground); /* what a second victim does... */
    int repair;                          /* ... after a first was killed after so many hundredths of `act` */
    int sleepers;                        /* that wait before the operation begins: writers and readers in turn */
    int crowd;                           /* processes that read until the victim is killed; those before it die too */
    bool dead_reader, inherited;         /* a reader, a writer has died before it begins */
    holding held;                        /* by the point's process, until the victim sleeps... */
    holding held_on;                     /* ... or is killed */
    bool first;                          /* its seats are still to be made */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper[SLEEPERS], crowd[CROWD];
    int sleepers, crowded;
    bool holding;
    size_t blocks;
};

/* ---- survivors ---- */

static void write_inside(struct scene *scene, const char *who, int told)
{
    struct ground *ground = scene->ground;
    if (scene->point->record) /* the sleepers are killed then, wherever they are */
        return;
    if (atomic_fetch_add(&ground->writers, 1) != 0 || atomic_load(&ground->readers) != 0)
        point_fault(scene->point, POINT_DOUBLED, "%s writes and is not alone", who);
    if (ground->first != ground->second && told == 0)
        point_fault(scene->point, POINT_TORN, "%s was not told that %ld is not %ld", who, ground->first,
                    ground->second);
    if (scene->point->mode == POINT_PAUSED) { /* so that the victim, when it goes on, finds a writer inside */
        ground->first++;
        nanosleep(&(struct timespec){ .tv_nsec = LINGER_US * 1000 }, NULL);
    }
    ground->second = ground->first;
    atomic_fetch_sub(&ground->writers, 1);
}

static void read_inside(struct scene *scene, const char *who)
{
    struct ground *ground = scene->ground;
    atomic_fetch_add(&ground->readers, 1);
    if (atomic_load(&ground->writers) != 0)
        point_fault(scene->point, POINT_DOUBLED, "%s reads while somebody writes", who);
    if (ground->first != ground->second)
        point_fault(scene->point, POINT_TORN, "%s reads that %ld is not %ld", who, ground->first, ground->second);
    atomic_fetch_sub(&ground->readers, 1);
}

/* Through it once, as everyone who survives must be able to. */
static void pass(struct scene *scene, bool writes, const char *who)
{
    struct ground *ground = scene->ground;
    int told = (writes ? brood_rwlock_acquire_write : brood_rwlock_acquire_read)(&ground->rwlock, SURVIVOR_MS);
    if (told < 0) {
        point_fault(scene->point, told == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "%s cannot acquire: %s", who,
                    brood_error());
        return;
    }
    point_served(scene->point);
    if (writes || told == BROOD_INHERITED)
        write_inside(scene, who, told);
    else
        read_inside(scene, who);
    int passed = atomic_fetch_add(&ground->passed, 1);
    if (passed < RESULTS)
        ground->result[passed] = told;
    if (brood_rwlock_release(&ground->rwlock) < 0)
        point_fault(scene->point, POINT_TORN, "%s cannot release: %s", who, brood_error());
}

static void write_asleep(void *context)
{
    pass(context, true, "a sleeping writer");
}

static void read_asleep(void *context)
{
    pass(context, false, "a sleeping reader");
}

static void write_after(void *context)
{
    pass(context, true, "a new writer");
}

static void read_after(void *context)
{
    pass(context, false, "a new reader");
}

static void add_sleeper(struct scene *scene)
{
    bool reads = (scene->sleepers + (scene->act->sleepers == 0 && scene->point->index % 2)) % 2;
    pid_t pid = point_survivor(reads ? read_asleep : write_asleep, scene);
    scene->sleeper[scene->sleepers++] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a sleeper neither sleeps nor ends");
}

static void newcomer(struct scene *scene, void (*body)(void *context))
{
    pid_t pid = point_survivor(body, scene);
    if (pid > 0)
        point_join(scene->point, pid, "a newcomer", SURVIVOR_MS + 500);
}

static void disperse(struct scene *scene)
{
    for (; scene->crowded > 0; scene->crowded--) {
        step_tracee one = { .pid = scene->crowd[scene->crowded - 1] };
        step_kill(&one);
    }
}

static void release_held(struct scene *scene)
{
    if (scene->holding && brood_rwlock_release(&scene->ground->rwlock) < 0)
        point_fault(scene->point, POINT_TORN, "the holder cannot release: %s", brood_error());
    scene->holding = false;
}

/* The victim waits: now its wish comes true, and who else waits has come after it. */
static bool let_go(void *context)
{
    struct scene *scene = context;
    if (scene->act->held_on)
        return true; /* its own timeout ends it */
    if (!scene->holding && !scene->crowded)
        return false;
    if (scene->point->mode != POINT_AWAKE && !scene->point->record)
        add_sleeper(scene);
    disperse(scene);
    release_held(scene);
    return true;
}

/* ---- the victim ---- */

static void act_read(struct ground *ground)
{
    brood_rwlock_acquire_read(&ground->rwlock, BROOD_FOREVER);
}

static void act_read_try(struct ground *ground)
{
    brood_rwlock_acquire_read(&ground->rwlock, 0);
}

static void act_read_nap(struct ground *ground)
{
    brood_rwlock_acquire_read(&ground->rwlock, ground->nap_ms);
}

static void act_write(struct ground *ground)
{
    brood_rwlock_acquire_write(&ground->rwlock, BROOD_FOREVER);
}

static void act_write_try(struct ground *ground)
{
    brood_rwlock_acquire_write(&ground->rwlock, 0);
}

static void act_write_nap(struct ground *ground)
{
    brood_rwlock_acquire_write(&ground->rwlock, ground->nap_ms);
}

static void act_release(struct ground *ground)
{
    brood_rwlock_release(&ground->rwlock);
}

static void act_abandon(struct ground *ground)
{
    brood_rwlock_abandon(&ground->rwlock);
}

static void act_look(struct ground *ground)
{
    if (brood_rwlock_acquire_read(&ground->rwlock, BROOD_FOREVER) != 0)
        return;
    long first = ground->first;
    __asm__ volatile("" ::: "memory"); /* the two must be two loads */
    if (first != ground->second)
        atomic_store(&ground->deceived, 1);
    brood_rwlock_release(&ground->rwlock);
}

static void act_section(struct ground *ground)
{
    if (brood_rwlock_acquire_write(&ground->rwlock, BROOD_FOREVER) < 0)
        return;
    ground->first++;
    __asm__ volatile("" ::: "memory"); /* the two must be two stores */
    ground->second++;
    brood_rwlock_release(&ground->rwlock);
}

static void act_init(struct ground *ground)
{
    brood_rwlock_init(&ground->rwlock, &(brood_name_options){ .name = "accounts" });
}

static void act_fini(struct ground *ground)
{
    brood_rwlock_fini(&ground->rwlock);
}

static void before_cold(struct ground *ground)
{
    (void)ground;
}

static void before_warm(struct ground *ground)
{
    for (int i = 0; i < 3; i++) {
        if (brood_rwlock_acquire_read(&ground->other, 0) >= 0)
            brood_rwlock_release(&ground->other);
        if (brood_rwlock_acquire_write(&ground->other, 0) >= 0)
            brood_rwlock_release(&ground->other);
    }
    brood_free(brood_alloc(16));
}

static void before_read(struct ground *ground)
{
    before_warm(ground);
    act_read(ground);
}

static void before_write(struct ground *ground)
{
    before_warm(ground);
    act_write(ground);
}

static void before_named(struct ground *ground)
{
    before_warm(ground);
    act_init(ground);
    act_read(ground);
    act_release(ground);
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    scene->act->before(scene->ground);
    step_begin();
    scene->act->act(scene->ground);
    step_end();
}

static void run_repairer(void *context)
{
    struct scene *scene = context;
    before_warm(scene->ground);
    step_begin();
    scene->act->mend(scene->ground);
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

/* ---- the scene ---- */

static void die_writing(void *context)
{
    act_write(((struct scene *)context)->ground);
    _exit(0); /* with it: as dead as killed, to the next */
}

static void die_reading(void *context)
{
    act_read(((struct scene *)context)->ground);
    _exit(0);
}

static void crowd_in(void *context)
{
    struct ground *ground = ((struct scene *)context)->ground;
    if (brood_rwlock_acquire_read(&ground->rwlock, 0) < 0)
        _exit(1);
    atomic_fetch_add(&ground->crowd, 1);
    for (;;)
        pause();
}

static void gather(struct scene *scene)
{
    for (; scene->crowded < scene->act->crowd; scene->crowded++) {
        pid_t pid = point_child(crowd_in, scene);
        scene->crowd[scene->crowded] = pid;
        if (pid < 0 || !point_settle(pid))
            point_fault(scene->point, POINT_TORN, "one of the crowd does not sit down");
    }
    if (atomic_load(&scene->ground->crowd) != scene->crowded)
        point_fault(scene->point, POINT_TORN, "%d of %d sit", atomic_load(&scene->ground->crowd), scene->crowded);
}

static bool one_dies(struct scene *scene, void (*body)(void *context))
{
    pid_t pid = point_child(body, scene);
    return pid >= 0 && point_join(scene->point, pid, "one that was there before", SETTLE_MS);
}

static bool prepare(struct scene *scene)
{
    const struct act *act = scene->act;
    brood_heap_stats stats;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 ||
        !(scene->ground = brood_alloc(sizeof(struct ground)))) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    before_warm(scene->ground);
    if (brood_heap_stat(&stats) < 0)
        return false;
    scene->blocks = stats.blocks;
    /* Long enough for a victim to be stepped, or to be found asleep; otherwise every point would wait that long. */
    scene->ground->nap_ms = scene->point->record || scene->point->inside ? LONG_NAP_MS : NAP_MS;
    if (!act->first) {
        act_read(scene->ground);
        act_release(scene->ground);
    }
    gather(scene);
    if ((act->dead_reader && !one_dies(scene, die_reading)) || (act->inherited && !one_dies(scene, die_writing)))
        return false;
    holding wanted = act->held ? act->held : act->held_on;
    if (wanted) {
        act_write_try(scene->ground);
        if (wanted == HOLDS_TO_READ) {
            act_release(scene->ground);
            act_read_try(scene->ground);
        }
        scene->holding = true;
    }
    return true;
}

static void check_end(struct scene *scene)
{
    brood_heap_stats stats;
    if (brood_rwlock_readers(&scene->ground->rwlock) != 0 || brood_rwlock_holder(&scene->ground->rwlock) != 0)
        point_fault(scene->point, POINT_TORN, "somebody holds it still");
    if (atomic_load(&scene->ground->deceived))
        point_fault(scene->point, POINT_TORN, "the victim read what was half written");
    if (brood_rwlock_fini(&scene->ground->rwlock) < 0)
        point_fault(scene->point, POINT_TORN, "it cannot be ended: %s", brood_error());
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (stats.blocks != scene->blocks)
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", scene->blocks, stats.blocks);
}

static void survive(struct scene *scene, step_tracee *victim)
{
    struct point *point = scene->point;
    if (point->mode != POINT_AWAKE && scene->sleepers == scene->act->sleepers)
        add_sleeper(scene);
    if (point->mode == POINT_PAUSED) {
        release_held(scene);
        disperse(scene);
        point_go_on(point, victim);
    }
    point_kill(point, victim);
    release_held(scene);
    disperse(scene);
    for (int i = 0; i < scene->sleepers; i++)
        point_join(point, scene->sleeper[i], "a sleeper", SURVIVOR_MS + 500);
    newcomer(scene, point->index % 2 ? read_after : write_after);
    newcomer(scene, point->index % 2 ? write_after : read_after);
    pass(scene, true, "the founder");
    check_end(scene);
    point->result = scene->ground->result[0];
    if (scene->ground->passed != scene->sleepers + 3)
        point_fault(point, POINT_LOST, "%d passed of %d", scene->ground->passed, scene->sleepers + 3);
}

static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    if (!prepare(&scene) || !point_victim(point, &victim, run_victim, &scene))
        return;
    if (scene.act->repair &&
        (!kill_first(point, scene.act, &victim) || !point_victim(point, &victim, run_repairer, &scene)))
        return;
    for (int i = 0; i < scene.act->sleepers; i++)
        add_sleeper(&scene);
    if (point_lead(point, &victim, let_go, &scene)) {
        survive(&scene, &victim);
        return;
    }
    disperse(&scene);
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

const struct operation rwlock_operations[] = {
    { "rwlock_read", "acquire to read of a free one", run, ACT(.before = before_warm, .act = act_read),
      .modes = ALL_MODES, .quick = 30 },
    { "rwlock_read_first", "the first reader, who makes the seats", run,
      ACT(.before = before_warm, .act = act_read, .first = true), .modes = ALL_MODES, .quick = 30 },
    { "rwlock_read_cold", "the same, a process' first call", run,
      ACT(.before = before_cold, .act = act_read, .first = true), .modes = ALL_MODES, .long_only = true },
    { "rwlock_read_more", "a reader who finds no free seat, and adds some", run,
      ACT(.before = before_warm, .act = act_read, .crowd = SEATS), .modes = ALL_MODES, .quick = 30 },
    { "rwlock_read_wait", "a reader who sleeps behind a writer and is woken", run,
      ACT(.before = before_warm, .act = act_read, .held = HOLDS_TO_WRITE), .modes = ALL_MODES, .quick = 30 },
    { "rwlock_read_behind", "a reader who sleeps behind a writer that waits for readers", run,
      ACT(.before = before_warm, .act = act_read, .crowd = 2, .sleepers = 1), .modes = ALL_MODES, .quick = 30 },
    { "rwlock_read_timeout", "a reader who sleeps behind a writer and gives up", run,
      ACT(.before = before_warm, .act = act_read_nap, .held_on = HOLDS_TO_WRITE), .modes = ALL_MODES, .quick = 100 },
    { "rwlock_read_try", "a reader, timeout 0, behind a writer", run,
      ACT(.before = before_warm, .act = act_read_try, .held_on = HOLDS_TO_WRITE), .modes = ALL_MODES, .quick = 100 },
    { "rwlock_read_inherit", "a reader who inherits from a writer", run,
      ACT(.before = before_warm, .act = act_read, .inherited = true), .modes = ALL_MODES, .quick = 30, .first = 1,
      .last = 1 },
    { "rwlock_read_release", "a reader's release that nobody waits for", run,
      ACT(.before = before_read, .act = act_release), .modes = ALL_MODES, .quick = 30 },
    { "rwlock_read_release_1", "... with a writer asleep", run,
      ACT(.before = before_read, .act = act_release, .sleepers = 1), .modes = ALL_MODES, .quick = 30 },
    { "rwlock_read_release_2", "... and a reader behind it", run,
      ACT(.before = before_read, .act = act_release, .sleepers = 2), .modes = ALL_MODES, .quick = 30 },
    { "rwlock_look", "acquire, read what is guarded, release", run, ACT(.before = before_warm, .act = act_look),
      .modes = ALL_MODES, .quick = 30 },
    { "rwlock_write", "acquire to write of a free one", run, ACT(.before = before_warm, .act = act_write),
      .modes = ALL_MODES, .quick = 30, .last = 1, .switches = 1 },
    { "rwlock_write_first", "... that has no seats yet", run,
      ACT(.before = before_warm, .act = act_write, .first = true), .modes = ALL_MODES, .quick = 30, .last = 1,
      .switches = 1 },
    { "rwlock_write_seat", "... whose last reader has died", run,
      ACT(.before = before_warm, .act = act_write, .dead_reader = true), .modes = ALL_MODES, .quick = 100, .last = 1,
      .switches = 1 },
    { "rwlock_write_wait", "a writer who sleeps behind another and is woken", run,
      ACT(.before = before_warm, .act = act_write, .held = HOLDS_TO_WRITE), .modes = ALL_MODES, .quick = 30, .last = 1,
      .switches = 1 },
    { "rwlock_write_await", "a writer who sleeps until a reader has left", run,
      ACT(.before = before_warm, .act = act_write, .held = HOLDS_TO_READ), .modes = ALL_MODES, .quick = 30, .last = 1,
      .switches = 1 },
    { "rwlock_write_timeout", "a writer who waits for a reader and gives up", run,
      ACT(.before = before_warm, .act = act_write_nap, .held_on = HOLDS_TO_READ), .modes = ALL_MODES, .quick = 150 },
    { "rwlock_write_try", "a writer, timeout 0, that finds a reader", run,
      ACT(.before = before_warm, .act = act_write_try, .held_on = HOLDS_TO_READ), .modes = ALL_MODES, .quick = 150 },
    { "rwlock_write_inherit", "a writer who inherits from another", run,
      ACT(.before = before_warm, .act = act_write, .inherited = true), .modes = ALL_MODES, .quick = 30, .first = 1,
      .last = 1 },
    { "rwlock_section", "acquire, change what is guarded, release", run, ACT(.before = before_warm, .act = act_section),
      .modes = ALL_MODES, .quick = 30, .switches = 2 },
    { "rwlock_release", "a writer's release that nobody waits for", run,
      ACT(.before = before_write, .act = act_release), .modes = ALL_MODES, .quick = 30, .first = 1, .switches = 1 },
    { "rwlock_release_2", "... with a writer and a reader asleep", run,
      ACT(.before = before_write, .act = act_release, .sleepers = 2), .modes = ALL_MODES, .quick = 30, .first = 1,
      .switches = 1 },
    { "rwlock_mend", "release of what was inherited", run,
      ACT(.before = before_write, .act = act_release, .inherited = true), .modes = ALL_MODES, .quick = 30, .first = 1,
      .switches = 1 },
    { "rwlock_abandon", "abandon that nobody waits for", run, ACT(.before = before_write, .act = act_abandon),
      .modes = ALL_MODES, .quick = 30, .first = 1, .last = 1 },
    { "rwlock_abandon_2", "abandon with a writer and a reader asleep", run,
      ACT(.before = before_write, .act = act_abandon, .sleepers = 2), .modes = ALL_MODES, .quick = 30, .first = 1,
      .last = 1 },
    { "rwlock_init", "init with a name", run, ACT(.before = before_warm, .act = act_init, .first = true),
      .modes = AWAKE_ONLY, .quick = 30 },
    { "rwlock_fini", "fini of a named one with seats", run, ACT(.before = before_named, .act = act_fini, .first = true),
      .modes = AWAKE_ONLY, .quick = 30 },
    { "rwlock_remake_40", "a reader, after another died who was making the seats", run,
      ACT(.before = before_warm, .act = act_read, .first = true, .repair = 40, .mend = act_read), .modes = ALL_MODES },
    { "rwlock_remake_80", "... at four fifths", run,
      ACT(.before = before_warm, .act = act_read, .first = true, .repair = 80, .mend = act_read), .modes = ALL_MODES,
      .long_only = true },
    { "rwlock_reinherit_50", "a reader, after an heir died on its way in", run,
      ACT(.before = before_warm, .act = act_write, .inherited = true, .repair = 50, .mend = act_read),
      .modes = ALL_MODES, .first = 1, .last = 1 },
    { "rwlock_rewrite_50", "a writer, after another died who waited for readers' seats", run,
      ACT(.before = before_warm, .act = act_write, .dead_reader = true, .repair = 50, .mend = act_write),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { 0 },
};
