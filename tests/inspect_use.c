/* inspect_use.c: the tool `brood`: what it says of families that are well, and of those that are not. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT (16 << 20) /* other families, of thousands, may be shown too */

static char output[OUTPUT];
static void (*when_it_speaks)(void); /* called at the tool's first line */

/* Runs the tool; its exit status, and what it printed, errors too, in `output`. A signal is -1. */
static int tool(const char *format, int pid)
{
    char command[512], arguments[256];
    if (!TEST_TOOL[0])
        harness_skip("the tool is not built");
    snprintf(arguments, sizeof arguments, format, pid);
    snprintf(command, sizeof command, "ASAN_OPTIONS=detect_leaks=0 '%s' %s 2>&1", TEST_TOOL, arguments);
    FILE *pipe = popen(command, "re"); /* NOLINT(cert-env33-c) */
    NEED(pipe != NULL);
    size_t length = 0;
    output[0] = 0;
    if (when_it_speaks && fgets(output, OUTPUT, pipe)) {
        length = strlen(output);
        when_it_speaks();
    }
    length += fread(output + length, 1, OUTPUT - 1 - length, pipe);
    output[length] = 0;
    while (fgetc(pipe) != EOF)
        ;
    int status = pclose(pipe);
    return WIFEXITED(status) && WEXITSTATUS(status) < 100 ? WEXITSTATUS(status) : -1;
}

/* Whether python, where there is one, takes each line of what the tool printed for JSON. */
static void check_json(void)
{
    if (system("python3 -c 'import json' 2>/dev/null") != 0)
        return;
    FILE *pipe = popen("python3 -c 'import json,sys; [json.loads(l) for l in sys.stdin if l.strip()]'", "we");
    NEED(pipe != NULL);
    fputs(output, pipe);
    CHECK_EQ(pclose(pipe), 0);
}

/* ---- a family with two locks ---- */

struct shared {
    brood_lock first, second;
    _Atomic int ready, go;
};

static bool waits(void *count)
{
    return brood_waiter_list(NULL, NULL, 0) >= *(int *)count;
}

static void await_waiters(int count)
{
    NEED(wait_until(waits, &count, 10000));
}

static int take_second(void *arg)
{
    struct shared *shared = arg;
    return brood_lock_acquire(&shared->second, BROOD_FOREVER) < 0 || brood_lock_release(&shared->second) < 0;
}

static int hold_second(void *arg)
{
    struct shared *shared = arg;
    NEED(brood_lock_acquire(&shared->second, BROOD_FOREVER) >= 0);
    atomic_store(&shared->ready, 1);
    wait_word(&shared->go, 1, 60000);
    return brood_lock_release(&shared->second) < 0;
}

static int die_with_second(void *arg)
{
    struct shared *shared = arg;
    NEED(brood_lock_acquire(&shared->second, BROOD_FOREVER) >= 0);
    raise(SIGKILL);
    return 0;
}

static int second_then_first(void *arg)
{
    struct shared *shared = arg;
    NEED(brood_lock_acquire(&shared->second, BROOD_FOREVER) >= 0);
    atomic_store(&shared->ready, 1);
    wait_word(&shared->go, 1, 60000);
    return brood_lock_acquire(&shared->first, BROOD_FOREVER) < 0;
}

static int first_then_second(void *arg)
{
    struct shared *shared = arg;
    NEED(brood_lock_acquire(&shared->first, BROOD_FOREVER) >= 0);
    atomic_store(&shared->go, 1);
    return brood_lock_acquire(&shared->second, BROOD_FOREVER) < 0;
}

static struct shared *share(void)
{
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    NEED(shared != NULL);
    CHECK_RESULT(brood_lock_init(&shared->first, &(brood_lock_options){ .name = "first" }), 0);
    CHECK_RESULT(brood_lock_init(&shared->second, &(brood_lock_options){ .name = "second" }), 0);
    return shared;
}

static brood_process *start(brood_target *target, void *arg, const char *name)
{
    brood_process *process =
        CHECK_POINTER(brood_process_start(target, arg, 0, &(brood_process_options){ .name = name }));
    NEED(process != NULL);
    return process;
}

static void end(brood_process *process)
{
    brood_process_signal(process, SIGKILL);
    CHECK_RESULT(brood_process_join(process, NULL, 10000), 0);
    brood_process_close(process);
}

/* ---- ps ---- */

