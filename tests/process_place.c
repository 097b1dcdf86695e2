/* process_place.c: where a program may find itself: as process 1 of a container, beside a stranger that got a child's
 * pid, with more privileges than who executed it.
 */
#include "harness.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASES_MOST 40
#define NO_NAMESPACE 77
#define STRANGER_TRIES 20 /* the pid that is wanted may be anybody's for a moment */

/* A case's name ends with its start method. */
static brood_process_options by_method(void)
{
    int method = brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
    NEED(method > 0);
    return (brood_process_options){ .start = (brood_start)method };
}

static brood_end end_of(brood_process *process)
{
    brood_end end = { .how = BROOD_RUNNING };
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

/* ---- process 1 ---- */

/* No check in what these run: in a namespace of another user they could not report it. */
static int pid_of_parent(void *arg)
{
    (void)arg;
    return getppid() == brood_process_pid(brood_process_parent()) ? getppid() : -1;
}

static int start_another(void *arg)
{
    brood_end end;
    brood_process *process = brood_process_start(pid_of_parent, NULL, 0, arg);
    if (process == NULL || brood_process_join(process, &end, BROOD_FOREVER) != 0)
        return -1;
    return brood_process_close(process) == 0 && end.code == getpid() ? 33 : -2;
}

struct orphan {
    brood_process_options options;
    atomic_int pid;
};

static int be_orphan(void *arg)
{
    struct orphan *orphan = arg;
    atomic_store(&orphan->pid, getpid());
    for (;;)
        pause();
    return 0;
}

static int make_orphan(void *arg)
{
    struct orphan *orphan = arg;
    if (brood_process_start(be_orphan, orphan, 0, &orphan->options) == NULL)
        return 1;
    for (;;)
        pause();
    return 0;
}

/* Orphans become process 1's children, as any other's would, and are its to wait for; brood has killed them. */
static void check_orphans(const brood_process_options *options)
{
    struct orphan *orphan = CHECK_POINTER(brood_alloc(sizeof *orphan));
    NEED(orphan != NULL);
    orphan->options = *options;
    brood_process *process = brood_process_start(make_orphan, orphan, 0, options);
    CHECK(wait_word(&orphan->pid, 1, 10000));
    CHECK_RESULT(brood_process_signal(process, SIGKILL), 0);
    CHECK_EQ(end_of(process).signal, SIGKILL);
    CHECK(wait_gone(atomic_load(&orphan->pid), 5000));
    CHECK_EQ(wait_child(atomic_load(&orphan->pid)), SIGKILL);
    brood_free(orphan);
}

static int be_first(void *arg)
{
    (void)arg;
    brood_process_options options = by_method();
    CHECK_EQ(getpid(), 1);
    NEED(brood_init(&(brood_init_options){ .command = harness_command("child") }) == 0);
    CHECK_NULL(brood_process_parent(), ESRCH);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(end_of(brood_process_start(pid_of_parent, NULL, 0, &options)).code, 1);
        CHECK_EQ(end_of(brood_process_start(start_another, &options, sizeof options, &options)).code, 33);
    }
    check_orphans(&options);
    brood_process *process = brood_process_start(pid_of_parent, NULL, 0, &options);
    CHECK_RESULT(brood_fini(), 0);
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, 0), 0);
    CHECK_EQ(end.code, 1);
    CHECK_RESULT(brood_process_close(process), 0);
    return 0;
}

/* Its first child is process 1 there. */
static int found_namespace(void *arg)
{
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        return NO_NAMESPACE;
    CHECK_EQ(wait_child(fork_child(be_first, arg)), 0);
    return 0;
}

static void first_of_container(void)
{
    if (harness_part() != NULL) {
        brood_init(NULL);
        _exit(96); /* a spawned child does not come here */
    }
    if (harness_sanitized() && by_method().start == BROOD_SPAWN)
        harness_skip("a sanitizer looks for its own process in /proc, which shows another namespace");
    int status = wait_child(fork_child(found_namespace, NULL));
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NAMESPACE)
        harness_skip("no PID namespace to be had");
    CHECK_EQ(status, 0);
}

/* ---- a stranger with the same pid ---- */

/* A child with that pid, which has nothing to do with brood. -1 with errno. */
static pid_t make_stranger(pid_t wanted)
{
    struct clone_args how = {
        .exit_signal = SIGCHLD,
        .set_tid = (uint64_t)(uintptr_t)&wanted,
        .set_tid_size = 1,
    };
    pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
    if (pid == 0) {
        for (;;)
            pause();
    }
    return pid;
}

