/* A web server whose worker processes may be killed at any time: it costs the request that one was at, and no other.
 *
 *     server [PORT [WORKERS]]                   PORT 0, or none: any; WORKERS: one a processor
 *     curl http://127.0.0.1:PORT/               which worker answered, and how many answers there have been
 *     curl http://127.0.0.1:PORT/crash          the worker that gets it crashes
 *
 * All workers wait at one listening socket, so whoever connects is served by any that lives, also while a dead one is
 * being replaced. What they share, a count and what each is at, lies in the region, and stays whole.
 *
 * The first process is the supervisor: it serves nobody, and waits for ends of workers and for SIGTERM or SIGINT, upon
 * which workers finish what they are at and leave. If it is itself killed, nobody is left to replace workers: so they
 * die with it, and the port is free. What has started it must do so again (in systemd: Restart=always).
 *
 * A worker serves one client at a time, and gives it PATIENCE_S seconds: who is silent costs that, so start enough.
 */
#define _GNU_SOURCE /* accept4 */

#include <arpa/inet.h>
#include <brood.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MOST = 64, PATIENCE_S = 5 };

struct shared {
    brood_event stop;              /* set by the supervisor, for ever */
    brood_value *answers;          /* so many have been given */
    char paths[WORKERS_MOST][256]; /* what each worker is at: written by it, read by the supervisor when it has died */
};

struct worker {
    struct shared *shared;
    int index, listener;
};

static int fail(const char *what)
{
    return fprintf(stderr, "server: %s\n", what), 1;
}

/* ---- a worker ---- */

/* Reads as far as a request's first line; false: it has none. */
static bool read_path(int client, char *path, size_t size)
{
    char text[1024];
    size_t length = 0;
    while (length < sizeof text - 1) {
        ssize_t got = recv(client, text + length, sizeof text - 1 - length, 0);
        if (got <= 0)
            return false;
        length += (size_t)got;
        text[length] = 0;
        if (strchr(text, '\n'))
            break;
    }
    char *begin = strchr(text, ' ');
    size_t end = begin ? strcspn(begin + 1, " \r\n") : 0;
    return strncmp(text, "GET /", 5) == 0 && end > 0 && snprintf(path, size, "%.*s", (int)end, begin + 1) < (int)size;
}

static void serve(const struct worker *self, int client)
{
    char *path = self->shared->paths[self->index], body[128], answer[256];
    int number = 0;
    struct timeval patience = { .tv_sec = PATIENCE_S };
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!read_path(client, path, sizeof self->shared->paths[0]))
        return;
    if (strcmp(path, "/crash") == 0)
        raise(SIGSEGV);
    brood_value_add(self->shared->answers, 1, &number);
    int size = snprintf(body, sizeof body, "answer %d, of worker %d (%d)\n", number + 1, self->index, (int)getpid());
    size = snprintf(answer, sizeof answer, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body);
    send(client, answer, (size_t)size, MSG_NOSIGNAL);
}

/* All who wait are woken when somebody connects; one of them gets him. */
static int work(void *arg)
{
    struct worker *self = arg;
    brood_waitable door = { .kind = BROOD_WAIT_FD, .fd = self->listener };
    brood_waitable stop = { .kind = BROOD_WAIT_EVENT, .object = &self->shared->stop };
    brood_watch *watch = brood_watch_create();
    if (!watch || brood_watch_add(watch, &door) < 0 || brood_watch_add(watch, &stop) < 0)
        return brood_fail(1, "%s", brood_error());
    while (brood_event_wait(&self->shared->stop, 0) == -ETIMEDOUT) {
        brood_waitable ready;
        if (brood_watch_wait(watch, &ready, 1, BROOD_FOREVER) < 0)
            return brood_fail(1, "%s", brood_error());
        int client = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            continue;
        serve(self, client);
        close(client);
        self->shared->paths[self->index][0] = 0;
    }
    return brood_watch_destroy(watch) < 0;
}

/* ---- the supervisor ---- */

static int listen_at(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 128) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        return perror("server: socket"), -1;
    printf("http://127.0.0.1:%d/, supervisor %d\n", ntohs(address.sin_port), (int)getpid());
    return listener;
}

/* SIGTERM and SIGINT as something to read. They are blocked, in workers too: Ctrl-C is the supervisor's to hear. */
static int listen_for_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return sigprocmask(SIG_BLOCK, &signals, NULL) < 0 ? -1 : signalfd(-1, &signals, SFD_CLOEXEC);
}

static brood_process *start(struct shared *shared, int index, int listener)
{
    struct worker worker = { shared, index, listener };
    brood_process *process = brood_process_start(
        work, &worker, sizeof worker, &(brood_process_options){ .name = "worker", .fds = &listener, .fd_count = 1 });
    if (process)
        printf("worker %d: %d\n", index, brood_process_pid(process));
    else
        fail(brood_error()); /* tried again in a second */
    fflush(stdout);
    return process;
}

/* Says what became of it. Who dies as soon as it lives would keep the supervisor busy with nothing else: so wait. */
static void bury(struct shared *shared, int index, brood_process *process)
{
    brood_end end;
    brood_process_join(process, &end, BROOD_FOREVER);
    printf("worker %d: %s, at '%s'\n", index, end.why, shared->paths[index]);
    brood_process_close(process);
    shared->paths[index][0] = 0;
    if (end.wall_us < 1000000)
        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
}

/* Until it is told to end. */
static int supervise(struct shared *shared, brood_process **processes, int count, int listener, int signals)
{
    for (;;) {
        brood_waitable items[WORKERS_MOST + 1] = { { .kind = BROOD_WAIT_FD, .fd = signals } };
        size_t alive = 0;
        for (int i = 0; i < count; i++) {
            if (!processes[i])
                processes[i] = start(shared, i, listener);
            if (processes[i])
                items[++alive] =
                    (brood_waitable){ .kind = BROOD_WAIT_PROCESS, .object = processes[i], .tag = &processes[i] };
        }
        int ready = brood_wait(items, alive + 1, alive < (size_t)count ? 1000 : BROOD_FOREVER);
        if (ready < 0 && ready != -ETIMEDOUT)
            return fail(brood_error());
        if (items[0].ready)
            return 0;
        for (size_t i = 1; i <= alive; i++) {
            if (!items[i].ready)
                continue;
            brood_process **place = items[i].tag;
            bury(shared, (int)(place - processes), *place);
            *place = NULL;
        }
    }
}

int main(int argc, char **argv)
{
    if (brood_init(NULL) < 0)
        return fail(brood_error());
    int port = argc > 1 ? atoi(argv[1]) : 0, count = argc > 2 ? atoi(argv[2]) : brood_cpu_count();
    if (argc > 3 || port < 0 || port > 65535 || count < 1 || count > WORKERS_MOST)
        return fputs("usage: server [PORT [WORKERS]]\n", stderr), 2;
    brood_process *processes[WORKERS_MOST] = { NULL };
    struct shared *shared = brood_alloc(sizeof *shared);
    int signals = listen_for_signals(), listener = listen_at(port);
    if (!shared || !(shared->answers = brood_value_create('i', NULL)))
        return fail(brood_error());
    if (signals < 0 || listener < 0)
        return 1;
    int status = supervise(shared, processes, count, listener, signals);
    brood_event_set(&shared->stop);
    for (int i = 0; i < count; i++) {
        brood_process_stop(processes[i], NULL, PATIENCE_S * 2000, 0, 1000);
        brood_process_close(processes[i]);
    }
    int answers = 0;
    brood_value_load(shared->answers, &answers);
    printf("answers: %d\n", answers);
    return status;
}
