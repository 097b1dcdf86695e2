/* os/libc_musl.c
 *
 * A thread that ends by pthread_exit(3), or by returning, is no death to the kernel here: musl walks the list itself,
 * and would take our words for mutexes, whose waiters it wakes in another way. So a destructor of the thread's comes
 * first, marks what is the region's as the kernel would, and takes it out of the list.
 */
#include "os/libc.h"

#ifdef __GLIBC__
#error "this is glibc: CMake could not ask the compiler for it (BROOD_LIBC_IS_GLIBC)"
#endif

#include "os/futex.h"
#include "os/robust.h"
#include "os/shm.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern int __cxa_atexit(void (*handler)(void *), void *arg, void *module); /* the C++ ABI's; no header has it */

static struct robust_list_head *list_of_thread(void)
{
    struct robust_list_head *head = NULL;
    size_t size = 0;
    return syscall(SYS_get_robust_list, 0, &head, &size) == 0 && size == sizeof *head ? head : NULL;
}

/* What the kernel does for each word of a dead thread. It is the pending one meanwhile, should we be killed. */
static void mark(struct robust_list_head *head, struct robust_word *held)
{
    void *volatile *pending = (void *volatile *)(void *)&head->list_op_pending;
    *pending = &held->next;
    atomic_signal_fence(memory_order_seq_cst);
    robust_delist(head, held);
    uint32_t word = atomic_load(&held->word), marked;
    do
        marked = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    while (!atomic_compare_exchange_weak(&held->word, &word, marked));
    if (marked & FUTEX_WAITERS)
        futex_wake(&held->word, 1);
    atomic_signal_fence(memory_order_seq_cst);
    *pending = NULL;
}

static pthread_key_t ending;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

/* In the last round of destructors: others may still use what is held. `round`: one of `rounds`. */
static char rounds[PTHREAD_DESTRUCTOR_ITERATIONS];

static void at_thread_end(void *round)
{
    char *next = (char *)round + 1;
    if (next < rounds + sizeof rounds) {
        pthread_setspecific(ending, next);
        return;
    }
    struct robust_list_head *head = list_of_thread();
    struct robust_word *next_word;
    for (struct robust_word *held = head ? robust_listed(head, NULL) : NULL; held; held = next_word) {
        next_word = robust_listed(head, held);
        if (shm_holds(held))
            mark(head, held);
    }
}

/* musl tells the kernel of a thread's list when the thread first locks a robust mutex that processes share. */
static void lock_one(void)
{
    pthread_mutexattr_t kind;
    pthread_mutex_t mutex;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    if (pthread_mutex_init(&mutex, &kind) == 0 && pthread_mutex_lock(&mutex) == 0)
        pthread_mutex_unlock(&mutex);
}

/* A forked child begins with its parent's list, and would link its own words to words that the parent holds. */
static _Thread_local struct robust_list_head *known;

static void forget_list(void)
{
    if (known)
        known->list.next = &known->list;
}

/* The word that the kernel clears at each thread's end: musl's lock of its list of threads, with which a thread ends.
 * NULL: not known. */
static pid_t *cleared_word;

static pid_t *find_cleared_word(void)
{
    pid_t *word = NULL;
    return prctl(PR_GET_TID_ADDRESS, &word) == 0 ? word : NULL;
}

/* musl 1.2.3 does not tell the kernel of that word again in a forked child, whose first thread would end with the lock
 * for ever. */
static void begin_forked(void)
{
    forget_list();
    if (cleared_word && !find_cleared_word())
        syscall(SYS_set_tid_address, cleared_word);
}

static void make_key(void)
{
    cleared_word = find_cleared_word();
    has_key = pthread_key_create(&ending, at_thread_end) == 0 && pthread_atfork(NULL, NULL, begin_forked) == 0;
}

bool libc_list_robust(void)
{
    pthread_once(&once, make_key);
    if (!has_key || pthread_setspecific(ending, rounds) != 0)
        return false;
    if (list_of_thread())
        return true;
    forget_list();
    lock_one();
    known = list_of_thread();
    return known != NULL;
}

bool libc_is_single_threaded(void)
{
    struct stat tasks;
    return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink <= 3; /* ".", "..", the thread */
}

bool libc_fork_frees_streams(void)
{
    return false;
}

/* The word that the kernel clears is not the id, which lies in struct pthread, somewhere before the list. */
bool libc_find_thread_id(const struct robust_list_head *head, pid_t **id, pid_t **cleared)
{
    pid_t self = gettid();
    *cleared = find_cleared_word();
    if (!*cleared)
        return false;
    for (*id = (pid_t *)(void *)pthread_self(); (void *)*id < (const void *)head; (*id)++)
        if (**id == self)
            return true;
    return false;
}

/* What exit was called with. musl itself calls its own: with 0, when the last thread ends. */
static int exit_status;

/* Of a static program: what musl's exit does, in parts that musl has for itself. */
extern void __funcs_on_exit(void) __attribute__((weak));
extern void __stdio_exit(void) __attribute__((weak));
extern void (*const __fini_array_start[])(void) __attribute__((weak, visibility("hidden")));
extern void (*const __fini_array_end[])(void) __attribute__((weak, visibility("hidden")));

static void end_static(void)
{
    if (__funcs_on_exit)
        __funcs_on_exit();
    for (size_t left = (size_t)(__fini_array_end - __fini_array_start); left > 0; left--)
        __fini_array_start[left - 1]();
    if (__stdio_exit)
        __stdio_exit();
}

/* The program's calls of exit(3) come here, since musl's tells its handlers no status, and a forked child must end with
 * it before the handlers of its starter. */
__attribute__((visibility("default"))) _Noreturn void exit(int status)
{
    void (*next)(int status) = NULL;
    void *found = dlsym(RTLD_NEXT, "exit");
    exit_status = status & 0xff;
    memcpy(&next, &found, sizeof next);
    if (next)
        next(status);
    end_static();
    _Exit(status);
}

static void (*exit_handler)(int status, void *arg);

static void at_exit(void *arg)
{
    exit_handler(exit_status, arg);
}

int libc_on_exit(void (*handler)(int status, void *arg), void *arg)
{
    exit_handler = handler;
    return __cxa_atexit(at_exit, arg, NULL) == 0 ? 0 : -ENOMEM;
}

const char *libc_signal_abbreviation(int signal)
{
    static const char *const names[] = {
        [SIGHUP] = "HUP",       [SIGINT] = "INT",   [SIGQUIT] = "QUIT",   [SIGILL] = "ILL",   [SIGTRAP] = "TRAP",
        [SIGABRT] = "ABRT",     [SIGBUS] = "BUS",   [SIGFPE] = "FPE",     [SIGKILL] = "KILL", [SIGUSR1] = "USR1",
        [SIGSEGV] = "SEGV",     [SIGUSR2] = "USR2", [SIGPIPE] = "PIPE",   [SIGALRM] = "ALRM", [SIGTERM] = "TERM",
        [SIGSTKFLT] = "STKFLT", [SIGCHLD] = "CHLD", [SIGCONT] = "CONT",   [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
        [SIGTTIN] = "TTIN",     [SIGTTOU] = "TTOU", [SIGURG] = "URG",     [SIGXCPU] = "XCPU", [SIGXFSZ] = "XFSZ",
        [SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH", [SIGIO] = "POLL",   [SIGPWR] = "PWR",
        [SIGSYS] = "SYS",
    };
    return signal > 0 && (size_t)signal < sizeof names / sizeof *names ? names[signal] : NULL;
}
