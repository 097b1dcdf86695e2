/* os/child.c: fork, vfork and execveat, pidfds, parent death. */
#include "os/child.h"

#include "os/clock.h"
#include "os/libc.h"
#include "os/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILD_P_PIDFD 3        /* P_PIDFD: Linux 5.4 */
#define CHILD_PIDFS 0x50494446 /* PID_FS_MAGIC: Linux 6.9 */
#define STAYING_LEAST 200      /* the number of a descriptor that stays open */
#define CHILD_OOM_STEP 150     /* of 1,000: two steps between a pool's creator and its workers */

/* Whether this process is an ordinary user's, who cannot become another. */
static bool has_one_user(void)
{
    uid_t real, effective, saved;
    return getresuid(&real, &effective, &saved) == 0 && real != 0 && real == effective && real == saved &&
           !getauxval(AT_SECURE);
}

enum child_tie child_tie(void)
{
    if (!thread_is_main())
        return CHILD_TO_PIPE;
    return has_one_user() ? CHILD_TO_THREAD : CHILD_TO_BOTH;
}

/* The pipe of that writing end, opened once more. Not by /proc/self, which is empty once the first thread has ended. */
static int open_to_read(int writer)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/thread-self/fd/%d", writer);
    int fd = writer < 0 ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && child_clear_of_streams(&fd, 1) < 0 ? -1 : fd;
}

int child_bind(struct child_bond *bond, enum child_tie tie, int writer)
{
    *bond = (struct child_bond){ .tie = tie, .parent = getpid(), .pipe = { -1, -1 } };
    if (!(tie & CHILD_TO_PIPE))
        return 0;
    int fd = open_to_read(writer), failed = 0;
    if (fd >= 0) {
        bond->pipe[0] = fd;
        bond->pipe[1] = writer;
    } else {
        failed = pipe2(bond->pipe, O_CLOEXEC) < 0 ? -errno : child_clear_of_streams(bond->pipe, 2);
    }
    if (failed == 0) { /* all but whom to signal, which the child says */
        fcntl(bond->pipe[0], F_SETSIG, SIGKILL);
        fcntl(bond->pipe[0], F_SETFL, O_ASYNC);
        return 0;
    }
    bond->tie = tie & CHILD_TO_THREAD;
    bond->pipe[0] = bond->pipe[1] = -1;
    return bond->tie ? 0 : failed;
}

int child_clear_of_streams(int *fds, int count)
{
    int failed = 0;
    for (int i = 0; i < count && !failed; i++) {
        if (fds[i] > 2)
            continue;
        int clear = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (clear < 0) {
            failed = errno;
        } else {
            close(fds[i]);
            fds[i] = clear;
        }
    }
    for (int i = 0; i < count && failed; i++)
        close(fds[i]);
    return -failed;
}

void child_follow(const struct child_bond *bond)
{
    bool dead = false;
    if (bond->tie & CHILD_TO_THREAD) {
        syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* not by name: see child_rename */
        dead = syscall(SYS_getppid) != bond->parent;
    }
    if (bond->tie & CHILD_TO_PIPE) {
        struct pollfd end = { .fd = bond->pipe[0], .events = POLLIN };
        struct timespec now = { 0, 0 };
        syscall(SYS_close, bond->pipe[1]);
        syscall(SYS_fcntl, end.fd, F_SETFD, 0); /* the tie outlives an exec, as the other one does */
        syscall(SYS_fcntl, end.fd, F_SETOWN, (int)syscall(SYS_getpid));
        dead = dead || syscall(SYS_ppoll, &end, 1, &now, NULL, 0) > 0;
    }
    if (dead)
        kill(getpid(), SIGKILL);
}

bool child_has_death_signal(void)
{
    int signal = 0;
    return prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGKILL;
}

/* By number, since `syscall` is bound already and a lazily bound name would cost a fresh child several page faults. */
void child_rename(const char *name)
{
    syscall(SYS_prctl, PR_SET_NAME, name, 0, 0, 0);
}

/* A forked child whose streams may be held by threads that only its parent has. */
static bool has_torn_streams;

void child_flush(void)
{
    if (thread_is_only() && !has_torn_streams) {
        fflush(NULL);
        return;
    }
    /* Another thread may hold a stream for as long as it likes: only these two are worth a wait. */
    FILE *streams[] = { stdout, stderr };
    for (int i = 0; i < 2; i++) {
        if (ftrylockfile(streams[i]) != 0)
            continue;
        fflush(streams[i]);
        funlockfile(streams[i]);
    }
}

