/* process_leave.c: how a child leaves, by every start method: its own exit handlers run, its starter's never, whatever
 * calls exit; and what anyone printed comes out once.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 15000

/* On the page that all processes and families of the case share. */
struct stage {
    atomic_int count, foreign, ready, pid;
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

static brood_process *start(brood_target *target, const void *arg, size_t size)
{
    brood_process *process = brood_process_start(target, arg, size, &(brood_process_options){ .start = method() });
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

enum way { RETURN, RETURN_CODE, EXIT, EXIT_THREAD, LEAVE, WAYS };

static void *exit_in_thread(void *arg)
{
    (void)arg;
    exit(5);
}

static int end_thus(enum way way)
{
    pthread_t thread;
    if (way == EXIT)
        exit(5);
    if (way == LEAVE)
        _exit(5);
    if (way == EXIT_THREAD) {
        NEED(pthread_create(&thread, NULL, exit_in_thread, NULL) == 0);
        for (;;)
            pause();
    }
    return way == RETURN ? 0 : 5;
}

static void check_end(const brood_end *end, enum way way)
{
    static const brood_how hows[] = { BROOD_RETURNED, BROOD_FAILED, BROOD_EXITED, BROOD_EXITED, BROOD_EXITED };
    CHECK_EQ(end->how, hows[way]);
    CHECK_EQ(end->code, way == RETURN ? 0 : 5);
}

/* ---- exit handlers ---- */

static void note(int number)
{
    int place = atomic_fetch_add(&stage()->count, 1);
    if (place < 8)
        atomic_store(&stage()->order[place], number);
}

static void check_order(const int *wanted, int count)
{
    CHECK_EQ(atomic_load(&stage()->count), count);
    for (int i = 0; i < count; i++)
        CHECK_EQ(atomic_load(&stage()->order[i]), wanted[i]);
}

static void foreign_handler(void)
{
    atomic_fetch_add(&stage()->foreign, 1);
}

static void foreign_handler_too(int status, void *arg)
{
    (void)status;
    (void)arg;
    foreign_handler();
}

/* on_exit(3); or, with musl, what C++ registers destructors by, which is told no status. */
#ifdef __GLIBC__
#define STATUS_TOLD 1

static int register_with(void (*handler)(int status, void *arg), void *arg)
{
    return on_exit(handler, arg);
}
#else
#define STATUS_TOLD 0

extern int __cxa_atexit(void (*call)(void *), void *arg, void *module);

struct registered {
    void (*handler)(int status, void *arg);
    void *arg;
};

static void call_registered(void *arg)
{
    struct registered *registered = arg;
    registered->handler(0, registered->arg);
    free(registered);
}

static int register_with(void (*handler)(int status, void *arg), void *arg)
{
    struct registered *registered = malloc(sizeof *registered);
    NEED(registered != NULL);
    *registered = (struct registered){ handler, arg };
    return __cxa_atexit(call_registered, registered, NULL);
}
#endif

/* More than one block of the C library's list of them. */
static void register_foreign(void)
{
    for (int i = 0; i < 40; i++)
        NEED(atexit(foreign_handler) == 0 && register_with(foreign_handler_too, NULL) == 0);
}

static void own_handler(void)
{
    note(1);
}

static void own_handler_too(int status, void *arg)
{
    note((int)(intptr_t)arg + status);
}

static int note_hook(void *arg)
{
    note((int)(intptr_t)arg);
    return 0;
}

static int has_handlers(void *arg)
{
    enum way way = *(const enum way *)arg;
    CHECK_RESULT(brood_process_at_exit(note_hook, (void *)100), 0); /* brood's part comes after all of them */
    NEED(atexit(own_handler) == 0 && register_with(own_handler_too, (void *)20) == 0 && atexit(own_handler) == 0);
    return end_thus(way);
}

static int begets_one(void *arg)
{
    brood_end end = end_of(start(has_handlers, arg, sizeof(enum way)));
    check_end(&end, *(const enum way *)arg);
    return 0;
}

static void handlers(void)
{
    register_foreign();
    for (int way = 0; way < WAYS; way++) {
        memset(stage(), 0, sizeof *stage());
        enum way chosen = (enum way)way;
        int status = way == RETURN ? 0 : 5;
        brood_end end = end_of(start(has_handlers, &chosen, sizeof chosen));
        check_end(&end, chosen);
        check_order((int[]){ 1, 20 + STATUS_TOLD * status, 1, 100 }, way == LEAVE ? 0 : 4);
        memset(stage(), 0, sizeof *stage());
        CHECK_EQ(end_of(start(begets_one, &chosen, sizeof chosen)).how, BROOD_RETURNED);
        check_order((int[]){ 1, 20 + STATUS_TOLD * status, 1, 100 }, way == LEAVE ? 0 : 4);
        CHECK_EQ(atomic_load(&stage()->foreign), 0);
    }
}

/* The starter's own are not lost to it. */
static void handlers_of_starter(void)
{
    if (harness_part() != NULL) {
        register_foreign();
        CHECK_EQ(end_of(start(note_hook, NULL, 0)).how, BROOD_RETURNED);
        CHECK_EQ(atomic_load(&stage()->foreign), 0);
        exit(9);
    }
    CHECK_EQ(wait_child(harness_start("founder")), 9 << 8);
    CHECK_EQ(atomic_load(&stage()->foreign), 80);
}

/* What `preload` registers is the fork server's, and not its children's. */
static int register_in_server(void)
{
    register_foreign();
    return 0;
}

static void handlers_of_server(void)
{
    NEED(brood_init(&(brood_init_options){ .preload = register_in_server }) == 0);
    enum way way = EXIT;
    for (int i = 0; i < 3; i++) {
        brood_end end = end_of(start(has_handlers, &way, sizeof way));
        check_end(&end, way);
    }
    CHECK_EQ(atomic_load(&stage()->count), 3 * 4);
    CHECK_EQ(atomic_load(&stage()->foreign), 0);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(atomic_load(&stage()->foreign), method() == BROOD_FORKSERVER ? 80 : 0); /* it ends by exit as well */
}

static void *volatile taken; /* what the compiler must not see to be of no use */

static bool take_large(void)
{
    taken = malloc(128 * sizeof taken);
    return taken != NULL;
}

/* Until neither the list of exit handlers grows nor malloc(3) finds a block for that; small blocks are there. */
static int use_up_memory(void)
{
    void **kept = NULL;
    NEED(setrlimit(RLIMIT_DATA, &(struct rlimit){ .rlim_cur = 4096, .rlim_max = RLIM_INFINITY }) == 0);
    for (void **small; take_large() && (small = malloc(96 * sizeof *small)) != NULL; kept = small)
        *small = kept;
    while (take_large())
        continue;
    while (atexit(foreign_handler) == 0)
        continue;
    for (void **next; kept != NULL; kept = next) {
        next = *kept;
        free(kept);
    }
    return 0;
}

/* A child that has no memory for a handler of its own does not run its starter's in place of it. */
static void no_memory_for_handlers(void)
{
    if (harness_sanitized())
        harness_skip("the sanitizer has memory of its own");
    NEED(brood_init(&(brood_init_options){ .preload = use_up_memory }) == 0);
    const brood_process_options options = { .start = method(), .niceness = 1 };
    if (method() == BROOD_FORK)
        use_up_memory();
    brood_process *process = brood_process_start(note_hook, NULL, 0, &(brood_process_options){ .start = method() });
    NEED(process != NULL);
    brood_end end = end_of(process);
    CHECK_EQ(end.how, method() == BROOD_SPAWN ? BROOD_RETURNED : BROOD_FAILED);
    CHECK_EQ(end.code, method() == BROOD_SPAWN ? 0 : -ENOMEM);
    if (method() != BROOD_SPAWN) {
        CHECK_HAS(end.why, "no memory");
        CHECK_NULL(brood_process_start(note_hook, NULL, 0, &options), ECHILD);
        CHECK_HAS(brood_error(), "no memory");
    }
    CHECK_EQ(atomic_load(&stage()->foreign), 0);
    CHECK_RESULT(brood_fini(), 0);
    _exit(0);
}

/* ---- exit in a hook ---- */

static int exit_in_hook(void *arg)
{
    note(7);
    exit((int)(intptr_t)arg);
}

static int leave_by_hook(void *arg)
{
    (void)arg;
    NEED(atexit(own_handler) == 0);
    CHECK_RESULT(brood_process_at_exit(exit_in_hook, (void *)6), 0);
    exit(5);
}

/* It ends so, with that status; and still its starter's handlers are not its own. */
static void hook_exits(void)
{
    NEED(brood_init(&(brood_init_options){ .preload = register_in_server }) == 0);
    register_foreign();
    brood_end end = end_of(start(leave_by_hook, NULL, 0));
    CHECK_EQ(end.how, BROOD_EXITED);
    CHECK_EQ(end.code, 6);
    check_order((int[]){ 1, 7 }, 2);
    CHECK_EQ(atomic_load(&stage()->foreign), 0);
}

static int stay(void *arg)
{
    (void)arg;
    atomic_store(&stage()->pid, getpid());
    atomic_store(&stage()->ready, 1);
    for (;;)
        pause();
    return 0;
}

/* A hook of the first process: nobody is left over. */
static void hook_of_founder_exits(void)
{
    if (harness_part() != NULL) {
        start(stay, NULL, 0);
        NEED(wait_word(&stage()->ready, 1, LONG_MS));
        NEED(brood_process_at_exit(exit_in_hook, (void *)6) == 0);
        if (strcmp(harness_part(), "fini") == 0)
            CHECK_RESULT(brood_fini(), 0);
        return;
    }
    static const char *const parts[] = { "return", "fini" };
    for (int i = 0; i < 2; i++) {
        memset(stage(), 0, sizeof *stage());
        CHECK_EQ(wait_child(harness_start(parts[i])), 6 << 8);
        check_order((int[]){ 7 }, 1);
        CHECK(wait_gone(atomic_load(&stage()->pid), LONG_MS));
    }
}

static int register_handler(void *arg)
{
    (void)arg;
    return atexit(own_handler);
}

static int handler_by_hook(void *arg)
{
    (void)arg;
    CHECK_RESULT(brood_process_at_exit(register_handler, NULL), 0);
    return 0;
}

/* A handler that is registered when the process is ending already is one of its own all the same. */
static void hook_registers(void)
{
    register_foreign();
    CHECK_EQ(end_of(start(handler_by_hook, NULL, 0)).how, BROOD_RETURNED);
    check_order((int[]){ 1 }, 1);
    CHECK_EQ(atomic_load(&stage()->foreign), 0);
}

static void start_in_handler(void)
{
    start(note_hook, (void *)0, 0);
}

static int begets_at_end(void *arg)
{
    (void)arg;
    return atexit(start_in_handler);
}

/* Its handlers may still start a process, which is then waited for. */
static void handler_starts(void)
{
    for (int i = 1; i <= 3; i++) {
        CHECK_EQ(end_of(start(begets_at_end, NULL, 0)).how, BROOD_RETURNED);
        CHECK_EQ(atomic_load(&stage()->count), i);
    }
}

/* ---- streams ---- */

static int print(void *arg)
{
    const char *text = arg;
    printf("%c", text[0]);
    if (text[1] == '\0')
        return 0;
    brood_end end = end_of(start(print, text + 1, strlen(text)));
    CHECK(end.how == BROOD_RETURNED || end.how == BROOD_EXITED);
    printf("%c", text[0] - 'a' + 'A');
    if (text[0] == 'x')
        exit(0);
    return 0;
}

static int print_and_leave(void *arg)
{
    printf("%s", (const char *)arg);
    _exit(0);
}

static void print_in_handler(void)
{
    printf("h");
}

static int print_at_end(void *arg)
{
    (void)arg;
    NEED(atexit(print_in_handler) == 0);
    return 0;
}

static int count_of(const char *text, char letter)
{
    int count = 0;
    for (; *text != '\0'; text++)
        count += *text == letter;
    return count;
}

/* The starter's, its child's and so on, a handler's: each letter once, none with a line's end. What a process that
 * leaves by _exit holds back is lost. */
static void printed_once(void)
{
    int ends[2], stdout_kept = dup(STDOUT_FILENO);
    static char other[64], text[256];
    static const char *const words[] = { "b", "xyz", "pqr" };
    NEED(pipe2(ends, O_CLOEXEC) == 0 && dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
    NEED(setvbuf(stdout, NULL, _IOFBF, 4096) == 0);
    FILE *file = fdopen(ends[1], "w");
    NEED(file != NULL && setvbuf(file, other, _IOFBF, sizeof other) == 0);
    for (int i = 0; i < 3; i++) {
        printf("%c", "123"[i]);
        fprintf(file, "%c", "456"[i]);
        CHECK_EQ(end_of(start(print, words[i], strlen(words[i]) + 1)).code, 0);
        printf("%c", "789"[i]);
    }
    CHECK_EQ(end_of(start(print_at_end, NULL, 0)).how, BROOD_RETURNED);
    CHECK_EQ(end_of(start(print_and_leave, "_", 2)).code, 0);
    fflush(stdout);
    NEED(dup2(stdout_kept, STDOUT_FILENO) == STDOUT_FILENO);
    close(stdout_kept);
    fclose(file);
    CHECK_RESULT(brood_fini(), 0); /* a fork server has our standard output too */
    ssize_t length = 0;
    for (ssize_t more = 1; more > 0; length += more)
        NEED((more = read(ends[0], text + length, sizeof text - 1 - (size_t)length)) >= 0);
    close(ends[0]);
    for (const char *letter = "123456789bxyzXYpqrPQh"; *letter != '\0'; letter++) {
        if (!CHECK_EQ(count_of(text, *letter), 1))
            CHECK_STR(text, "...");
    }
    CHECK_EQ((long long)strlen(text), 21);
}

struct flushing {
    atomic_int tid, called, flushed;
};

/* Has something to print, for which there is no room. */
static void *start_with_output(void *arg)
{
    struct flushing *flushing = arg;
    printf("s");
    atomic_store(&flushing->tid, gettid());
    CHECK_EQ(end_of(start(note_hook, NULL, 0)).how, BROOD_RETURNED);
    fflush(stdout);
    atomic_store(&flushing->flushed, 1);
    return NULL;
}

static void *call_meanwhile(void *arg)
{
    struct flushing *flushing = arg;
    CHECK(brood_process_children(NULL, 0) >= 0);
    CHECK_EQ(end_of(start(note_hook, NULL, 0)).how, BROOD_RETURNED);
    atomic_store(&flushing->called, 1);
    return NULL;
}

static bool sleeps(void *tid)
{
    return process_state(atomic_load((atomic_int *)tid)) == 'S';
}

/* Without waiting for more; how many of the letter were there. */
static int read_all(int end, char letter)
{
    char text[4096];
    int count = 0;
    for (ssize_t length; (length = read(end, text, sizeof text - 1)) > 0;) {
        text[length] = '\0';
        count += count_of(text, letter);
    }
    return count;
}

/* A start whose flush waits for the reader of standard output holds no other call up; and it is printed once. */
static void flush_waits(void)
{
    static struct flushing flushing;
    int ends[2], stdout_kept = dup(STDOUT_FILENO);
    pthread_t starter, caller;
    NEED(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    while (write(ends[1], "........", 8) > 0)
        continue;
    NEED(fcntl(ends[1], F_SETFL, 0) == 0 && dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
    NEED(setvbuf(stdout, NULL, _IOFBF, 4096) == 0);
    NEED(pthread_create(&starter, NULL, start_with_output, &flushing) == 0);
    CHECK(wait_word(&flushing.tid, 1, LONG_MS));
    CHECK(wait_until(sleeps, &flushing.tid, LONG_MS));
    NEED(pthread_create(&caller, NULL, call_meanwhile, &flushing) == 0);
    CHECK(wait_word(&flushing.called, 1, LONG_MS / 3));
    CHECK_EQ(atomic_load(&flushing.flushed), 0);
    int count = 0;
    while (atomic_load(&flushing.flushed) == 0)
        count += read_all(ends[0], 's');
    NEED(pthread_join(starter, NULL) == 0 && pthread_join(caller, NULL) == 0);
    NEED(dup2(stdout_kept, STDOUT_FILENO) == STDOUT_FILENO);
    close(stdout_kept);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count + read_all(ends[0], 's'), 1);
    close(ends[0]);
    close(ends[1]);
}

/* Each of these by each method: NAME_METHOD. */
static const struct test_case by_method[] = {
    { .name = "handlers", .run = handlers },
    { .name = "handlers_of_starter", .run = handlers_of_starter },
    { .name = "handlers_of_server", .run = handlers_of_server, .no_init = true },
    { .name = "no_memory_for_handlers", .run = no_memory_for_handlers, .no_init = true },
    { .name = "hook_exits", .run = hook_exits, .no_init = true },
    { .name = "hook_of_founder_exits", .run = hook_of_founder_exits },
    { .name = "hook_registers", .run = hook_registers },
    { .name = "handler_starts", .run = handler_starts },
    { .name = "printed_once", .run = printed_once },
    { .name = "flush_waits", .run = flush_waits },
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