static void ps(void)
{
    char line[64];
    struct shared *shared = share();
    brood_process *holder = start(hold_second, shared, "holder");
    NEED(wait_word(&shared->ready, 1, 10000));
    brood_process *waiter = start(take_second, shared, "waiter");
    await_waiters(1);
    CHECK_EQ(tool("ps %d", getpid()), 0);
    CHECK_HAS(output, "family of 'main'");
    CHECK_HAS(output, "3 processes");
    CHECK_HAS(output, "waiter");
    snprintf(line, sizeof line, "lock 'second', held by 'holder' (%d), for ", brood_process_pid(holder));
    CHECK_HAS(output, line);
    CHECK(tool("ps", 0) >= 0); /* among all; others may be of another build */
    CHECK_HAS(output, line);
    CHECK_EQ(tool("ps --json %d", brood_process_pid(waiter)), 0);
    check_json();
    CHECK_HAS(output, "\"name\": \"waiter\"");
    CHECK_HAS(output, "\"what\": \"lock 'second'\"");
    end(waiter);
    end(holder);
}

static int nothing(void *arg)
{
    return arg != NULL;
}

/* Names are the program's bytes: no control character reaches the terminal, nor the JSON. */
static void ps_names(void)
{
    struct shared *shared = share();
    brood_process *process = start(hold_second, shared, "a\"b\\\x1b[31m\xff\x9b\xc2\x9b\xc3\xa9z");
    NEED(wait_word(&shared->ready, 1, 10000));
    CHECK_EQ(tool("ps %d", getpid()), 0);
    CHECK(strchr(output, '\x1b') == NULL && strchr(output, '\x9b') == NULL && strchr(output, '\xff') == NULL);
    CHECK_HAS(output, "???\xc3\xa9z"); /* what is none goes, what is one stays */
    CHECK_EQ(tool("ps --json %d", getpid()), 0);
    check_json();
    CHECK_HAS(output, "a\\\"b\\\\");
    end(process);
}

/* The program has locked a page of it in memory: so its mapping is several. */
static void ps_cut(void)
{
    char *block = CHECK_POINTER(brood_alloc(1 << 20));
    NEED(block != NULL);
    if (mlock(block, 4096) < 0)
        harness_skip("no memory may be locked");
    CHECK_EQ(tool("ps %d", getpid()), 0);
    CHECK_HAS(output, "1 process,");
}

/* The descriptor is gone: it is read by its mapping, or by a process' memory. */
static void ps_closed(void)
{
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    int status = tool("ps %d", getpid());
    if (status == 2 && strstr(output, "cannot be opened"))
        harness_skip("this user may not read a process' memory: %s", output);
    CHECK_EQ(status, 0);
    CHECK_HAS(output, "1 process,");
}

static void ps_none(void)
{
    CHECK_EQ(tool("ps %d", getpid()), 2); /* no brood_init yet */
    CHECK_HAS(output, "is in no family");
    pid_t child = fork_child(nothing, NULL);
    wait_child(child);
    CHECK_EQ(tool("ps %d", child), 2);
    CHECK_HAS(output, "there is no process");
    CHECK_EQ(tool("doctor %d", child), 2);
    CHECK_HAS(output, "there is no process");
    CHECK_EQ(tool("top %d", child), 2);
    CHECK_HAS(output, "there is no process");
}

static void misuse(void)
{
    CHECK_EQ(tool("", 0), 2);
    CHECK_EQ(tool("--help", 0), 0);
    CHECK_HAS(output, "usage: brood ps");
    CHECK_EQ(tool("ps --help", 0), 0);
    CHECK_EQ(tool("--version", 0), 0);
    CHECK_HAS(output, "brood ");
    CHECK_EQ(tool("trim", 0), 2);
    CHECK_HAS(output, "no such command: trim");
    CHECK_EQ(tool("ps --colour", 0), 2);
    CHECK_HAS(output, "no such option: --colour");
    CHECK_EQ(tool("ps 12x", 0), 2);
    CHECK_EQ(tool("ps 1 1", 0), 2);
    CHECK_EQ(tool("doctor", 0), 2);
    CHECK_EQ(tool("doctor --seconds 0 1", 0), 2);
    CHECK_EQ(tool("top --times", 0), 2);
    CHECK_EQ(tool("top --times 1.5", 0), 2);
    CHECK_HAS(output, "a whole number greater than 0 must follow: --times");
    CHECK_EQ(tool("top --seconds 100000", 0), 2);
    CHECK_HAS(output, "a number from 0.001 to 86400 must follow: --seconds");
    CHECK_EQ(tool("ps --seconds 1", 0), 2); /* others' options are none of its own */
    CHECK_HAS(output, "no such option: --seconds");
    CHECK_EQ(tool("doctor --times 1 1", 0), 2);
    CHECK_EQ(tool("top -o file", 0), 2);
    CHECK_EQ(tool("trace --json 1", 0), 2);
    CHECK_EQ(tool("--version >/dev/full", 0), 2);
    CHECK_EQ(tool("--help >/dev/full", 0), 2);
    CHECK_EQ(tool("ps >/dev/full", 0), 2);
}

