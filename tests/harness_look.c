/* harness_look.c: what a case sees of time and of processes, and waits for with a bound; and what it takes from them.
 */
#include "harness_board.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

long long now_ms(void)
{
    return now_us() / 1000;
}

void pass_us(long long microseconds)
{
    struct timespec left = { .tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000 };
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

bool wait_until(bool (*holds)(void *context), void *context, int ms)
{
    long long end = now_ms() + (long long)ms * SLOWNESS;
    while (!holds(context)) {
        if (now_ms() >= end)
            return false;
        pass_us(500);
    }
    return true;
}

struct word_context {
    _Atomic int *word;
    int value;
};

static bool word_reached(void *context)
{
    struct word_context *wanted = context;
    return atomic_load(wanted->word) >= wanted->value;
}

bool wait_word(_Atomic int *word, int value, int ms)
{
    return wait_until(word_reached, &(struct word_context){ word, value }, ms);
}

static bool is_gone(void *context)
{
    /* Not by its state: a process whose first thread has ended is shown as a zombie while others are still ending, and
     * nobody can wait for it before they have. */
    int fd = (int)syscall(SYS_pidfd_open, *(pid_t *)context, 0);
    if (fd < 0)
        return errno == ESRCH || process_state(*(pid_t *)context) == 'Z';
    struct pollfd end = { .fd = fd, .events = POLLIN };
    bool gone = poll(&end, 1, 0) == 1;
    close(fd);
    return gone;
}

bool wait_gone(pid_t pid, int ms)
{
    return wait_until(is_gone, &pid, ms);
}

pid_t fork_child(int (*body)(void *arg), void *arg)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(body(arg));
    NEED(pid > 0);
    return pid;
}

int wait_child(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    return status;
}

void await_child(pid_t pid)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        ;
}

int kill_child(pid_t pid)
{
    kill(pid, SIGKILL);
    return wait_child(pid);
}

/* Looking at the numbers that a folder of /proc has for names: without the heap, which a case may have had refused. */
struct numbers {
    int fd;
    long length, at;
    _Alignas(8) char text[4096];
};

struct entry { /* getdents64(2) */
    uint64_t inode, offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* The next number, from 0 on; -1: there are no more, and the folder is closed. */
static int numbers_next(struct numbers *numbers)
{
    for (;;) {
        if (numbers->at >= numbers->length) {
            numbers->length = syscall(SYS_getdents64, numbers->fd, numbers->text, sizeof numbers->text);
            numbers->at = 0;
        }
        if (numbers->length <= 0) {
            close(numbers->fd);
            return -1;
        }
        const struct entry *entry = (const struct entry *)(const void *)(numbers->text + numbers->at);
        numbers->at += entry->size;
        if (entry->name[0] >= '0' && entry->name[0] <= '9')
            return atoi(entry->name);
    }
}

int count_descriptors(void)
{
    struct numbers numbers = { .fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    NEED(numbers.fd >= 0);
    int count = -1; /* the folder's own */
    while (numbers_next(&numbers) >= 0)
        count++;
    return count;
}

/* The state of a process, and its parent's pid; 0 if it is gone. */
static char read_state(pid_t pid, pid_t *parent)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    char text[512];
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *end = strrchr(text, ')'); /* the name before it may hold anything */
    char state;
    int ppid;
    if (end == NULL || sscanf(end + 1, " %c %d", &state, &ppid) != 2)
        return 0;
    if (parent != NULL)
        *parent = ppid;
    return state;
}

char process_state(pid_t pid)
{
    return read_state(pid, NULL);
}

int each_child(void (*visit)(pid_t pid, char state))
{
    struct numbers numbers = { .fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    if (numbers.fd < 0)
        return -1;
    int count = 0;
    pid_t self = getpid();
    for (pid_t pid; (pid = numbers_next(&numbers)) >= 0;) {
        pid_t parent = 0;
        char state = pid > 0 ? read_state(pid, &parent) : 0;
        if (state == 0 || parent != self)
            continue;
        count++;
        if (visit != NULL)
            visit(pid, state);
    }
    return count;
}

int count_children(void)
{
    return each_child(NULL);
}

bool is_all(const void *bytes, int byte, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t wanted, word;
    memset(&wanted, byte, sizeof wanted);
    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        if (word != wanted)
            return false;
    }
    return memcmp(at, &wanted, size) == 0;
}

uint32_t random_next(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

int refuse_call(long call, int number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)number & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 ? -1 : 0;
}

const char *program_folder(void)
{
    static char path[3900];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    NEED(length > 0);
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    NEED(slash != NULL);
    *slash = '\0';
    return path;
}

int make_folder(char *path, size_t size)
{
    int length = snprintf(path, size, "%s/case-XXXXXX", program_folder());
    if (length < 0 || (size_t)length >= size)
        return -1;
    return mkdtemp(path) != NULL ? 0 : -1;
}
