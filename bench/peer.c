/* bench/peer.c: runs a peer as a process of its own, so that its runtime (threads, an interpreter) is not in brood's.
 *
 * A peer gets a process group, and is killed with all of it if it takes too long: a peer that hangs must not take the
 * figures of the others with it.
 */
#include "peer.h"

#include "clock.h"
#include "trouble.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_NS (60 * NS_PER_S)

extern char **environ;

struct peer peers[PEER_COUNT] = {
    { .name = "cpython",
      .title = "CPython multiprocessing",
      .needs = "python3",
      .interpreter = "python3",
      .file = "cpython.py" },
    { .name = "boost", .title = "Boost.Interprocess", .needs = "libboost-dev and g++", .file = "boost" },
    { .name = "redis",
      .title = "Redis, by a Unix socket",
      .needs = "redis-server and redis-tools",
      .interpreter = "sh",
      .file = "redis.sh" },
    { .name = "openmp", .title = "OpenMP", .needs = "libgomp, or the compiler's own OpenMP library", .file = "openmp" },
};

/* The path of a file beside the lab's own program. */
static int beside(char *path, size_t size, const char *file)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return -1;
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return -1;
    *slash = '\0';
    return (size_t)snprintf(path, size, "%s/%s", self, file) < size ? 0 : -1;
}

static int spawn(pid_t *pid, char *const arguments[], int output, bool quiet)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (!error && quiet)
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (!error)
        error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (!error)
        error = posix_spawnp(pid, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Reads to the end of `input`, or until patience ends: 0 or -1. What does not fit is read and dropped. */
static int read_all(int input, char *text, size_t size)
{
    char dropped[512];
    size_t length = 0;
    uint64_t deadline = clock_ns() + PATIENCE_NS;
    for (;;) {
        uint64_t now = clock_ns();
        struct pollfd ready = { .fd = input, .events = POLLIN };
        int events = now < deadline ? poll(&ready, 1, (int)((deadline - now) / NS_PER_MS) + 1) : 0;
        if (events < 0 && errno == EINTR)
            continue;
        if (events <= 0)
            return -1;
        size_t room = size - 1 - length;
        ssize_t count = read(input, room ? text + length : dropped, room ? room : sizeof dropped);
        if (count < 0)
            return -1;
        if (count == 0)
            break;
        length += room ? (size_t)count : 0;
    }
    text[length] = '\0';
    return 0;
}

/* Runs the peer with one argument and keeps what it printed: 0, or -1 if it could not run or failed. */
static int run(const struct peer *peer, const char *argument, char *text, size_t size, bool quiet)
{
    char path[PATH_MAX], interpreter[32], operand[64];
    if (beside(path, sizeof path, peer->file) < 0)
        return -1;
    snprintf(interpreter, sizeof interpreter, "%s", peer->interpreter ? peer->interpreter : "");
    snprintf(operand, sizeof operand, "%s", argument);
    char *with[] = { interpreter, path, operand, NULL };
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid_t pid;
    int error = spawn(&pid, peer->interpreter ? with : with + 1, ends[1], quiet);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        return -1;
    }
    int result = read_all(ends[0], text, size);
    close(ends[0]);
    if (result < 0)
        kill(-pid, SIGKILL);
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        result = -1;
    return result;
}

void peers_find(void)
{
    for (size_t i = 0; i < PEER_COUNT; i++)
        peers[i].present = run(&peers[i], "--list", peers[i].figures, sizeof peers[i].figures, true) == 0;
}

const struct peer *peer_named(const char *name)
{
    for (size_t i = 0; i < PEER_COUNT; i++)
        if (strcmp(peers[i].name, name) == 0)
            return &peers[i];
    return NULL;
}

bool peer_measures(const struct peer *peer, const char *figure)
{
    if (!peer->present)
        return false;
    size_t length = strlen(figure);
    for (const char *line = peer->figures; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strcspn(line, "\n") == length && strncmp(line, figure, length) == 0)
            return true;
    return false;
}

double peer_sample(const struct peer *peer, const char *figure)
{
    char text[128], *end;
    if (run(peer, figure, text, sizeof text, false) < 0)
        return trouble("%s could not measure %s", peer->title, figure);
    double sample = strtod(text, &end);
    if (end == text || sample <= 0)
        return trouble("%s says of %s: %.*s", peer->title, figure, (int)strcspn(text, "\n"), text);
    return sample;
}