/* ---- doctor ---- */

static void doctor_fine(void)
{
    CHECK_EQ(tool("doctor --seconds 0.1 %d", getpid()), 0);
    CHECK_HAS(output, "Nothing wrong was found.");
    CHECK_EQ(tool("doctor --json --seconds 0.1 %d", getpid()), 0);
    check_json();
    CHECK_HAS(output, "\"findings\": []");
}

static void doctor_deadlock(void)
{
    struct shared *shared = share();
    brood_process *one = start(second_then_first, shared, "one");
    NEED(wait_word(&shared->ready, 1, 10000));
    brood_process *two = start(first_then_second, shared, "two");
    await_waiters(2);
    CHECK_EQ(tool("doctor --seconds 0.2 %d", getpid()), 1);
    CHECK_HAS(output, "Deadlock of 2: ");
    CHECK_HAS(output, "waits for lock 'first', held by");
    CHECK_HAS(output, "waits for lock 'second', held by");
    CHECK_HAS(output, "Advice: ");
    CHECK_EQ(tool("doctor --seconds 0.2 --json %d", getpid()), 1);
    check_json();
    CHECK_HAS(output, "\"kind\": \"deadlock\"");
    CHECK(strstr(strstr(output, "\"kind\": \"deadlock\"") + 1, "\"kind\": \"deadlock\"") == NULL); /* once */
    end(one);
    end(two);
}

static void doctor_stopped(void)
{
    struct shared *shared = share();
    brood_process *holder = start(hold_second, shared, "holder");
    NEED(wait_word(&shared->ready, 1, 10000));
    brood_process *waiter = start(take_second, shared, "waiter");
    await_waiters(1);
    kill(brood_process_pid(holder), SIGSTOP);
    int status;
    for (int i = 0; i < 30; i++) /* it is told when somebody has waited for a second */
        if ((status = tool("doctor --seconds 0.3 %d", getpid())) != 1 || strstr(output, "holds lock 'second'"))
            break;
    CHECK_EQ(status, 1);
    CHECK_HAS(output, "'holder' (");
    CHECK_HAS(output, "holds lock 'second', for which 1 thread waits");
    CHECK_HAS(output, "kill -CONT");
    end(waiter);
    end(holder);
}

static void doctor_dead_holder(void)
{
    brood_end how;
    struct shared *shared = share();
    brood_process *victim = start(die_with_second, shared, "victim");
    int pid = brood_process_pid(victim);
    CHECK_RESULT(brood_process_join(victim, &how, 10000), 0);
    char line[64];
    CHECK_EQ(tool("doctor --seconds 0.1 %d", getpid()), 1);
    snprintf(line, sizeof line, "Process %d died with lock 'second' in hand", pid);
    CHECK_HAS(output, line);
    CHECK_RESULT(brood_lock_acquire(&shared->second, 0), BROOD_INHERITED);
    CHECK_RESULT(brood_lock_release(&shared->second), 0);
    CHECK_EQ(tool("doctor --seconds 0.1 %d", getpid()), 0); /* mended */
    brood_process_close(victim);
}

static int put_on(void *arg)
{
    for (int i = 0; i < 5; i++)
        if (brood_queue_put(arg, &i, sizeof i, BROOD_FOREVER) < 0)
            return 1;
    return 0;
}

