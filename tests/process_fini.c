/* process_fini.c: the orderly end of a process, by every start method: which children are waited for and which ended,
 * in every way to end; brood_fini by hand; hooks. (Exit handlers and streams: process_leave.c.)
 */
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 15000

/* On the page that all processes and families of the case share. */
struct stage {
    atomic_int ready;  /* children that run */
    atomic_int ending; /* the starter is at its end, with its children running */
    atomic_int leave;  /* they may return */
    atomic_int left;   /* how many have */
    atomic_int after;  /* 1 + how many had when the starter had done its orderly end */
    atomic_int pid, ping, pong, count;
    atomic_int order[8];
};

static struct stage *stage(void)
{
    return harness_page();
}

/* The start method that this case is for: the end of its name. */
static brood_start method(void)
{
    return (brood_start)brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
}

static brood_process *start(brood_target *target, const void *arg, size_t size, brood_process_options options)
{
    options.start = method();
    brood_process *process = brood_process_start(target, arg, size, &options);
    NEED(process != NULL);
    return process;
}

static brood_end end_of(brood_process *process)
{
    brood_end end = { .how = BROOD_RUNNING };
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int stay(void *arg)
{
    (void)arg;
    atomic_store(&stage()->pid, getpid());
    atomic_fetch_add(&stage()->ready, 1);
    bool told = wait_word(&stage()->leave, 1, LONG_MS);
    atomic_fetch_add(&stage()->left, 1);
    return told ? 0 : 1;
}

static void note_ending(void)
{
    atomic_store(&stage()->ending, 1);
}

/* Of the founder: a spawned child begins as it did, and has this handler too. */
static void note_after(void)
{
    if (brood_process_parent() == NULL)
        atomic_store(&stage()->after, 1 + atomic_load(&stage()->left));
}

/* ---- ways to end ---- */

enum way { RETURN, RETURN_CODE, EXIT, LEAVE, WAYS };

static const char *const way_names[] = { "return", "return_code", "exit", "_exit" };

/* Starts a child that stays, and ends thus. */
static int end_thus(enum way way)
{
    start(stay, NULL, 0, (brood_process_options){ 0 });
    NEED(wait_word(&stage()->ready, 1, LONG_MS));
    if (way == LEAVE) {
        note_ending();
        _exit(5);
    }
    if (way == EXIT)
        exit(5);
    return way == RETURN ? 0 : 5;
}

static void check_children_awaited(enum way way, pid_t starter)
{
    if (!CHECK(wait_word(&stage()->ending, 1, LONG_MS)))
        return;
    if (way != LEAVE) {
        pass_us(5000); /* time to do wrong */
        CHECK_EQ(atomic_load(&stage()->left), 0);
        CHECK(process_state(starter) != 0 && process_state(starter) != 'Z');
        CHECK(process_state(atomic_load(&stage()->pid)) != 0);
        atomic_store(&stage()->leave, 1);
    }
}

static void check_children_gone(enum way way)
{
    CHECK_EQ(atomic_load(&stage()->left), way != LEAVE);
    CHECK(wait_gone(atomic_load(&stage()->pid), LONG_MS));
}

/* The family's first process. */
static void founder_ends(void)
{
    if (harness_part() != NULL) {
        NEED(atexit(note_after) == 0); /* before brood_init: it runs after brood's part */
        NEED(brood_init(NULL) == 0);
        NEED(atexit(note_ending) == 0);
        for (int way = 0; way < WAYS; way++) {
            if (strcmp(harness_part(), way_names[way]) == 0)
                end_thus((enum way)way);
        }
        return;
    }
    for (int way = 0; way < WAYS; way++) {
        if (way == RETURN_CODE) /* main's code is the harness's */
            continue;
        memset(stage(), 0, sizeof *stage());
        pid_t founder = harness_start(way_names[way]);
        check_children_awaited((enum way)way, founder);
        CHECK_EQ(wait_child(founder), way == RETURN ? 0 : 5 << 8);
        CHECK_EQ(atomic_load(&stage()->after), way == LEAVE ? 0 : 2);
        check_children_gone((enum way)way);
    }
}

static int middle(void *arg)
{
    NEED(atexit(note_ending) == 0);
    return end_thus(*(const enum way *)arg);
}

/* A process that brood started, whose own child is the last one's grandchild. */
static void target_ends(void)
{
    static const brood_how hows[] = { BROOD_RETURNED, BROOD_FAILED, BROOD_EXITED, BROOD_EXITED };
    for (int way = 0; way < WAYS; way++) {
        memset(stage(), 0, sizeof *stage());
        enum way chosen = (enum way)way;
        brood_process *process = start(middle, &chosen, sizeof chosen, (brood_process_options){ 0 });
        check_children_awaited(chosen, brood_process_pid(process));
        brood_end end = end_of(process);
        CHECK_EQ(end.how, hows[way]);
        CHECK_EQ(end.code, way == RETURN ? 0 : 5);
        check_children_gone(chosen);
    }
    CHECK_EQ(count_children(), method() == BROOD_FORKSERVER);
}

static int descend(void *arg)
{
    int depth = *(const int *)arg;
    if (depth > 1)
        start(descend, &(int){ depth - 1 }, sizeof(int), (brood_process_options){ 0 });
    atomic_fetch_add(&stage()->ready, 1);
    CHECK(wait_word(&stage()->leave, depth, LONG_MS)); /* the youngest last */
    atomic_fetch_add(&stage()->left, 1);
    return depth;
}

/* Each generation waits for the next: when the eldest has ended all have. */
static void generations_end(void)
{
    enum { DEPTH = 5 };
    brood_process *process = start(descend, &(int){ DEPTH }, sizeof(int), (brood_process_options){ 0 });
    CHECK(wait_word(&stage()->ready, DEPTH, LONG_MS));
    atomic_store(&stage()->leave, DEPTH);
    brood_end end = end_of(process);
    CHECK_EQ(end.code, DEPTH);
    CHECK_EQ(atomic_load(&stage()->left), DEPTH);
}

/* ---- brood_fini by hand ---- */

static int let_leave(void *arg)
{
    atomic_store(&stage()->leave, 1);
    return arg != NULL;
}

/* Ordinary children, closed ones too, are waited for; again, there is nothing to do; then there is. */
static void fini_by_hand(void)
{
    CHECK_RESULT(brood_fini(), 0);
    brood_process *first = start(stay, NULL, 0, (brood_process_options){ 0 });
    CHECK_RESULT(brood_process_close(start(stay, NULL, 0, (brood_process_options){ 0 })), 0);
    CHECK(wait_word(&stage()->ready, 2, LONG_MS));
    CHECK_RESULT(brood_process_at_exit(let_leave, NULL), 0); /* else they would stay */
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(atomic_load(&stage()->left), 2);
    CHECK_EQ(count_children(), 0); /* nor a fork server */
    CHECK_EQ(brood_process_children(NULL, 0), 0);
    CHECK_EQ(end_of(first).how, BROOD_RETURNED);
    CHECK_RESULT(brood_fini(), 0);
    brood_process *second = start(stay, NULL, 0, (brood_process_options){ 0 });
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(atomic_load(&stage()->left), 3);
    CHECK_EQ(end_of(second).how, BROOD_RETURNED);
    CHECK_EQ(count_children(), 0);
}

/* How a daemon takes a SIGTERM. */
enum manner { DIES, RETURNS, IGNORES };

static atomic_int terminated;

static void on_term(int number)
{
    (void)number;
    atomic_store(&terminated, 1);
}

static int serve(void *arg)
{
    enum manner manner = *(const enum manner *)arg;
    if (manner != DIES)
        signal(SIGTERM, manner == IGNORES ? SIG_IGN : on_term);
    atomic_fetch_add(&stage()->ready, 1);
    while (atomic_load(&terminated) == 0) {
        atomic_store(&stage()->pong, atomic_load(&stage()->ping));
        pass_us(200);
    }
    return 3;
}

static brood_process *start_daemon(enum manner manner)
{
    return start(serve, &manner, sizeof manner, (brood_process_options){ .name = "daemon", .daemon = true });
}

static void daemons_end(void)
{
    brood_process *daemons[] = { start_daemon(DIES), start_daemon(RETURNS), start_daemon(IGNORES), start_daemon(DIES) };
    CHECK(wait_word(&stage()->ready, 4, LONG_MS));
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count_children(), 0);
    brood_end end = end_of(daemons[0]);
    CHECK_EQ(end.how, BROOD_CRASHED);
    CHECK_EQ(end.signal, SIGTERM);
    end = end_of(daemons[1]);
    CHECK_EQ(end.how, BROOD_FAILED);
    CHECK_EQ(end.code, 3);
    end = end_of(daemons[2]);
    CHECK_EQ(end.signal, SIGKILL);
    end = end_of(daemons[3]);
    CHECK_EQ(end.signal, SIGTERM);
}

