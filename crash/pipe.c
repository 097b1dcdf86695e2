/* pipe.c: the ends of a pipe under the knife.
 *
 * The founder made the pipe and has its first end; the victim has the second one. What lies on its way to the victim
 * has numbers from FIRST on, what the victim sends from VICTIM on. A message is whole, and received
 * once. When the victim is dead, those who wait at the first end get what it sent and then EPIPE, by themselves; an
 * heir receives what the victim has not; and the founder, who closes both ends, gets all memory back.
 */
#include "point.h"

#include <brood.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SLEEPERS = 2,
    FIRST = 1,
    VICTIM = 50,
    NUMBERS = 100,
    SIZE_MOST = 6000,
    SLEEPER_MS = SURVIVOR_MS,
    LIMIT = 4 << 20,
};

struct ground {
    brood_connection *ends[2], *other[2]; /* other: to warm up with */
    size_t size;
    bool descriptors;   /* each message is a file that has the number in it */
    _Atomic int helped; /* what it waits for was sent */
    _Atomic int got[NUMBERS];
};

struct act {
    void (*act)(struct ground *ground);
    int first;   /* messages on their way to the victim */
    size_t size; /* of all; 0: 64 */
    bool descriptors;
    int sleepers; /* who wait at the first end before it begins */
    bool sends;   /* the victim does */
    bool takes;   /* it may get one for good */
    bool wakes;   /* it waits until it is sent something */
    bool closes;  /* it closes its end */
    bool cold;    /* it has made no call before */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper[SLEEPERS + 1];
    int sleepers;
    pid_t helper;
};

struct message {
    int number;
    char bytes[SIZE_MOST];
};

/* ---- what all do ---- */

static int send_file(brood_connection *end, int number, int timeout_ms)
{
    int fd = memfd_create("number", MFD_CLOEXEC);
    int failed = fd < 0 || write(fd, &number, sizeof number) != sizeof number ? -errno : 0;
    failed = failed < 0 ? failed : brood_connection_send_fd(end, fd, timeout_ms);
    close(fd);
    return failed;
}

/* The number in the one that is received, 0 if there is none; or the call's failure. */
static int take_file(brood_connection *end, int timeout_ms)
{
    int number = 0, fd = brood_connection_recv_fd(end, timeout_ms);
    if (fd < 0)
        return fd;
    if (pread(fd, &number, sizeof number, 0) != sizeof number || number < 0)
        number = 0;
    close(fd);
    return number;
}

static int send_number(const struct ground *ground, brood_connection *end, int number, int timeout_ms)
{
    if (ground->descriptors)
        return send_file(end, number, timeout_ms);
    struct message message = { .number = number };
    memset(message.bytes, number, sizeof message.bytes);
    return brood_connection_send(end, &message, ground->size, timeout_ms);
}

/* 0, or the call's failure. */
static int take_number(const struct scene *scene, brood_connection *end, int timeout_ms, const char *who)
{
    struct message message;
    size_t size = 0;
    struct ground *ground = scene->ground;
    int failed = ground->descriptors ? take_file(end, timeout_ms)
                                     : brood_connection_recv(end, &message, sizeof message, &size, timeout_ms);
    if (failed < 0)
        return failed;
    if (ground->descriptors) {
        message.number = failed;
        size = sizeof message.number;
    }
    bool whole = (ground->descriptors || size == ground->size) && message.number > 0 && message.number < NUMBERS;
    for (size_t i = 0; whole && i < size - sizeof message.number; i++)
        whole = message.bytes[i] == (char)message.number;
    if (!whole)
        point_fault(scene->point, POINT_TORN, "%s got a torn message of %zu bytes", who, size);
    else if (atomic_fetch_add(&ground->got[message.number], 1) != 0)
        point_fault(scene->point, POINT_DOUBLED, "%s got message %d, which had been got", who, message.number);
    return 0;
}