static void doctor_full_queue(void)
{
    brood_queue *queue = CHECK_POINTER(brood_queue_create(&(brood_queue_options){ .name = "jobs", .max_messages = 4 }));
    brood_process *putter = start(put_on, queue, "putter");
    await_waiters(1);
    CHECK_EQ(tool("doctor --seconds 0.2 %d", getpid()), 1);
    CHECK_HAS(output, "Queue 'jobs' is full: 4 of 4 messages, 16 bytes");
    CHECK_HAS(output, "1 thread waits to put more");
    int message;
    CHECK_RESULT(brood_queue_get(queue, &message, sizeof message, NULL, 1000), 0);
    CHECK_RESULT(brood_process_join(putter, NULL, 10000), 0);
    CHECK_RESULT(brood_queue_get(queue, &message, sizeof message, NULL, 1000), 0);
    CHECK_EQ(tool("doctor --seconds 0.2 %d", getpid()), 0);
    brood_process_close(putter);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static int crash(const void *in, void *out)
{
    (void)in;
    (void)out;
    raise(SIGKILL);
    return 0;
}

static int crash_for_ever(void *arg)
{
    static int numbers[1000];
    (void)arg;
    brood_pool *pool = brood_pool_create(2, &(brood_pool_options){ .name = "crashers" });
    while (pool)
        brood_pool_map(pool, crash, numbers, sizeof *numbers, NULL, 0, 1000, NULL);
    return 1;
}

static void doctor_crashing_pool(void)
{
    brood_process *owner = start(crash_for_ever, NULL, "owner");
    bool told = false;
    for (int i = 0; i < 20 && !told; i++) /* until the pool is there */
        told = tool("doctor --seconds 0.3 %d", getpid()) == 1;
    CHECK(told);
    CHECK_HAS(output, "Pool 'crashers' keeps losing workers");
    end(owner);
}

static int pause_ms(const void *in, void *out)
{
    (void)out;
    pass_us(*(const int *)in * 1000LL);
    return 0;
}

/* A pool after the other, at one address: none loses a worker. */
static int create_for_ever(void *arg)
{
    static int numbers[20];
    brood_pool *pool;
    (void)arg;
    for (int i = 0; i < 20; i++)
        numbers[i] = 10;
    while ((pool = brood_pool_create(2, &(brood_pool_options){ .name = "fresh" }))) {
        brood_pool_map(pool, pause_ms, numbers, sizeof *numbers, NULL, 0, 20, NULL);
        brood_pool_destroy(pool);
        atomic_fetch_add((_Atomic int *)harness_page(), 1);
    }
    return 1;
}

static void doctor_pools_anew(void)
{
    _Atomic int *rounds = harness_page();
    brood_process *owner = start(create_for_ever, NULL, "owner");
    NEED(wait_word(rounds, 3, 15000));
    CHECK_EQ(tool("doctor --seconds 0.5 %d", getpid()), 0);
    CHECK_HAS(output, "Nothing wrong was found.");
    NEED(wait_word(rounds, atomic_load(rounds) + 1, 15000));
    end(owner);
}

/* ---- top ---- */

static int map_for_ever(void *arg)
{
    static int numbers[1000];
    (void)arg;
    for (int i = 0; i < 1000; i++)
        numbers[i] = 5;
    brood_pool *pool = brood_pool_create(2, &(brood_pool_options){ .name = "mappers" });
    while (pool)
        brood_pool_map(pool, pause_ms, numbers, sizeof *numbers, NULL, 0, 1000, &(brood_task_options){ .chunk = 1 });
    return 1;
}

static void top(void)
{
    brood_queue *queue = CHECK_POINTER(brood_queue_create(&(brood_queue_options){ .name = "jobs" }));
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_queue_put(queue, &i, sizeof i, 0), 0);
    brood_process *owner = start(map_for_ever, NULL, "owner");
    bool seen = false;
    for (int i = 0; i < 20 && !seen; i++) {
        CHECK_EQ(tool("top --times 2 --seconds 0.3 %d", getpid()), 0);
        seen = strstr(output, "/s") && strstr(output, "items (");
    }
    CHECK(seen);
    CHECK_HAS(output, "'mappers' of process");
    CHECK_HAS(output, "2 workers, 2 alive");
    CHECK_HAS(output, "map: ");
    CHECK_HAS(output, "queue 'jobs'");
    CHECK_HAS(output, "HEAP ");
    CHECK_HAS(output, "owner ");
    CHECK_EQ(tool("top --json --times 2 --seconds 0.1 %d", getpid()), 0);
    check_json();
    CHECK_HAS(output, "\"kind\": \"map\"");
    CHECK_HAS(output, "\"messages\": 3");
    end(owner);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static void *wait_here(void *arg)
{
    atomic_store((_Atomic int *)harness_page(), gettid());
    wait_word(arg, 1, 30000);
    return NULL;
}

/* A family is also known by the id of a thread, as ps prints those of waits. */
static void by_thread(void)
{
    pthread_t thread;
    _Atomic int end = 0, *id = harness_page();
    NEED(pthread_create(&thread, NULL, wait_here, &end) == 0);
    NEED(wait_word(id, 1, 10000));
    CHECK_EQ(tool("ps %d", atomic_load(id)), 0);
    CHECK_HAS(output, "1 process,");
    CHECK_EQ(tool("top --times 2 --seconds 0.05 %d", atomic_load(id)), 0);
    CHECK_HAS(output, "FAMILY of 'main'");
    atomic_store(&end, 1);
    pthread_join(thread, NULL);
}

static void let_end(void)
{
    *(_Atomic int *)harness_page() = 2;
}

/* A family that ends while it is looked at is said to have ended. */
static void top_ended(void)
{
    if (harness_part()) {
        NEED(brood_init(NULL) >= 0);
        *(_Atomic int *)harness_page() = 1;
        wait_word(harness_page(), 2, 15000);
        return;
    }
    pid_t founder = harness_start("founder");
    NEED(wait_word(harness_page(), 1, 10000));
    when_it_speaks = let_end;
    CHECK_EQ(tool("top --seconds 0.2 --times 100 %d", founder), 0);
    CHECK_HAS(output, "The family has ended.");
    wait_child(founder);
}

/* ---- a terminal ---- */

struct terminal {
    int master;
    pid_t tool;
};

/* `top` of this process in a terminal of its own, which hanging up does not kill. */
static struct terminal start_top(const char *term)
{
    char pid[16];
    struct terminal terminal = { .master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC) };
    NEED(terminal.master >= 0 && grantpt(terminal.master) == 0 && unlockpt(terminal.master) == 0);
    snprintf(pid, sizeof pid, "%d", getpid());
    terminal.tool = fork();
    if (terminal.tool == 0) {
        setsid();
        int slave = open(ptsname(terminal.master), O_RDWR); /* NOLINT(concurrency-mt-unsafe) */
        signal(SIGHUP, SIG_IGN);
        setenv("TERM", term, 1);                     /* NOLINT(concurrency-mt-unsafe) */
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* NOLINT(concurrency-mt-unsafe) */
        for (int fd = 0; fd < 3; fd++)
            dup2(slave, fd);
        execl(TEST_TOOL, TEST_TOOL, "top", "--seconds", "0.2", pid, (char *)NULL);
        _exit(127);
    }
    return terminal;
}