/* One that is another user's by now holds up neither the end nor that of the others; its tie ends it with its starter.
 */
static void daemon_not_ours(void)
{
    if (harness_part() != NULL) {
        brood_process *process = start_daemon(DIES);
        NEED(setuid(65534) == 0);
        const brood_process_options options = { .start = BROOD_FORK, .daemon = true };
        brood_process *own = brood_process_start(stay, NULL, 0, &options);
        NEED(wait_word(&stage()->ready, 2, LONG_MS));
        atomic_store(&stage()->pid, brood_process_pid(process));
        CHECK_RESULT(brood_fini(), 0);
        CHECK_RESULT(brood_process_join(process, NULL, 0), -ETIMEDOUT);
        CHECK_EQ(end_of(own).signal, SIGTERM);
        CHECK_RESULT(brood_process_signal(process, SIGTERM), -EPERM);
        return;
    }
    if (geteuid() != 0)
        harness_skip("only root can become another");
    CHECK_EQ(wait_child(harness_start("founder")), 0);
    CHECK(wait_gone(atomic_load(&stage()->pid), LONG_MS));
}

static atomic_int started;

static void *call_fini_often(void *arg)
{
    while (atomic_load(&started) == 0)
        CHECK_RESULT(brood_fini(), 0);
    return arg;
}

