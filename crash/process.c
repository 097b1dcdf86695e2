/* process.c: starts and ends of processes under the knife: the starter, the child, the fork server.
 *
 * A starter as victim is a child of the point's process, which looks afterwards whether the family lives on. When a
 * child or a server is the victim, a survivor is its starter, and the point's process traces from outside: it takes a
 * child at its birth, from its starter's or server's fork on, and a server in its sleep or at its launch.
 *
 * The account: a start that a killed server was asked for has one process all the same; a child that was killed is
 * reported as killed, by the start or by the join; whatever a dead starter began is gone with it.
 */
#include "point.h"

#include <brood.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LIMIT = 4 << 20,
    CODE = 7,
    STARTER_MS = 40000,
    TERM_MS = 20,
    LEFT_BLOCKS = 4, /* of a killed starter: the tickets of its child and its server, and what it held beside them */
};

/* In the region. */
struct stage {
    _Atomic unsigned go;       /* futex word: the starter may start */
    _Atomic unsigned released; /* futex word: the starter may make sure that all is well again */
    _Atomic unsigned leave;    /* futex word: the child may go to its end */
    _Atomic int ready;         /* the starter waits for `go` */
    _Atomic int child;         /* pid of one that waits for `leave` */
    _Atomic int runs;          /* of the function that is counted */
    _Atomic int right;         /* the victim's own call did what it should */
};

struct scene;

struct act {
    brood_start method;
    bool cold;                                         /* the fork server is not there before */
    void (*body)(struct scene *);                      /* of a starter that is the victim */
    brood_target *target;                              /* else: what the survivor starts... */
    bool (*take)(struct scene *, step_tracee *victim); /* ... and how the victim is halted where its path begins */
    bool server; /* the server is the victim: the start must come to its end all the same */
    bool closed; /* the starter has a child that runs, and whose handle it closed */
};

struct scene {
    struct point *point;
    const struct act *act;
    pid_t starter;
};

static struct stage *stage;