/* Until the end of the line. */
static void hear_out(const struct scene *scene, brood_connection *end, const char *who)
{
    int failed;
    while ((failed = take_number(scene, end, SLEEPER_MS, who)) == 0)
        continue;
    if (failed != -EPIPE)
        point_fault(scene->point, failed == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "%s: %s", who, brood_error());
    point_served(scene->point);
}

static void be_asleep(void *context)
{
    const struct scene *scene = context;
    hear_out(scene, scene->ground->ends[0], "a sleeper");
}

static void add_sleeper(struct scene *scene)
{
    pid_t pid = point_survivor(be_asleep, scene);
    scene->sleeper[scene->sleepers++] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a sleeper neither sleeps nor ends");
}

/* ---- the victim ---- */

static void act_send(struct ground *ground)
{
    send_number(ground, ground->ends[1], VICTIM, BROOD_FOREVER);
}

static void act_recv(struct ground *ground)
{
    static struct message message;
    size_t size;
    if (ground->descriptors)
        take_file(ground->ends[1], BROOD_FOREVER);
    else
        brood_connection_recv(ground->ends[1], &message, sizeof message, &size, BROOD_FOREVER);
}

static void act_recv_block(struct ground *ground)
{
    brood_block block;
    brood_connection_recv_block(ground->ends[1], &block, BROOD_FOREVER);
}

static void act_poll(struct ground *ground)
{
    brood_connection_poll(ground->ends[1], BROOD_FOREVER);
}

static void act_close(struct ground *ground)
{
    brood_connection_close(ground->ends[1]);
}

/* All ways once, over another pipe; and then it has the end. */
static void warm_up(struct ground *ground)
{
    struct ground own = { .size = ground->size, .descriptors = ground->descriptors };
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            own.ends[0] = ground->other[!k];
            own.ends[1] = ground->other[k];
            act_send(&own);
            own.ends[1] = ground->other[!k];
            act_recv(&own);
        }
    brood_connection_recv(ground->ends[1], NULL, 0, NULL, 0);
}

static void run_victim(void *context)
{
    const struct scene *scene = context;
    if (!scene->act->cold)
        warm_up(scene->ground);
    step_begin();
    scene->act->act(scene->ground);
    step_end();
}

static void send_first(void *context)
{
    const struct scene *scene = context;
    if (send_number(scene->ground, scene->ground->ends[0], FIRST, SURVIVOR_MS) == 0)
        atomic_store(&scene->ground->helped, 1); /* else the victim is dead already */
}

/* It waits for a message: here it is. */
static bool let_go(void *context)
{
    struct scene *scene = context;
    if (!scene->act->wakes)
        return false;
    if (scene->helper <= 0)
        scene->helper = point_survivor(send_first, scene);
    return true;
}

/* ---- the ground, and the account ---- */

static bool prepare(struct scene *scene)
{
    const struct act *act = scene->act;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 ||
        !(scene->ground = brood_alloc(sizeof(struct ground)))) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    struct ground *ground = scene->ground;
    ground->size = act->size ? act->size : 64;
    ground->descriptors = act->descriptors;
    bool done = brood_pipe_create(ground->other, NULL) == 0;
    done = done && brood_pipe_create(ground->ends, &(brood_pipe_options){ .name = "ground" }) == 0;
    for (int i = 0; i < act->first && done; i++)
        done = send_number(ground, ground->ends[0], FIRST + i, 0) == 0;
    if (!done)
        point_fault(scene->point, POINT_TORN, "no ground: %s", brood_error());
    return done;
}

/* Whoever comes to the victim's end receives what it has not. */
static void inherit(void *context)
{
    const struct scene *scene = context;
    int failed;
    while ((failed = take_number(scene, scene->ground->ends[1], 0, "an heir")) == 0)
        continue;
    if (failed != -ETIMEDOUT)
        point_fault(scene->point, POINT_TORN, "an heir: %s", brood_error());
}

static int count_got(const struct scene *scene, int from, int count)
{
    int got = 0;
    for (int i = 0; i < count; i++)
        got += atomic_load(&scene->ground->got[from + i]);
    return got;
}