/* While another thread ends whatever daemon it finds each start is whole: a daemon is there, or was. */
static void fini_meanwhile(void)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, call_fini_often, NULL) == 0);
    for (int i = 0; i < harness_times(method() == BROOD_FORK ? 1500 : 200) && harness_failures() == 0; i++) {
        brood_end end;
        int closed;
        brood_process *process = start(nothing, NULL, 0, (brood_process_options){ .daemon = true, .max_core = -1 });
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        while ((closed = brood_process_close(process)) == -EBUSY) /* the other thread waits for it, too */
            continue;
        CHECK_RESULT(closed, 0);
        CHECK(end.how == BROOD_RETURNED || end.signal == SIGTERM);
    }
    atomic_store(&started, 1);
    NEED(pthread_join(thread, NULL) == 0);
    CHECK_EQ(brood_process_children(NULL, 0), 0);
}

/* It needs its starter's daemon to its end, which therefore comes first. */
static int use_daemon(void *arg)
{
    (void)arg;
    atomic_store(&stage()->pid, getpid());
    atomic_fetch_add(&stage()->ready, 1);
    CHECK(wait_word(&stage()->ending, 1, LONG_MS));
    pass_us(20000);
    atomic_store(&stage()->ping, 9);
    CHECK(wait_word(&stage()->pong, 9, LONG_MS));
    atomic_fetch_add(&stage()->left, 1);
    return 0;
}

static void daemons_end_last(void)
{
    if (harness_part() != NULL) {
        start_daemon(IGNORES);
        start_daemon(DIES);
        start(use_daemon, NULL, 0, (brood_process_options){ 0 });
        NEED(wait_word(&stage()->ready, 3, LONG_MS));
        NEED(atexit(note_ending) == 0);
        return;
    }
    CHECK_EQ(wait_child(harness_start("founder")), 0);
    CHECK_EQ(atomic_load(&stage()->left), 1);
}

