/* os/thread.c: attaching a thread, and what the kernel offers it. */
#include "os/thread.h"

#include "os/cpu.h"
#include "os/libc.h"
#include "os/proc.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

_Thread_local struct thread thread_local_self;
_Atomic bool thread_deaths_are_told;

_Static_assert(offsetof(struct thread, dummy) == offsetof(struct thread, before_dummy) + sizeof(void *), "adjacent");

static bool kernel_is_recent(void)
{
    struct utsname system;
    int major = 0, minor = 0;
    if (uname(&system) < 0 || sscanf(system.release, "%d.%d", &major, &minor) != 2)
        return false;
    return major > 6 || (major == 6 && minor >= 2);
}

/* From this release on the kernel wakes for a pending word whose id part is 0 but which is not 0 itself. Asked once: a
 * forked child, which attaches anew, knows it from its parent. */
static bool kernel_wakes_for_pending(void)
{
    static _Atomic int known; /* 0: not asked yet; 1: it does; -1: it does not */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == 0) {
        answer = kernel_is_recent() ? 1 : -1;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer > 0;
}

struct thread *thread_attach(void)
{
    struct thread *self = &thread_local_self;
    size_t size = 0;
    struct robust_list_head *head = NULL;
    bool listed = libc_list_robust() && syscall(SYS_get_robust_list, 0, &head, &size) == 0 && head &&
                  size == sizeof *head && head->futex_offset == ROBUST_OFFSET;
    self->dummy.list.next = &self->dummy.list;
    self->dummy.futex_offset = ROBUST_OFFSET;
    self->dummy.list_op_pending = NULL;
    self->head = listed ? head : &self->dummy;
    self->id = (uint32_t)gettid();
    self->held = 0;
    self->waiter = NULL;
    self->process = getpid();
    self->arena = (unsigned)cpu_current(); /* threads that come and go one by one share one; others move on */
    self->spin = 10000;
    bool told = listed && kernel_wakes_for_pending();
    if (atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed) != told)
        atomic_store(&thread_deaths_are_told, told);
    atomic_store(&wiped->process, self->process);
    return self;
}

bool thread_is_gone(uint32_t id)
{
    if (syscall(SYS_sched_getscheduler, (pid_t)id) < 0 && errno == ESRCH)
        return true;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)id, 0); /* a zombie is still found above; its pidfd is readable */
    if (fd < 0)
        return false;
    struct pollfd ended = { .fd = fd, .events = POLLIN };
    bool gone = poll(&ended, 1, 0) == 1;
    close(fd);
    return gone;
}

/* The process whose thread that is; 0: there is no such thread any more, or nobody tells. */
static int process_of(uint32_t id)
{
    static const char key[] = "Tgid:";
    char path[40];
    struct proc_lines lines;
    snprintf(path, sizeof path, "/proc/%u/status", id);
    if (!proc_open(&lines, path))
        return 0;
    int process = 0;
    for (char *line; process == 0 && (line = proc_line(&lines));)
        if (strncmp(line, key, sizeof key - 1) == 0)
            process = (int)strtol(line + sizeof key - 1, NULL, 10);
    proc_close(&lines);
    return process;
}

int thread_holder(const struct robust_word *held)
{
    uint32_t id = atomic_load(&held->word) & FUTEX_TID_MASK;
    if (id == 0)
        return 0;
    int owner = (int)atomic_load(&held->owner); /* of the one before, if this one has only just taken it */
    bool fits = owner > 0 && (syscall(SYS_tgkill, owner, (pid_t)id, 0) == 0 || errno != ESRCH);
    return fits ? owner : process_of(id);
}

bool thread_is_only(void)
{
    return libc_is_single_threaded();
}

bool thread_is_alone(void)
{
    struct stat tasks;
    return thread_is_only() || stat("/proc/self/task", &tasks) < 0 || tasks.st_nlink <= 3; /* ".", "..", the thread */
}

bool thread_is_main(void)
{
    return getpid() == gettid();
}