static void check(struct scene *scene)
{
    const struct act *act = scene->act;
    struct ground *ground = scene->ground;
    brood_heap_stats before, after;
    if (scene->helper > 0)
        point_join(scene->point, scene->helper, "who helped", SURVIVOR_MS + 500);
    for (int i = 0; i < scene->sleepers; i++)
        point_join(scene->point, scene->sleeper[i], "a sleeper", SURVIVOR_MS + 500);
    if (!act->cold)
        hear_out(scene, ground->ends[0], "the founder");
    pid_t heir = point_survivor(inherit, scene);
    if (heir > 0)
        point_join(scene->point, heir, "an heir", SURVIVOR_MS + 500);
    int sent = act->first + atomic_load(&ground->helped), missing = sent - count_got(scene, FIRST, sent);
    int mine = count_got(scene, VICTIM, 1);
    if (missing < 0 || missing > act->takes)
        point_fault(scene->point, POINT_LOST, "%d of %d messages are missing", missing, sent);
    scene->point->result = act->sends ? mine : missing;
    brood_heap_stat(&before);
    for (int i = 0; i < 2; i++)
        if (brood_connection_close(ground->ends[i]) < 0)
            point_fault(scene->point, POINT_TORN, "its end %d cannot be closed: %s", i, brood_error());
    if (brood_heap_check() < 0 || brood_heap_stat(&after) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    /* The ends, two queues, a segment each; one killed in close keeps the ends. */
    else if (before.blocks < after.blocks + 5 - act->closes)
        point_fault(scene->point, POINT_LOST, "%zu blocks before it is closed, %zu after", before.blocks, after.blocks);
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
        if (point->mode == POINT_ASLEEP && !scene.act->cold)
            add_sleeper(&scene);
        if (point->mode == POINT_PAUSED) {
            pid_t helper = scene.act->wakes && scene.helper <= 0 ? point_survivor(send_first, &scene) : 0;
            point_go_on(point, &victim);
            if (helper > 0)
                scene.helper = helper;
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

const struct operation pipe_operations[] = {
    { "pipe_send", "send", run, ACT(.act = act_send, .sends = true), .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "pipe_send_1", "send with one asleep", run, ACT(.act = act_send, .sleepers = 1, .sends = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "pipe_send_2", "send with two asleep", run, ACT(.act = act_send, .sleepers = 2, .sends = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "pipe_send_large_1", "send of a block, with one asleep", run,
      ACT(.act = act_send, .sleepers = 1, .size = 6000, .sends = true), .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "pipe_send_first", "a process' first send", run, ACT(.act = act_send, .sends = true, .cold = true),
      .modes = AWAKE_AND_PAUSED, .any_result = true },
    { "pipe_recv", "receive of one of two", run, ACT(.act = act_recv, .first = 2, .takes = true), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "pipe_recv_large", "receive of a block", run, ACT(.act = act_recv, .first = 2, .size = 6000, .takes = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "pipe_recv_block", "receive as a block", run, ACT(.act = act_recv_block, .first = 2, .takes = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "pipe_recv_wait", "receive that waits", run, ACT(.act = act_recv, .takes = true, .wakes = true),
      .modes = ALL_MODES, .any_result = true },
    { "pipe_send_fd", "send of the first descriptor", run, ACT(.act = act_send, .descriptors = true, .sends = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "pipe_send_fd_1", "send of a descriptor with one asleep", run,
      ACT(.act = act_send, .descriptors = true, .sleepers = 1, .sends = true), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "pipe_recv_fd", "receive of one of two descriptors", run,
      ACT(.act = act_recv, .descriptors = true, .first = 2, .takes = true), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "pipe_recv_fd_wait", "receive of a descriptor that waits", run,
      ACT(.act = act_recv, .descriptors = true, .takes = true, .wakes = true), .modes = ALL_MODES, .any_result = true },
    { "pipe_poll", "poll that waits", run, ACT(.act = act_poll, .wakes = true), .modes = ALL_MODES },
    { "pipe_close", "close with two asleep at the other end", run, ACT(.act = act_close, .sleepers = 2, .closes = true),
      .modes = ALL_MODES },
    { 0 },
};