/* A process that ended, and a stranger with its pid. `stolen`: the program took its status before. */
static brood_process *start_replaced(bool stolen)
{
    brood_process_options options = by_method();
    for (int tries = 0; tries < STRANGER_TRIES; tries++) {
        brood_process *process = brood_process_start(pid_of_parent, NULL, 0, &options);
        NEED(process != NULL);
        pid_t pid = brood_process_pid(process);
        if (stolen)
            CHECK(wait_child(pid) >= 0);
        else
            CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
        if (make_stranger(pid) == pid)
            return process;
        CHECK_EQ(errno, EEXIST);
        CHECK_RESULT(brood_process_close(process), 0);
    }
    return NULL;
}

/* The handle is the process', not the pid's: a stranger is neither signalled nor waited for. */
static void pid_reused(void)
{
    if (make_stranger(1) < 0 && errno != EEXIST)
        harness_skip("pids are not for this user to choose: %s", strerror(errno));
    for (int stolen = 0; stolen < 2; stolen++) {
        brood_process *process = start_replaced(stolen);
        NEED(process != NULL);
        pid_t pid = brood_process_pid(process);
        struct pollfd ended = { .fd = brood_process_fd(process), .events = POLLIN };
        brood_end end;
        CHECK_EQ(poll(&ended, 1, 0), 1);
        CHECK_RESULT(brood_process_signal(process, SIGKILL), -ESRCH);
        CHECK_RESULT(brood_process_signal(process, 0), -ESRCH);
        CHECK_RESULT(brood_process_children(NULL, 0), 0);
        CHECK_RESULT(brood_process_stop(process, &end, 0, 0, BROOD_FOREVER), 0);
        CHECK_EQ(end.code, getpid());
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_FAILED);
        CHECK_EQ(end.pid, pid);
        CHECK_RESULT(brood_process_close(process), 0);
        brood_process_options options = by_method();
        CHECK_EQ(end_of(brood_process_start(start_another, &options, sizeof options, &options)).code, 33);
        CHECK_RESULT(brood_fini(), 0);
        CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0); /* it lives, untouched */
        CHECK_EQ(kill_child(pid), SIGKILL);
    }
}

/* ---- more privileges than its starter ---- */

/* What a copy of this program says by its exit status, since not everyone who runs it may write to the page. */
enum told {
    IS_SECURE = 1, /* the kernel says that it gained privileges */
    REFUSED = 2,   /* brood_init failed with EPERM or EINVAL */
    RAN = 4,       /* what it spawned ran */
    NOT_RUN = 8,   /* it was refused to spawn, with EPERM and a sentence */
    MARKED = 16,   /* the marker is still there */
    TOLD = 64
};

static int tell_code(void *arg)
{
    (void)arg;
    return 44;
}

/* A spawned process that takes itself for a first one comes here again: it must not spawn in turn. */
static int spawn_once(void)
{
    const brood_process_options options = { .start = BROOD_SPAWN };
    if (getenv("HARNESS_SPAWNED") != NULL)
        _exit(95);
    setenv("HARNESS_SPAWNED", "1", 1);
    errno = 0;
    brood_process *process = brood_process_start(tell_code, NULL, 0, &options);
    if (process == NULL)
        return errno == EPERM && brood_error()[0] != '\0' ? NOT_RUN : 0;
    brood_end end = { .code = 0 };
    return brood_process_join(process, &end, BROOD_FOREVER) == 0 && end.code == 44 ? RAN : 0;
}