/* Reads on until that has come. */
static bool shows(const struct terminal *terminal, const char *text)
{
    size_t length = 0;
    long long end = now_ms() + 10000;
    output[0] = 0;
    while (!strstr(output, text) && now_ms() < end && length < OUTPUT - 1) {
        struct pollfd ready = { .fd = terminal->master, .events = POLLIN };
        ssize_t got = poll(&ready, 1, 100) > 0 ? read(terminal->master, output + length, OUTPUT - 1 - length) : 0;
        if (got < 0)
            break;
        length += (size_t)got;
        output[length] = 0;
    }
    return strstr(output, text) != NULL;
}

static int end_top(const struct terminal *terminal)
{
    if (!CHECK(wait_gone(terminal->tool, 10000)))
        kill(terminal->tool, SIGKILL);
    return wait_child(terminal->tool);
}

static void top_screen(void)
{
    if (!TEST_TOOL[0])
        harness_skip("the tool is not built");
    struct terminal terminal = start_top("xterm");
    if (!shows(&terminal, "q: end")) { /* it prints: there is no ncurses, or no terminfo */
        CHECK_HAS(output, "FAMILY of 'main'");
        kill_child(terminal.tool);
        close(terminal.master);
        return;
    }
    CHECK_EQ(write(terminal.master, "q", 1), 1);
    CHECK(shows(&terminal, "\x1b[?1049l")); /* the screen from before */
    CHECK_EQ(end_top(&terminal), 0);
    close(terminal.master);

    terminal = start_top("xterm");
    CHECK(shows(&terminal, "q: end"));
    kill(terminal.tool, SIGINT);
    CHECK(shows(&terminal, "\x1b[?1049l"));
    end_top(&terminal);
    close(terminal.master);

    terminal = start_top("xterm"); /* hung up: it does not run on */
    CHECK(shows(&terminal, "q: end"));
    close(terminal.master);
    end_top(&terminal);
}