pid_t child_fork(void)
{
    bool alone = thread_is_only();
    pid_t pid = fork();
    if (pid == 0 && !alone) { /* what other threads have written since the flush is their process' to print */
        __fpurge(stdout);
        __fpurge(stderr);
        has_torn_streams = !libc_fork_frees_streams();
    }
    return pid < 0 ? -errno : pid;
}

int child_out_of_the_way(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STAYING_LEAST);
    if (moved < 0) {
        int failed = child_clear_of_streams(&fd, 1);
        return failed < 0 ? failed : fd;
    }
    close(fd);
    return moved;
}

/* clone(2) by hand: its arguments stand in another order on x86-64 than elsewhere. */
static pid_t clone_process(unsigned long flags, _Atomic int32_t *pid, pid_t *thread_id)
{
#ifdef __x86_64__
    return (pid_t)syscall(SYS_clone, flags, 0UL, pid, thread_id, 0UL);
#else
    return (pid_t)syscall(SYS_clone, flags, 0UL, pid, 0UL, thread_id);
#endif
}

pid_t child_fork_sibling(_Atomic int32_t *pid)
{
    struct robust_list_head *head = NULL;
    size_t size = 0;
    if (syscall(SYS_get_robust_list, 0, &head, &size) < 0 || !head)
        return -ENOSYS;
    pid_t *thread_id = NULL, *cleared = NULL;
    if (!libc_find_thread_id(head, &thread_id, &cleared))
        return -ENOSYS;
    pid_t child = clone_process(
        CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, pid, thread_id);
    if (child == 0) { /* what fork(3) does besides: the child holds none of its parent's robust locks */
        head->list.next = &head->list;
        head->list_op_pending = NULL;
        syscall(SYS_set_robust_list, head, size);
        if (cleared != thread_id)
            syscall(SYS_set_tid_address, cleared);
    }
    return child < 0 ? -errno : child;
}

_Noreturn void child_leave(int code)
{
    child_flush();
    _exit(code & 0xff);
}

struct failure {
    bool seen;  /* the memory is the parent's: where vfork(2) is only a fork, as under some checkers, nothing is told */
    bool began; /* it came as far as the exec */
    int outcome; /* of the setup */
    int error;   /* of the exec */
};

/* Between vfork and exec: the parent's memory, on the parent's stack; nothing here may be seen by it afterwards but
 * what is meant to be. */
static void become_program(const struct child_program *plan, const sigset_t *mask, volatile struct failure *failure)
{
    char digits[11];
    int at = 10;
    failure->seen = true;
    pid_t pid = getpid();
    digits[at] = 0;
    for (pid_t rest = pid; rest || at == 10; rest /= 10)
        digits[--at] = (char)('0' + rest % 10);
    memcpy(plan->pid_text, digits + at, (size_t)(11 - at));
    atomic_store(plan->pid_shared, pid);
    failure->outcome = setup_apply(plan->setup, plan->keep, plan->keep_count, true);
    if (failure->outcome)
        return;
    child_follow(plan->bond);
    for (int i = 0; i < plan->keep_count; i++)
        if (plan->keep[i] >= 0)
            fcntl(plan->keep[i], F_SETFD, 0);
    /* A handler of the parent's must not run here, once signals are let through. */
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;
        if (sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
            action.sa_handler = SIG_DFL;
            action.sa_flags = 0;
            sigaction(signal, &action, NULL);
        }
    }
    pthread_sigmask(SIG_SETMASK, mask, NULL);
    failure->began = true;
    syscall(SYS_execveat, plan->program, "", plan->arguments, plan->environment, AT_EMPTY_PATH);
    failure->error = errno;
}

/* Apart from its caller so that no variable of that lives across the vfork in a register. */
static __attribute__((noinline)) pid_t vfork_program(const struct child_program *plan, const sigset_t *mask,
                                                     volatile struct failure *failure)
{
    pid_t pid = vfork(); /* NOLINT: fork copies page tables, which costs a big parent dearly */
    if (pid == 0) {
        become_program(plan, mask, failure);
        _exit(127);
    }
    return pid;
}

