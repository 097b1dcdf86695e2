/* process/server.c */
#include "process/server.h"

#include "error/error.h"
#include "error/log.h"
#include "os/clock.h"
#include "os/post.h"
#include "os/rights.h"
#include "os/shm.h"
#include "os/thread.h"
#include "os/wiped.h"
#include "process/begin.h"
#include "process/handle.h"
#include "process/process.h"
#include "process/ticket.h"

#include <brood/end.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define SERVER_END_MS 1000             /* from the closing of its line to its SIGKILL */
#define SERVER_TRIES 10                /* killed in a row before one was ready */
#define SERVER_FDS (SETUP_FDS_MAX + 4) /* a setup's descriptors, three streams, and the pipe of a tie */

_Static_assert(SERVER_FDS <= POST_FDS_MAX, "one message carries them");

struct server {
    brood_process *process;
    struct rights *rights; /* the starter's, when it was spawned */
    int line;              /* the starter's end of the socket pair */
    struct shm_identity line_file;
};

/* One message each way; descriptors travel with the request. */
struct request {
    slot_id id;
    int32_t tie; /* an enum child_tie */
    pid_t parent;
};

static int (*preload_function)(void);

void server_preload(int (*preload)(void))
{
    preload_function = preload;
}

/* ---- in the server ---- */

/* Keys that interrupt a terminal's programs reach the server too, but it is its starter's to decide what they do: they
 * stay pending, and a child has none pending. `before`: the mask that its children are to have. */
static void hold_keys(sigset_t *before)
{
    sigset_t keys;
    sigemptyset(&keys);
    sigaddset(&keys, SIGINT);
    sigaddset(&keys, SIGQUIT);
    sigaddset(&keys, SIGHUP);
    sigprocmask(SIG_BLOCK, &keys, before);
}

/* The pid of the child or -errno. */
static int serve(const struct request *request, int *fds, int fd_count, struct begin_place *place)
{
    struct child_bond bond = { .tie = (enum child_tie)request->tie, .parent = request->parent, .pipe = { -1, -1 } };
    if (bond.tie & CHILD_TO_PIPE)
        bond.pipe[0] = fds[fd_count - 1];
    place->arrived = fds;
    return begin_sibling(request->id, &bond, place);
}

static int server_main(void *arg)
{
    struct begin_place place = { .private_fd = *(int *)arg };
    int line = place.private_fd, fds[SERVER_FDS], ready = 0;
    struct request request;
    fcntl(line, F_SETFD, FD_CLOEXEC); /* before any code of the program that may execute another */
    int code = preload_function ? preload_function() : 0;
    if (code)
        return code;
    if (!thread_is_alone())
        return brood_fail(EBUSY, "preload left threads behind: their locks would be torn in every child");
    hold_keys(&place.mask);
    child_flush();
    for (int failed = post_send(line, &ready, sizeof ready, NULL, 0); failed == 0;) {
        int fd_count = SERVER_FDS;
        int size = post_receive(line, &request, sizeof request, fds, &fd_count);
        if (size == -EPIPE)
            break; /* the starter has closed its end, or is gone */
        int answer = size == sizeof request ? serve(&request, fds, fd_count, &place) : size < 0 ? size : -EPROTO;
        for (int i = 0; i < fd_count; i++)
            close(fds[i]);
        failed = post_send(line, &answer, sizeof answer, NULL, 0);
    }
    return 0;
}

/* ---- in the starter ---- */

/* Waits for a message or for the server's death, whichever comes first; a message that came before the death counts.
 * 0, or -errno: -EPIPE: it is dead. */
static int hear(struct server *server, int *answer)
{
    struct pollfd heard[] = { { .fd = server->line, .events = POLLIN },
                              { .fd = process_descriptor(server->process), .events = POLLIN } };
    while (poll(heard, 2, -1) < 0 && errno == EINTR)
        continue;
    if (!heard[0].revents)
        return -EPIPE;
    int none = 0;
    int size = post_receive(server->line, answer, sizeof *answer, NULL, &none);
    return size == sizeof *answer ? 0 : size < 0 ? size : -EPIPE;
}

/* What a fork in another thread must not see half done: it holds the list. */
static void set_server(struct server *server)
{
    handles_hold();
    wiped->server = server;
    handles_let_go();
}

/* It then ends by itself, when it looks; a child forked by hand may hold a copy of the line. */
static void hang_up(const struct server *server)
{
    if (shm_is(server->line, &server->line_file))
        post_hang_up(server->line);
}

static void destroy(struct server *server)
{
    free(server->rights);
    free(server);
}

/* The server has ended, or is to. One that may not be killed, since the starter is another user now, and does not come
 * to its end is left to come to it. */
static void bury(struct server *server, brood_end *end, int64_t deadline)
{
    set_server(NULL);
    hang_up(server);
    server_forget(server);
    bool ended = process_await(server->process, end, deadline);
    if (!ended && process_signal(server->process, SIGKILL) != -EPERM)
        ended = process_await(server->process, end, CLOCK_NEVER);
    if (ended) {
        process_discard(server->process);
    } else {
        log_say(BROOD_WARNING, "the fork server %d may not be signalled, and does not end",
                brood_process_pid(server->process));
        handle_close(server->process);
    }
    destroy(server);
}