/* A terminal that nobody knows is printed to. */
static void top_unknown_terminal(void)
{
    if (!TEST_TOOL[0])
        harness_skip("the tool is not built");
    struct terminal terminal = start_top("no-such-terminal");
    CHECK(shows(&terminal, "FAMILY of 'main'"));
    CHECK_EQ(WTERMSIG(kill_child(terminal.tool)), SIGKILL);
    close(terminal.master);
}

/* ---- a container ---- */

static void found_below(_Atomic int *page)
{
    char self[16] = "";
    if (readlink("/proc/self", self, sizeof self - 1) > 0 && brood_init(NULL) >= 0) /* outside's /proc, outside's id */
        atomic_store(&page[1], atoi(self));
    atomic_store(&page[0], 1);
    wait_word(page, 2, 15000);
    _exit(0);
}

/* The ids that such a family knows itself by are others' outside, where nobody must be told to kill them. */
static void contained(void)
{
    _Atomic int *page = harness_page();
    if (harness_part()) {
        if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0) {
            atomic_store(&page[0], 2);
            return;
        }
        pid_t first = fork();
        if (first == 0)
            found_below(page);
        wait_child(first);
        return;
    }
    pid_t outside = harness_start("outside");
    NEED(wait_word(page, 1, 10000));
    int founder = atomic_load(&page[1]);
    if (founder) {
        CHECK_EQ(tool("ps %d", founder), 2);
        CHECK_HAS(output, "in a container");
        CHECK_EQ(tool("doctor --seconds 0.05 %d", founder), 2);
        CHECK_HAS(output, "in a container");
    }
    atomic_store(&page[0], 2);
    wait_child(outside);
    if (!founder)
        harness_skip("no family can be founded in a pid namespace here");
}

/* ---- what lies there may be anything ---- */

static void *region_base(size_t *size)
{
    unsigned long long start = 0, end = 0, from, to;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "/memfd:brood") && sscanf(line, "%llx-%llx", &from, &to) == 2) {
            start = from;
            end = to;
        }
    if (maps)
        fclose(maps);
    *size = (size_t)(end - start);
    return (void *)(uintptr_t)start;
}

#define HEAD 64          /* what says that this is a region, its size, and where table and heap are */
#define SCRIBBLED 400000 /* bytes behind that */

/* Scribbles over the region's tables, as often as it is told to; never to use them again. */
static void scribble(void)
{
    size_t size;
    uint32_t seed = 4711;
    _Atomic int *round = harness_page();
    NEED(brood_init(&(brood_init_options){ .limit = 4 << 20 }) >= 0);
    struct shared *shared = share();
    brood_queue *queue = brood_queue_create(NULL);
    NEED(shared && queue);
    uint64_t base = (uint64_t)(uintptr_t)region_base(&size);
    NEED(base != 0);
    for (int done = 0;;) {
        uint64_t *words = (uint64_t *)(uintptr_t)base;
        for (size_t i = HEAD / 8; i < SCRIBBLED / 8; i++) {
            uint32_t number = random_next(&seed);
            if (number % (done % 2 ? 3 : 50) == 0) /* pointers, small numbers, large ones */
                words[i] = number % 4 == 0   ? base + random_next(&seed) % (4 << 20) / 8 * 8
                           : number % 4 == 1 ? random_next(&seed) % 100
                                             : (uint64_t)random_next(&seed) << 32 | random_next(&seed);
        }
        atomic_store(round, ++done * 2);
        while (atomic_load(round) == done * 2)
            pass_us(1000);
    }
}

static void torn(void)
{
    if (harness_part()) {
        scribble();
        return;
    }
    _Atomic int *round = harness_page();
    pid_t founder = harness_start("founder");
    for (int i = 1; i <= 6; i++) {
        NEED(wait_word(round, i * 2, 10000));
        CHECK(tool("ps %d", founder) >= 0);
        CHECK(tool("doctor --seconds 0.05 %d", founder) >= 0);
        CHECK(tool("top --times 2 --seconds 0.05 --json %d", founder) >= 0);
        atomic_fetch_add(round, 1);
    }
    kill_child(founder);
}