pid_t child_exec(const struct child_program *plan, int *outcome)
{
    volatile struct failure failure = { 0 };
    sigset_t all, mask;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    pid_t pid = vfork_program(plan, &mask, &failure);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    *outcome = failure.outcome;
    if (pid < 0)
        return -error;
    if (failure.seen && (failure.outcome || failure.error || !failure.began)) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        return failure.outcome ? -SETUP_ERRNO(failure.outcome) : failure.error ? -failure.error : -ECHILD;
    }
    return pid;
}

/* One descriptor, or -1 with errno; -1 stays -1. */
static int clear_of_streams(int fd)
{
    int failed = fd >= 0 ? child_clear_of_streams(&fd, 1) : 0;
    if (failed == 0)
        return fd;
    errno = -failed;
    return -1;
}

int child_pidfd(pid_t pid)
{
    return clear_of_streams((int)syscall(SYS_pidfd_open, pid, 0));
}

/* Not an eventfd: they are all one file, and could not be told apart. */
int child_ended_descriptor(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    bool readable = write(ends[1], "", 1) == 1;
    close(ends[1]);
    if (readable)
        return clear_of_streams(ends[0]);
    close(ends[0]);
    errno = EIO;
    return -1;
}

/* Whether each process' pidfds have an inode of their own. */
static bool inodes_tell(int pidfd)
{
    static _Atomic int known; /* 1: they do; -1: they do not */
    struct statfs system;
    if (atomic_load_explicit(&known, memory_order_relaxed) == 0)
        atomic_store(&known, fstatfs(pidfd, &system) == 0 && system.f_type == CHILD_PIDFS ? 1 : -1);
    return atomic_load_explicit(&known, memory_order_relaxed) > 0;
}

/* The pid behind a pidfd; -1: it has ended, and its status was taken.  0: it is none, or there is no /proc. */
static int named_by(int pidfd)
{
    char path[48], text[512], *line;
    snprintf(path, sizeof path, "/proc/thread-self/fdinfo/%d", pidfd);
    int fd = open(path, O_RDONLY | O_CLOEXEC), pid = 0;
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = 0;
    if ((line = strstr(text, "\nPid:")) != NULL)
        pid = (int)strtol(line + 5, NULL, 10);
    return pid;
}

void child_identify(int pidfd, struct child_identity *identity)
{
    *identity = (struct child_identity){ 0 };
    if (shm_identify(pidfd, &identity->file) == 0 && !inodes_tell(pidfd))
        identity->named = named_by(pidfd);
}

bool child_is(int pidfd, const struct child_identity *identity)
{
    if (!shm_is(pidfd, &identity->file))
        return false;
    int named = identity->named ? named_by(pidfd) : 0;
    return named == identity->named || named == -1;
}

/* What PIDFD_GET_INFO answers, of which older kernel headers do not know. */
struct pidfd_answer {
    uint64_t mask; /* asked for, then answered */
    uint64_t cgroup;
    uint32_t ids[11];
    int32_t exit_status; /* as wait(2) has it */
};
#define PIDFD_ASK _IOWR(0xff, 11, struct pidfd_answer)
#define PIDFD_ASK_EXIT UINT64_C(8)

_Static_assert(sizeof(struct pidfd_answer) == 64, "the kernel's first version of it");

/* Someone else took the status. */
static struct child_status status_again(int pidfd)
{
    struct pidfd_answer answer;
    bool told = false;
    /* A child whose status nobody wants (SIGCHLD ignored) is gone for waitid a moment before its pidfd can tell. */
    for (int tries = 0; pidfd >= 0 && tries < 100 && !told; tries++) {
        answer.mask = PIDFD_ASK_EXIT;
        bool answered = ioctl(pidfd, (int)PIDFD_ASK, &answer) == 0;
        if (!answered && errno != ESRCH)
            break; /* a kernel that does not know the question */
        told = answered && answer.mask & PIDFD_ASK_EXIT;
        if (!told)
            nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
    }
    if (!told)
        return (struct child_status){ .known = false };
    int status = answer.exit_status;
    return (struct child_status){ .known = true,
                                  .code = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
                                  .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                                  .core_dumped = WIFSIGNALED(status) && WCOREDUMP(status) };
}

/* waitid(2) by the pidfd where there is one: the pid may be another child's by now, if someone else took the status.
 * The system call fills in what was used, too, which libc's does not. */