/* A new server, spawned with the other end of its line. NULL with errno and a sentence. */
static struct server *spawn_server(void)
{
    int ends[2];
    int failed = post_pair(ends);
    if (failed < 0) {
        error_set(-failed,
                  failed == -EMFILE || failed == -ENFILE ? "no descriptor is free for the fork server: %s"
                                                         : "no line to a fork server: %s",
                  strerror(-failed));
        return NULL;
    }
    const brood_process_options options = {
        .name = "fork server",
        .start = BROOD_SPAWN,
        .fds = &ends[1],
        .fd_count = 1,
    };
    struct server *server = wiped_allocate(sizeof *server);
    if (server)
        server->rights = rights_now();
    if (server && server->rights)
        server->process = process_start(server_main, &ends[1], sizeof ends[1], &options, HANDLE_INTERNAL, NULL);
    else
        error_set(ENOMEM, "no memory for a fork server");
    failed = errno;
    close(ends[1]);
    if (server && server->process) {
        server->line = ends[0];
        shm_identify(server->line, &server->line_file);
        return server;
    }
    close(ends[0]);
    if (server)
        destroy(server);
    errno = failed;
    return NULL;
}

/* 0, or -errno with a sentence. */
static int launch(void)
{
    brood_end end = { .how = BROOD_CRASHED };
    for (int tries = 0; tries < SERVER_TRIES && end.how == BROOD_CRASHED; tries++) {
        struct server *server = spawn_server();
        int ready;
        if (!server)
            return -errno;
        set_server(server);
        if (hear(server, &ready) == 0) {
            log_say(BROOD_INFO, "fork server %d is ready", brood_process_pid(server->process));
            return 0;
        }
        bury(server, &end, CLOCK_NEVER);
    }
    return error_set(EOWNERDEAD, "the fork server ended before it was ready: %s",
                     end.why[0] ? end.why : "its function returned");
}

/* Whether the starter may do now what it might when the server was spawned, and what the server may, and its children
 * would. 1, 0, or -errno with a sentence. */
static int has_our_rights(const struct server *server)
{
    struct rights *now = rights_now();
    if (!now)
        return error_set(ENOMEM, "no memory for the rights of a fork server");
    bool equal = rights_equal(now, server->rights);
    free(now);
    return equal;
}

/* A server that was killed is replaced, and so is one whose line the program closed, or one of other rights. 0, or
 * -errno with a sentence. */
static int ensure(void)
{
    struct server *server = wiped->server;
    brood_end end = { .how = BROOD_RUNNING };
    int64_t deadline = 0;
    if (server) {
        const char *why = "the program closed its line";
        if (process_await(server->process, &end, 0)) {
            why = end.why[0] ? end.why : "it returned";
        } else if (shm_is(server->line, &server->line_file)) {
            int same = has_our_rights(server);
            if (same != 0)
                return same < 0 ? same : 0;
            why = "user, groups or capabilities have changed";
            deadline = clock_deadline(SERVER_END_MS);
        }
        log_say(BROOD_WARNING, "the fork server %d is of no use any more (%s): starting another", end.pid, why);
        bury(server, NULL, deadline);
    }
    return launch();
}

int server_hold(void)
{
    handles_enter();
    pthread_mutex_lock(&wiped->server_guard);
    int failed = ensure();
    if (failed < 0)
        server_let_go();
    return failed;
}

void server_let_go(void)
{
    pthread_mutex_unlock(&wiped->server_guard);
    handles_leave();
}

int server_pid(void)
{
    const struct server *server = wiped->server;
    return brood_process_pid(server->process);
}

enum child_tie server_tie(void)
{
    const struct server *server = wiped->server;
    return server->process->tie;
}

pid_t server_fork(slot_id id, const struct child_bond *bond)
{
    struct server *server = wiped->server;
    struct slot *slot = slot_of(id);
    struct request request = { .id = id, .tie = (int32_t)bond->tie, .parent = bond->parent };
    int fds[SERVER_FDS], answer = 0;
    int count = ticket_descriptors(slot->ticket, fds);
    if (bond->tie & CHILD_TO_PIPE)
        fds[count++] = bond->pipe[0];
    int failed = post_send(server->line, &request, sizeof request, fds, count);
    if (failed < 0 && failed != -EPIPE)
        return error_set(-failed, "the fork server cannot be asked: %s", strerror(-failed));
    if (failed == 0)
        failed = hear(server, &answer);
    if (failed < 0) { /* when it is gone for certain, what the kernel wrote is all that there will ever be */
        bool killed = process_signal(server->process, SIGKILL) != -EPERM;
        if (!killed)
            hang_up(server);
        if (!process_await(server->process, NULL, killed ? CLOCK_NEVER : clock_deadline(SERVER_END_MS)))
            return error_set(EPERM, "the fork server does not answer, and may not be killed");
        answer = atomic_load(&slot->pid);
        return answer ? answer : error_set(EOWNERDEAD, "the fork server was killed before it made the process");
    }
    return answer < 0 ? error_set(-answer, "the fork server made no process: %s", strerror(-answer)) : answer;
}

void server_end(void)
{
    handles_enter();
    pthread_mutex_lock(&wiped->server_guard);
    struct server *server = wiped->server;
    if (server)
        bury(server, NULL, clock_deadline(SERVER_END_MS));
    server_let_go();
}

void server_forget(const struct server *server)
{
    if (server && shm_is(server->line, &server->line_file))
        close(server->line);
}