/* A region of another version, made by hand. */
static void other_version(void)
{
    struct {
        uint64_t magic, layout;
        char version[16];
        uint64_t base, size;
    } head = {
        .magic = UINT64_C(0x42524f4f44) << 24 | 4, .layout = 1, .version = "9.9.9\x1b[2Jxxxxxxx", .size = 1 << 20
    };
    int fd = memfd_create("brood", MFD_CLOEXEC);
    NEED(fd >= 0 && ftruncate(fd, 1 << 20) == 0);
    uint64_t *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    NEED(map != MAP_FAILED);
    head.base = (uint64_t)(uintptr_t)map;
    memcpy(map, &head, sizeof head);
    CHECK_EQ(tool("ps %d", getpid()), 2);
    CHECK_HAS(output, "made by brood 9.9.9?[2Jxxxxxx, in another build than this tool's");
    CHECK_EQ(tool("doctor %d", getpid()), 2);
    CHECK_HAS(output, "9.9.9");
    map[0]++;
    CHECK_EQ(tool("top --times 1 %d", getpid()), 2);
    CHECK_HAS(output, "a brood of another layout");
    map[0] = 1;
    CHECK_EQ(tool("ps %d", getpid()), 2);
    CHECK_HAS(output, "which is none");
    map[0] = 0;
    CHECK_EQ(tool("ps %d", getpid()), 2);
    CHECK_HAS(output, "is just founding its family");
}

/* Nothing that the tool does changes a byte of the region: it has as many pages, too. */
static void harmless(void)
{
    size_t size, page = (size_t)sysconf(_SC_PAGESIZE);
    NEED(brood_init(&(brood_init_options){ .limit = 16 << 20 }) >= 0);
    share();
    NEED(brood_queue_create(NULL) != NULL);
    char *base = region_base(&size), *copy = malloc(size ? size : 1);
    unsigned char *before = malloc(size / page + 1), *after = malloc(size / page + 1);
    NEED(base && copy && before && after);
    /* Of what is there, since a look at a hole fills it. */
    NEED(mincore(base, size, before) == 0);
    for (size_t i = 0; i < size / page; i++)
        if (before[i] & 1)
            memcpy(copy + i * page, base + i * page, page);
    CHECK(tool("ps %d", getpid()) == 0);
    CHECK(tool("doctor --seconds 0.05 %d", getpid()) == 0);
    CHECK(tool("top --times 2 --seconds 0.05 %d", getpid()) == 0);
    NEED(mincore(base, size, after) == 0);
    CHECK(memcmp(before, after, size / page) == 0);
    for (size_t i = 0; i < size / page; i++)
        if (before[i] & 1)
            CHECK(memcmp(copy + i * page, base + i * page, page) == 0);
    free(copy);
    free(before);
    free(after);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = { { .name = "ps", .run = ps },
                                              { .name = "ps_names", .run = ps_names },
                                              { .name = "ps_cut", .run = ps_cut },
                                              { .name = "ps_closed", .run = ps_closed },
                                              { .name = "ps_none", .run = ps_none, .no_init = true },
                                              { .name = "misuse", .run = misuse, .no_init = true },
                                              { .name = "doctor_fine", .run = doctor_fine },
                                              { .name = "doctor_deadlock", .run = doctor_deadlock },
                                              { .name = "doctor_stopped", .run = doctor_stopped },
                                              { .name = "doctor_dead_holder", .run = doctor_dead_holder },
                                              { .name = "doctor_full_queue", .run = doctor_full_queue },
                                              { .name = "doctor_crashing_pool", .run = doctor_crashing_pool },
                                              { .name = "doctor_pools_anew", .run = doctor_pools_anew },
                                              { .name = "top", .run = top },
                                              { .name = "by_thread", .run = by_thread },
                                              { .name = "top_ended", .run = top_ended, .no_init = true },
                                              { .name = "top_screen", .run = top_screen, .deadline_s = 60 },
                                              { .name = "top_unknown_terminal", .run = top_unknown_terminal },
                                              { .name = "contained", .run = contained, .no_init = true },
                                              { .name = "torn", .run = torn, .no_init = true },
                                              { .name = "other_version", .run = other_version, .no_init = true },
                                              { .name = "harmless", .run = harmless, .no_init = true },
                                              { .name = NULL } };
    return harness_main(argc, argv, cases);
}