static int wait_child(pid_t pid, int pidfd, siginfo_t *info, struct rusage *used, int options)
{
    int result = pidfd >= 0 ? (int)syscall(SYS_waitid, CHILD_P_PIDFD, pidfd, info, options, used) : -1;
    if (pidfd < 0 || (result < 0 && (errno == EBADF || errno == EINVAL)))
        result = (int)syscall(SYS_waitid, P_PID, pid, info, options, used);
    return result;
}

static int64_t microseconds(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

int child_reap(pid_t pid, int pidfd, struct child_status *status)
{
    siginfo_t info = { .si_pid = 0 };
    struct rusage used = { .ru_maxrss = 0 };
    *status = (struct child_status){ .known = true };
    int result;
    while ((result = wait_child(pid, pidfd, &info, &used, WEXITED | WNOHANG)) < 0 && errno == EINTR)
        continue;
    if (result < 0) {
        *status = status_again(pidfd); /* ECHILD: a foreign wait, or SIGCHLD ignored */
        return 1;
    }
    if (info.si_pid == 0)
        return 0;
    if (info.si_code == CLD_EXITED)
        status->code = info.si_status;
    else
        status->signal = info.si_status;
    status->core_dumped = info.si_code == CLD_DUMPED;
    status->cpu_us = microseconds(used.ru_utime) + microseconds(used.ru_stime);
    status->peak_bytes = (int64_t)used.ru_maxrss * 1024;
    return 1;
}

bool child_any_ended(void)
{
    siginfo_t info = { .si_pid = 0 };
    return waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG) < 0 || info.si_pid != 0;
}

/* Whether it has ended, without taking its status; with *forever, waits for that in the kernel, which is cheaper than
 * a poll: the dying child hands its CPU straight to us. Where that cannot be *forever becomes false. */
static bool has_ended(pid_t pid, int pidfd, bool *forever)
{
    siginfo_t info = { .si_pid = 0 };
    if (wait_child(pid, pidfd, &info, NULL, WEXITED | WNOWAIT | (*forever ? 0 : WNOHANG)) == 0)
        return info.si_pid != 0;
    if (errno == EAGAIN) /* the program made the pidfd O_NONBLOCK, as event loops do with whatever they watch */
        *forever = false;
    return errno != EINTR && errno != EAGAIN; /* ECHILD: ended, and its status taken by someone else */
}

/* Until `left` ns are over or the pidfd is readable. True: it is, or it is none any more. */
static bool poll_pidfd(int pidfd, int64_t left)
{
    struct pollfd ended = { .fd = pidfd, .events = POLLIN };
    struct timespec wait = { .tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000) };
    return ppoll(&ended, 1, &wait, NULL) > 0;
}

int child_await(pid_t pid, int pidfd, int64_t deadline)
{
    bool forever = deadline == CLOCK_NEVER;
    for (;;) {
        if (has_ended(pid, pidfd, &forever))
            return 0;
        if (forever)
            continue;
        int64_t left = deadline - clock_now();
        if (left <= 0)
            return -ETIMEDOUT;
        if (pidfd >= 0 && !poll_pidfd(pidfd, left))
            continue;
        if (pidfd >= 0 && has_ended(pid, pidfd, &forever))
            return 0;
        pidfd = -1; /* readable, and yet it runs: the program gave the number to something else */
        nanosleep(&(struct timespec){ .tv_nsec = (long)(left < THREAD_NAP ? left : THREAD_NAP) }, NULL);
    }
}

int child_watch(int pidfd, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline == CLOCK_NEVER ? CLOCK_NEVER : deadline - clock_now();
        if (poll_pidfd(pidfd, left > 0 ? left : 0))
            return 0;
        if (left <= 0)
            return -ETIMEDOUT;
    }
}

int child_signal(pid_t pid, int pidfd, int signal)
{
    long result = pidfd >= 0 ? syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) : -1;
    if (pidfd < 0 || (result < 0 && errno == EBADF))
        result = kill(pid, signal);
    return result < 0 ? -errno : 0;
}

void child_adopt_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void child_offer_to_oom_killer(void)
{
    char text[16] = "";
    int score, fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return; /* no /proc: the kernel then chooses by memory alone */
    if (read(fd, text, sizeof text - 1) > 0 && sscanf(text, "%d", &score) == 1) {
        score = score + CHILD_OOM_STEP < 1000 ? score + CHILD_OOM_STEP : 1000;
        int length = snprintf(text, sizeof text, "%d", score);
        if (pwrite(fd, text, (size_t)length, 0) < 0)
            score = 0; /* a container may forbid it: as above */
    }
    close(fd);
}