static void await(_Atomic unsigned *word)
{
    while (!atomic_load(word))
        syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void signal_all(_Atomic unsigned *word)
{
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* ---- what the children do; in a spawned one `stage` is not set, so each gets it ---- */

static int quick(void *arg)
{
    (void)arg;
    return CODE;
}

static int counted(void *arg)
{
    struct stage *its = arg;
    atomic_fetch_add(&its->runs, 1);
    return CODE;
}

static int linger(void *arg)
{
    struct stage *its = arg;
    atomic_fetch_add(&its->runs, 1);
    while (pause())
        continue;
    return CODE;
}

/* The end of a birth. */
static int born(void *arg)
{
    (void)arg;
    step_end();
    return CODE;
}

static int held(void *arg)
{
    struct stage *its = arg;
    atomic_store(&its->child, getpid());
    await(&its->leave);
    return CODE;
}

static int leaver(void *arg)
{
    held(arg);
    step_begin();
    return CODE;
}

/* ---- starts and joins ---- */

static brood_process *start(const struct scene *scene, brood_target *target)
{
    /* With something to set up, so that the child's answer is part of it. */
    const brood_process_options options = { .start = scene->act->method, .directory = "/" };
    return brood_process_start(target, stage, 0, &options);
}

static void start_and_join(const struct scene *scene, const char *who)
{
    brood_end end = { 0 };
    brood_process *process = start(scene, quick);
    if (!process)
        point_fault(scene->point, POINT_TORN, "%s cannot start: %s", who, brood_error());
    else if (brood_process_join(process, &end, SETTLE_MS) < 0)
        point_fault(scene->point, POINT_STUCK, "%s cannot join: %s", who, brood_error());
    else if (end.how != BROOD_FAILED || end.code != CODE)
        point_fault(scene->point, POINT_TORN, "%s's own process: %s", who, end.why);
    if (process && brood_process_close(process) < 0)
        point_fault(scene->point, POINT_TORN, "%s cannot close: %s", who, brood_error());
}

/* Another one's, while the victim stands still: it may have to wait for a latch of the victim's. */
static void call_meanwhile(void *context)
{
    const struct scene *scene = context;
    start_and_join(scene, "another");
    if (brood_fini() < 0)
        point_fault(scene->point, POINT_TORN, "another's end: %s", brood_error());
}

static pid_t begin_meanwhile(struct scene *scene)
{
    pid_t pid = point_survivor(call_meanwhile, scene);
    if (pid > 0)
        point_settle(pid);
    return pid;
}

static bool found_stage(struct scene *scene)
{
    static char name[] = "crashlab", child[] = POINT_SPAWNED;
    char *const command[] = { name, child, NULL };
    if (brood_init(&(brood_init_options){ .limit = LIMIT, .command = command }) < 0 ||
        !(stage = brood_alloc(sizeof *stage))) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    memset(stage, 0, sizeof *stage);
    return true;
}

/* ---- the starter as victim ---- */

static void do_start(struct scene *scene)
{
    step_begin();
    const brood_process *process = start(scene, linger);
    atomic_store(&stage->right, process != NULL);
    step_end();
}

/* The child finds what it may not have, answers, and ends. */
static void do_refused(struct scene *scene)
{
    const brood_process_options options = { .start = scene->act->method, .directory = "/nowhere" };
    step_begin();
    const brood_process *process = brood_process_start(quick, stage, 0, &options);
    atomic_store(&stage->right, !process && errno == ENOENT);
    step_end();
}

static void do_join(struct scene *scene)
{
    brood_end end = { 0 };
    brood_process *process = start(scene, held);
    step_begin();
    int failed = brood_process_join(process, &end, BROOD_FOREVER);
    if (failed == 0)
        failed = brood_process_close(process);
    atomic_store(&stage->right, failed == 0 && end.how == BROOD_FAILED && end.code == CODE);
    step_end();
}

static void do_stop(struct scene *scene)
{
    brood_end end = { 0 };
    brood_process *process = start(scene, linger);
    step_begin();
    int failed = brood_process_stop(process, &end, 0, TERM_MS, SETTLE_MS);
    atomic_store(&stage->right, failed == 0 && end.how == BROOD_CRASHED);
    step_end();
}

static void do_fini(struct scene *scene)
{
    const brood_process_options daemon = { .start = scene->act->method, .daemon = true };
    const brood_process *first = start(scene, held), *second = brood_process_start(linger, stage, 0, &daemon);
    step_begin();
    atomic_store(&stage->right, brood_fini() == 0 && first && second);
    step_end();
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    brood_free(brood_alloc(64));
    if (!scene->act->cold)
        start_and_join(scene, "the starter, before");
    scene->act->body(scene);
}

static bool let_leave(void *context)
{
    (void)context;
    signal_all(&stage->leave);
    return true;
}

static void run_starter(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    brood_heap_stats before, after;
    step_tracee victim;
    if (!found_stage(&scene))
        return;
    start_and_join(&scene, "the founder, before");
    brood_heap_stat(&before);
    if (!point_victim(point, &victim, run_victim, &scene) || !point_lead(point, &victim, let_leave, NULL))
        return;
    if (point->mode == POINT_PAUSED) {
        pid_t other = begin_meanwhile(&scene);
        signal_all(&stage->leave);
        point_go_on(point, &victim);
        point_join(point, other, "another", STARTER_MS);
        if (!stage->right)
            point_fault(point, POINT_TORN, "the call of the starter, which had stood still, went wrong");
    }
    point_kill(point, &victim);
    start_and_join(&scene, "the founder");
    point_served(point);
    if (brood_heap_check() < 0 || brood_heap_stat(&after) < 0)
        point_fault(point, POINT_TORN, "%s", brood_error());
    else if (after.blocks > before.blocks + LEFT_BLOCKS)
        point_fault(point, POINT_LOST, "%zu blocks before, %zu after", before.blocks, after.blocks);
}

/* ---- child and server as victims ---- */

/* Whether the survivor was told the truth of the process that it started. */
static void check_told(struct scene *scene, const brood_end *end)
{
    bool all_well = scene->act->server || scene->point->mode == POINT_PAUSED;
    bool returned = end->how == BROOD_FAILED && end->code == CODE;
    bool killed = end->how == BROOD_CRASHED && end->signal == SIGKILL && end->why[0] && end->pid > 0;
    if (all_well ? !returned : !killed)
        point_fault(scene->point, POINT_LOST, "the child is said to be %s, code %d, signal %d: \"%s\"",
                    brood_how_name(end->how) ? brood_how_name(end->how) : "nothing", end->code, end->signal, end->why);
    int runs = atomic_load(&stage->runs);
    if (scene->act->server && runs != 1)
        point_fault(scene->point, runs ? POINT_DOUBLED : POINT_LOST, "one start, and its function ran %d times", runs);
}

/* Of a child that runs until the starter's end: its slot and its handle are there to be looked after. */
static void start_closed(struct scene *scene)
{
    brood_process *process = brood_process_start(held, stage, 0, &(brood_process_options){ .daemon = true });
    if (!process || brood_process_close(process) < 0)
        point_fault(scene->point, POINT_TORN, "no child to close: %s", brood_error());
}

/* Everything is judged when it is `released`: a victim that went astray was killed anywhere, and then it never is. */
static void call(void *context)
{
    struct scene *scene = context;
    struct point *point = scene->point;
    brood_end end = { 0 };
    if (!scene->act->cold)
        start_and_join(scene, "the starter, before");
    if (scene->act->closed)
        start_closed(scene);
    atomic_store(&stage->ready, 1);
    await(&stage->go);
    brood_process *process = start(scene, scene->act->target);
    int error = errno, joined = process ? brood_process_join(process, &end, STARTER_MS / 2) : 0;
    point_served(point);
    await(&stage->released);
    if (!process && (scene->act->server || point->mode == POINT_PAUSED || error != ECHILD))
        point_fault(point, POINT_TORN, "the start fails: %s", strerror(error));
    else if (joined < 0)
        point_fault(point, POINT_STUCK, "the join fails: %s", strerror(-joined));
    else if (process)
        check_told(scene, &end);
    if (brood_process_close(process) < 0)
        point_fault(point, POINT_TORN, "close fails: %s", brood_error());
    start_and_join(scene, "the starter");
    brood_heap_stats stats;
    if (brood_fini() < 0 || brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(point, POINT_TORN, "%s", brood_error());
    else if (stats.blocks != 1)
        point_fault(point, POINT_LOST, "%zu blocks at the end, not the stage alone", stats.blocks);
}

static bool until(struct scene *scene, const _Atomic int *value, const char *what)
{
    long long deadline = point_us() + SETTLE_MS * 1000LL;
    while (!atomic_load(value)) {
        if (point_us() > deadline) {
            point_fault(scene->point, POINT_STUCK, "%s", what);
            return false;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
    }
    return true;
}

/* The only child of a warm starter. 0: there is none. */
static pid_t server_of(pid_t starter)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)starter, (int)starter);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int read = fscanf(file, "%d", &pid);
    fclose(file);
    return read == 1 ? pid : 0;
}

/* Seizes a process that sleeps, and lets the starter start. */
static bool seize_and_go(struct scene *scene, step_tracee *tracee, pid_t pid)
{
    if (pid <= 0 || !point_settle(pid) || !step_seize(tracee, pid)) {
        point_fault(scene->point, POINT_TORN, "process %d cannot be traced", (int)pid);
        return false;
    }
    signal_all(&stage->go);
    return true;
}

static bool expect(struct scene *scene, step_stop stop, const char *what)
{
    if (stop != STEP_STOPPED)
        point_fault(scene->point, POINT_STUCK, "%s (stop %d)", what, (int)stop);
    return stop == STEP_STOPPED;
}

/* Awake in its receive: the path begins behind it. */
static bool take_server(struct scene *scene, step_tracee *victim)
{
    if (!seize_and_go(scene, victim, server_of(scene->starter)))
        return false;
    long long deadline = point_us() + SETTLE_MS * 1000LL;
    step_stop stop;
    do
        stop = step_run(victim, true, SETTLE_MS);
    while (stop == STEP_BLOCKED && point_us() < deadline); /* the starter has yet to ask it */
    return expect(scene, stop, "the server does not hear");
}

static bool take_forked(struct scene *scene, step_tracee *victim)
{
    step_tracee starter;
    pid_t pid =
        scene->act->method == BROOD_FORKSERVER && !scene->act->cold ? server_of(scene->starter) : scene->starter;
    return seize_and_go(scene, &starter, pid) &&
           expect(scene, step_to_birth(&starter, victim, SETTLE_MS), "there is no birth");
}

static bool take_image(struct scene *scene, step_tracee *victim)
{
    return take_forked(scene, victim) &&
           expect(scene, step_to_image(victim, (uintptr_t)brood_init, SETTLE_MS), "there is no new image");
}

static bool take_leaver(struct scene *scene, step_tracee *victim)
{
    signal_all(&stage->go);
    if (!until(scene, &stage->child, "the child does not begin"))
        return false;
    point_settle(stage->child);
    if (!step_seize(victim, stage->child)) {
        point_fault(scene->point, POINT_TORN, "the child cannot be traced");
        return false;
    }
    signal_all(&stage->leave);
    return expect(scene, step_to_begin(victim, SETTLE_MS), "the child does not come to its end");
}

static void run_other(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    if (!found_stage(&scene))
        return;
    scene.starter = point_survivor(call, &scene);
    if (scene.starter < 0 || !until(&scene, &stage->ready, "the starter does not begin") ||
        !scene.act->take(&scene, &victim) || !point_lead(point, &victim, NULL, NULL))
        return;
    if (point->mode == POINT_PAUSED) {
        pid_t other = begin_meanwhile(&scene);
        if (!scene.act->server)
            point_go_on(point, &victim);
        step_release(&victim);
        point_join(point, other, "another", STARTER_MS);
    } else {
        point_kill(point, &victim);
    }
    signal_all(&stage->released);
    point_join(point, scene.starter, "the starter", STARTER_MS);
    start_and_join(&scene, "the founder");
}

#define STARTER(name, what, start_method, function, ...) \
    { \
        name, what, run_starter, &(const struct act){ .method = (start_method), .body = (function), __VA_ARGS__ }, \
            .modes = AWAKE_AND_PAUSED, .quick = 20, .any_result = true \
    }
#define OTHER(name, what, start_method, function, how, ...) \
    { \
        name, what, run_other, \
            &(const struct act){ .method = (start_method), .target = (function), .take = (how), __VA_ARGS__ }, \
            .modes = AWAKE_AND_PAUSED, .quick = 20, .any_result = true, .mortal = (function) == leaver \
    }

const struct operation process_operations[] = {
    STARTER("start_fork", "the starter in start, by fork", BROOD_FORK, do_start, 0),
    STARTER("start_spawn", "the same by spawn", BROOD_SPAWN, do_start, 0),
    STARTER("start_server", "the same by the fork server", BROOD_FORKSERVER, do_start, 0),
    STARTER("start_launch", "the same, the server launched in it", BROOD_FORKSERVER, do_start, .cold = true),
    STARTER("start_refused", "the same, whose child cannot be set up", BROOD_FORKSERVER, do_refused, 0),
    STARTER("join_fork", "the starter in join and close", BROOD_FORK, do_join, 0),
    STARTER("join_server", "the same of the fork server's child", BROOD_FORKSERVER, do_join, 0),
    STARTER("stop", "the starter in stop", BROOD_FORK, do_stop, 0),
    STARTER("fini", "the starter in its orderly end", BROOD_FORKSERVER, do_fini, 0),
    OTHER("born_fork", "a child of fork, until its function", BROOD_FORK, born, take_forked, 0),
    OTHER("born_spawn", "a child of spawn, until its new image", BROOD_SPAWN, quick, take_forked, 0),
    OTHER("born_image", "the same, from brood_init until its function", BROOD_SPAWN, born, take_image, 0),
    OTHER("born_server", "the fork server's child", BROOD_FORKSERVER, born, take_forked, 0),
    OTHER("exit_fork", "a child of fork, from its function's end", BROOD_FORK, leaver, take_leaver, 0),
    OTHER("exit_spawn", "a child of spawn", BROOD_SPAWN, leaver, take_leaver, 0),
    OTHER("exit_server", "the fork server's child", BROOD_FORKSERVER, leaver, take_leaver, 0),
    OTHER("serve", "the fork server between request and answer", BROOD_FORKSERVER, counted, take_server,
          .server = true),
    OTHER("serve_closed", "the same, its starter having closed a child that runs", BROOD_FORKSERVER, counted,
          take_server, .server = true, .closed = true),
    OTHER("launch", "the fork server, from brood_init until it serves", BROOD_FORKSERVER, counted, take_image,
          .server = true, .cold = true),
    { 0 },
};