static _Noreturn void tell(void)
{
    int told = TOLD | (getauxval(AT_SECURE) != 0 ? IS_SECURE : 0);
    int result = brood_init(NULL);
    told |= result == -EPERM || result == -EINVAL ? REFUSED : 0;
    if (strcmp(harness_part(), "dropped") == 0)
        NEED(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
    told |= getenv("BROOD_CHILD") != NULL ? MARKED : 0;
    _exit(result == 0 ? told | spawn_once() : told);
}

static bool copy_program(const char *path, mode_t mode)
{
    int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    static char bytes[1 << 16];
    ssize_t length = in < 0 || out < 0 ? -1 : 0;
    while (length >= 0 && (length = read(in, bytes, sizeof bytes)) > 0) {
        if (write(out, bytes, (size_t)length) != length)
            length = -1;
    }
    close(in);
    close(out);
    return length == 0 && chmod(path, mode) == 0;
}

/* A user who claims to be the program's parent executes it, and hands it a descriptor that is no region. What it told;
 * -1: it ended in another way. */
static int run_copy(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        char marker[128];
        int fd = open("/dev/null", O_RDWR);
        NEED(fd >= 0 && setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
        snprintf(marker, sizeof marker, "%d:1:%d:0:%d", fd, fd, getpid());
        setenv("BROOD_CHILD", marker, 1);
        harness_exec(path, "copy");
        _exit(97);
    }
    int status = wait_child(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) & TOLD ? WEXITSTATUS(status) & ~TOLD : -1;
}

/* Who executes a program that gives privileges is not believed to be its parent. What it spawns itself is another
 * matter: that runs, or is refused, but never takes itself for a first process. */
static void privileged(void)
{
    if (harness_part() != NULL)
        tell();
    if (geteuid() != 0)
        harness_skip("only root can make a program that gives privileges");
    char folder[4096], path[4200];
    int plain = -1, secure = -1;
    NEED(make_folder(folder, sizeof folder) == 0 && chmod(folder, 0755) == 0);
    snprintf(path, sizeof path, "%s/copy", folder);
    if (CHECK(copy_program(path, 0755)))
        plain = run_copy(path);
    CHECK(unlink(path) == 0);
    if (CHECK(copy_program(path, 04755)))
        secure = run_copy(path);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    CHECK_EQ(plain, REFUSED); /* it believes the marker, and must not go on without its family */
    if (secure >= 0 && (secure & IS_SECURE) == 0)
        harness_skip("programs do not give privileges in %s", program_folder());
    CHECK(secure == (IS_SECURE | RAN) || secure == (IS_SECURE | NOT_RUN));
}

/* What the copy told that its owner executed, and that has dropped its privileges since. */
static int run_dropped(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        harness_exec(path, "dropped");
        _exit(97);
    }
    int status = wait_child(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) & TOLD ? WEXITSTATUS(status) & ~TOLD : -1;
}

/* A program that would have its owner's privileges back, were it executed again, is refused to spawn. */
static void dropped(void)
{
    if (harness_part() != NULL)
        tell();
    if (geteuid() != 0)
        harness_skip("only root can make a program that gives privileges");
    static const mode_t modes[] = { 0755, 04755, 02755, 06755, 02644 | S_IXUSR | S_IXOTH };
    static const int expected[] = { RAN, NOT_RUN, NOT_RUN, NOT_RUN, RAN };
    char folder[4096], path[4200];
    NEED(make_folder(folder, sizeof folder) == 0 && chmod(folder, 0755) == 0);
    snprintf(path, sizeof path, "%s/copy", folder);
    for (int i = 0; i < 5; i++) {
        if (CHECK(copy_program(path, modes[i])))
            CHECK_EQ(run_dropped(path), expected[i]);
        CHECK(unlink(path) == 0);
    }
    CHECK(rmdir(folder) == 0);
}

static int spawn_as_another(void *arg)
{
    (void)arg;
    NEED(seteuid(65534) == 0);
    return spawn_once() & (RAN | NOT_RUN) ? 0 : 1;
}

/* To the kernel, a program that another user than the real one executes gains privileges. */
static void effective_user(void)
{
    if (getenv("HARNESS_SPAWNED") != NULL) {
        brood_init(NULL);
        _exit(95); /* not a first process */
    }
    if (geteuid() != 0)
        harness_skip("only root can change its user");
    NEED(brood_init(NULL) == 0);
    CHECK_EQ(wait_child(fork_child(spawn_as_another, NULL)), 0);
}

/* Those of `each` once for each start method, then `once`. */
static const struct test_case *list_cases(const struct test_case *each, const struct test_case *once)
{
    static struct test_case all[CASES_MOST];
    static char names[CASES_MOST][64];
    int count = 0;
    for (; each->name != NULL; each++) {
        for (int i = 1; brood_start_name((brood_start)i) != NULL; i++, count++) {
            NEED(count < CASES_MOST);
            snprintf(names[count], sizeof names[count], "%s_%s", each->name, brood_start_name((brood_start)i));
            all[count] = *each;
            all[count].name = names[count];
        }
    }
    for (; once->name != NULL; once++) {
        NEED(count < CASES_MOST - 1);
        all[count++] = *once;
    }
    return all;
}

int main(int argc, char **argv)
{
    static const struct test_case each[] = {
        { .name = "first_of_container", .run = first_of_container, .no_init = true },
        { .name = "pid_reused", .run = pid_reused },
        { .name = NULL },
    };
    static const struct test_case once[] = {
        { .name = "privileged", .run = privileged, .no_init = true },
        { .name = "dropped", .run = dropped, .no_init = true },
        { .name = "effective_user", .run = effective_user, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, list_cases(each, once));
}