/* Neither waited for nor ended. */
static void survivors_stay(void)
{
    brood_process *process = start(stay, NULL, 0, (brood_process_options){ .survives = true });
    brood_process *both = start(stay, NULL, 0, (brood_process_options){ .survives = true, .daemon = true });
    CHECK(wait_word(&stage()->ready, 2, LONG_MS));
    CHECK_RESULT(brood_fini(), 0);
    CHECK_RESULT(brood_process_join(process, NULL, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_process_join(both, NULL, 0), -ETIMEDOUT);
    CHECK_EQ(brood_process_children(NULL, 0), 2);
    atomic_store(&stage()->leave, 1);
    CHECK_EQ(end_of(process).how, BROOD_RETURNED);
    CHECK_EQ(end_of(both).how, BROOD_RETURNED);
}

/* The fork server of a process ends with it or in brood_fini, and the next use begins another. */
static void server_ends(void)
{
    int server = brood_start_server();
    CHECK(server > 0);
    CHECK_EQ(brood_start_server(), server);
    CHECK_EQ(end_of(start(nothing, NULL, 0, (brood_process_options){ 0 })).how, BROOD_RETURNED);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(process_state(server), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_EQ(end_of(start(nothing, NULL, 0, (brood_process_options){ 0 })).how, BROOD_RETURNED);
    int other = brood_start_server();
    CHECK(other > 0);
    CHECK(process_state(other) != 0);
}

/* ---- hooks ---- */

static int add_to_order(void *arg)
{
    int place = atomic_fetch_add(&stage()->count, 1);
    if (place < 8)
        atomic_store(&stage()->order[place], (int)(intptr_t)arg);
    return (int)(intptr_t)arg; /* not looked at */
}

static int add_another(void *arg)
{
    add_to_order(arg);
    CHECK_RESULT(brood_process_at_exit(add_to_order, (void *)99), 0);
    return 0;
}

static void check_order(const int *wanted, int count)
{
    CHECK_EQ(atomic_load(&stage()->count), count);
    for (int i = 0; i < count; i++)
        CHECK_EQ(atomic_load(&stage()->order[i]), wanted[i]);
}

static void hooks_by_hand(void)
{
    CHECK_RESULT(brood_process_at_exit(NULL, NULL), -EINVAL);
    for (intptr_t i = 1; i <= 3; i++)
        CHECK_RESULT(brood_process_at_exit(i == 2 ? add_another : add_to_order, (void *)i), 0);
    CHECK_EQ(end_of(start(nothing, NULL, 0, (brood_process_options){ 0 })).how, BROOD_RETURNED);
    check_order(NULL, 0); /* a child has none of its starter's */
    CHECK_RESULT(brood_fini(), 0);
    check_order((int[]){ 3, 2, 99, 1 }, 4);
    CHECK_RESULT(brood_fini(), 0); /* each once */
    check_order((int[]){ 3, 2, 99, 1 }, 4);
    CHECK_RESULT(brood_process_at_exit(add_to_order, (void *)4), 0);
    CHECK_RESULT(brood_fini(), 0);
    check_order((int[]){ 3, 2, 99, 1, 4 }, 5);
}

/* Its child ends only when the hook has run. */
static int has_hooks(void *arg)
{
    enum way way = *(const enum way *)arg;
    CHECK_RESULT(brood_process_at_exit(let_leave, NULL), 0);
    CHECK_RESULT(brood_process_at_exit(add_to_order, (void *)1), 0);
    CHECK_RESULT(brood_process_at_exit(add_to_order, (void *)2), 0);
    return end_thus(way);
}

static void hooks_of_target(void)
{
    CHECK_RESULT(brood_process_at_exit(add_to_order, (void *)50), 0);
    for (int way = 0; way < WAYS; way++) {
        memset(stage(), 0, sizeof *stage());
        enum way chosen = (enum way)way;
        end_of(start(has_hooks, &chosen, sizeof chosen, (brood_process_options){ 0 }));
        if (way == LEAVE)
            check_order(NULL, 0);
        else
            check_order((int[]){ 2, 1 }, 2);
        check_children_gone(chosen);
    }
}

static int call_fini(void *arg)
{
    (void)arg;
    CHECK_RESULT(brood_fini(), -EDEADLK);
    atomic_fetch_add(&stage()->count, 1);
    return 0;
}

static void fini_in_hook(void)
{
    CHECK_RESULT(brood_process_at_exit(call_fini, NULL), 0);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_RESULT(brood_process_at_exit(call_fini, NULL), 0);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(atomic_load(&stage()->count), 2);
}

/* A process as any other: with a hook and a child of its own, and brood_fini to call. */
static int born_in_hook(void *arg)
{
    (void)arg;
    atomic_fetch_add(&stage()->ready, 1);
    CHECK_RESULT(brood_process_at_exit(add_to_order, (void *)1), 0);
    CHECK_RESULT(brood_fini(), 0);
    check_order((int[]){ 1 }, 1);
    CHECK_RESULT(brood_process_at_exit(let_leave, NULL), 0);
    start(stay, NULL, 0, (brood_process_options){ 0 });
    return 0;
}

static int start_in_hook(void *arg)
{
    (void)arg;
    start(born_in_hook, NULL, 0, (brood_process_options){ 0 });
    return 0;
}

/* It is waited for, since hooks come first, and so is its child by itself. */
static void hook_starts(void)
{
    CHECK_RESULT(brood_process_at_exit(start_in_hook, NULL), 0);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(atomic_load(&stage()->ready), 2);
    CHECK_EQ(atomic_load(&stage()->left), 1);
    CHECK_EQ(count_children(), 0);
}

static int start_own(void *arg)
{
    (void)arg;
    CHECK_RESULT(brood_process_at_exit(add_to_order, (void *)1), 0);
    CHECK_EQ(end_of(start(nothing, NULL, 0, (brood_process_options){ 0 })).how, BROOD_RETURNED);
    CHECK_RESULT(brood_fini(), 0);
    check_order((int[]){ 1 }, 1);
    return 0;
}

static int fork_in_hook(void *arg)
{
    (void)arg;
    CHECK_EQ(wait_child(fork_child(start_own, NULL)), 0);
    return 0;
}

/* A child forked by hand in a hook is in none. */
static void hook_forks_by_hand(void)
{
    CHECK_RESULT(brood_process_at_exit(fork_in_hook, NULL), 0);
    CHECK_RESULT(brood_fini(), 0);
    check_order((int[]){ 1 }, 1);
}

/* Each of these by each method: NAME_METHOD. */
static const struct test_case by_method[] = {
    { .name = "founder_ends", .run = founder_ends, .no_init = true },
    { .name = "target_ends", .run = target_ends },
    { .name = "generations_end", .run = generations_end },
    { .name = "fini_by_hand", .run = fini_by_hand },
    { .name = "daemons_end", .run = daemons_end },
    { .name = "daemon_not_ours", .run = daemon_not_ours },
    { .name = "fini_meanwhile", .run = fini_meanwhile, .deadline_s = 60 },
    { .name = "daemons_end_last", .run = daemons_end_last },
    { .name = "survivors_stay", .run = survivors_stay },
    { .name = "server_ends", .run = server_ends },
    { .name = "hooks_by_hand", .run = hooks_by_hand },
    { .name = "hooks_of_target", .run = hooks_of_target },
    { .name = "fini_in_hook", .run = fini_in_hook },
    { .name = "hook_starts", .run = hook_starts },
    { .name = "hook_forks_by_hand", .run = hook_forks_by_hand },
};

int main(int argc, char **argv)
{
    enum { CASES = sizeof by_method / sizeof *by_method, METHODS = 3 };
    static char names[CASES * METHODS][64];
    static struct test_case cases[CASES * METHODS + 1];
    for (int i = 0; i < CASES * METHODS; i++) {
        cases[i] = by_method[i / METHODS];
        snprintf(names[i], sizeof names[i], "%s_%s", cases[i].name, brood_start_name((brood_start)(1 + i % METHODS)));
        cases[i].name = names[i];
    }
    return harness_main(argc, argv, cases);
}
