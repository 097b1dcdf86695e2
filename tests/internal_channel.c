/* internal_channel.c: calls to a manager's server: whole or not at all, whoever is killed, and nobody hangs.
 *
 * The server here knows three requests: echo what follows, count, and wait until somebody says go.
 */
#include "harness.h"
#include "manager/server.h"
#include "os/clock.h"
#include "os/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ECHO, COUNT, WAIT, GO, HOLD };
enum { TOLD_MS = 2000, CLIENTS = 4, LARGE = 100000, KILLS = 200 };

struct scene {
    struct switchboard board;
    atomic_int counted, gone, held, ready, hung, results[CLIENTS];
    atomic_int asked, answered;
    pid_t server;
};

static struct brood_manager *as_manager(struct scene *scene)
{
    return (struct brood_manager *)(void *)scene; /* a name for it, no more */
}

/* ---- the server ---- */

static struct client *waiting[CLIENTS];

static int call(void *context, struct client *client, const void *request, size_t size, struct parcel *reply)
{
    struct scene *scene = context;
    const unsigned char *bytes = request;
    void *room;
    switch (size ? bytes[0] : -1) {
    case ECHO:
        room = parcel_room(reply, size);
        if (!room)
            return -ENOMEM;
        memcpy(room, request, size);
        return (int)size;
    case COUNT:
        return atomic_fetch_add(&scene->counted, 1) + 1;
    case WAIT:
        for (int i = 0; i < CLIENTS; i++)
            if (!waiting[i]) {
                waiting[i] = client;
                break;
            }
        return SERVER_LATER;
    case GO:
        for (int i = 0; i < CLIENTS; i++)
            if (waiting[i])
                client_answer(waiting[i], 7);
        memset(waiting, 0, sizeof waiting);
        return 0;
    case HOLD:
        client->holds = true;
        atomic_fetch_add(&scene->held, 1);
        return 0;
    default:
        return -EINVAL;
    }
}

static void leave(struct client *client)
{
    for (int i = 0; i < CLIENTS; i++)
        if (waiting[i] == client)
            waiting[i] = NULL;
}

static void cancel(void *context, struct client *client)
{
    (void)context;
    leave(client);
    client_answer(client, -ETIMEDOUT);
}

static void gone(void *context, struct client *client)
{
    struct scene *scene = context;
    leave(client);
    if (client->holds)
        atomic_fetch_sub(&scene->held, 1);
    atomic_fetch_add(&scene->gone, 1);
}

static int serve(void *arg)
{
    struct scene *scene = arg;
    const struct service service = { .context = scene, .call = call, .cancel = cancel, .gone = gone };
    return server_run(&scene->board, &service);
}

static bool is_up(void *context)
{
    struct scene *scene = context;
    return atomic_load(&scene->board.state) == MANAGER_UP;
}

static struct scene *lay_out(void)
{
    struct scene *scene = brood_alloc_aligned(sizeof *scene, 64);
    NEED(scene != NULL);
    return scene;
}

/* Whoever starts a server waits until it has its duty: from then on its death is told. */
static void start_server(struct scene *scene)
{
    scene->server = fork_child(serve, scene);
    NEED(wait_until(is_up, scene, 5000));
}

static struct scene *new_scene(void)
{
    struct scene *scene = lay_out();
    start_server(scene);
    return scene;
}

static void end_scene(struct scene *scene, int signal)
{
    kill(scene->server, signal);
    int status = wait_child(scene->server);
    CHECK(signal == SIGTERM ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : WIFSIGNALED(status));
}

static void free_scene(struct scene *scene)
{
    channels_end(&scene->board);
    brood_free(scene);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* ---- clients ---- */

/* The result, or why there is none. */
static int ask(struct scene *scene, int what, const void *more, size_t size, int timeout_ms)
{
    struct thread *self = thread_self();
    struct channel *channel = channel_find(as_manager(scene), &scene->board, "ask");
    if (!channel)
        return -errno;
    unsigned char *room = parcel_room(&channel->request, size + 1);
    if (!room)
        return -ENOMEM;
    room[0] = (unsigned char)what;
    if (size)
        memcpy(room + 1, more, size);
    channel_send(self, &scene->board, channel);
    int failed = channel_await(self, &scene->board, channel, clock_deadline(timeout_ms));
    if (failed == -ETIMEDOUT) {
        channel_cancel(self, &scene->board, channel);
        failed = channel_await(self, &scene->board, channel, clock_deadline(TOLD_MS));
    }
    if (failed == 0 && what == ECHO && channel->reply.result > 0) {
        size_t got;
        const unsigned char *reply = parcel_content(&channel->reply, &got);
        CHECK_EQ(got, size + 1);
        CHECK(reply && memcmp(reply + 1, more, size) == 0);
        parcel_tidy(&channel->reply, false);
        parcel_tidy(&channel->request, false);
    }
    return failed < 0 ? failed : channel->reply.result;
}

static int count(struct scene *scene)
{
    return ask(scene, COUNT, NULL, 0, TOLD_MS);
}

static bool all_hold(void *context)
{
    struct scene *scene = context;
    return atomic_load(&scene->held) == CLIENTS;
}

static bool none_holds(void *context)
{
    struct scene *scene = context;
    return atomic_load(&scene->held) == 0;
}

/* ---- cases ---- */

static void echoes(void)
{
    static const size_t sizes[] = { 0, 1, 40, CHANNEL_ROOM - 1, CHANNEL_ROOM, 5000, LARGE, 10 * LARGE };
    struct scene *scene = new_scene();
    char *bytes = malloc(10 * LARGE);
    NEED(bytes != NULL);
    for (size_t i = 0; i < 10 * LARGE; i++)
        bytes[i] = (char)(i * 7);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            CHECK_EQ(ask(scene, ECHO, bytes, sizes[i], TOLD_MS), (int)sizes[i] + 1);
    free(bytes);
    end_scene(scene, SIGTERM);
    CHECK_EQ(count(scene), -EPIPE);
    free_scene(scene);
}

/* A channel that somebody wrote over costs that one call at most, and the server goes on. */
static void garbled(void)
{
    struct scene *scene = new_scene();
    char *bytes = calloc(1, LARGE);
    NEED(bytes != NULL);
    CHECK_EQ(count(scene), 1);
    struct channel *channel = channel_find(as_manager(scene), &scene->board, "garbled");
    NEED(channel != NULL);
    void *const wild[] = { (void *)(uintptr_t)64, &bytes, (char *)scene + 8 };
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        channel->reply.block = wild[i];
        CHECK_EQ(ask(scene, ECHO, bytes, LARGE, TOLD_MS), LARGE + 1);
        channel->request.block = wild[i];
        channel->request.size = UINT32_MAX;
        channel_send(thread_self(), &scene->board, channel);
        CHECK_EQ(channel_await(thread_self(), &scene->board, channel, clock_deadline(TOLD_MS)), 0);
        CHECK_EQ(channel->reply.result, -EFAULT);
    }
    CHECK_EQ(count(scene), 2);
    free(bytes);
    end_scene(scene, SIGTERM);
    free_scene(scene);
}

static int count_many(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; i < 2000; i++)
        CHECK(count(scene) > 0);
    return 0;
}

static void *count_in_thread(void *arg)
{
    count_many(arg);
    return NULL;
}

static void many_clients(void)
{
    struct scene *scene = new_scene();
    pid_t pids[CLIENTS];
    pthread_t threads[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        pids[i] = fork_child(count_many, scene);
    for (int i = 0; i < CLIENTS; i++)
        NEED(pthread_create(&threads[i], NULL, count_in_thread, scene) == 0);
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQ(wait_child(pids[i]), 0);
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ(count(scene), 2 * CLIENTS * 2000 + 1);
    end_scene(scene, SIGTERM);
    free_scene(scene);
}

static int wait_for_go(void *arg)
{
    struct scene *scene = arg;
    int at = atomic_fetch_add(&scene->ready, 1);
    atomic_store(&scene->results[at], ask(scene, WAIT, NULL, 0, BROOD_FOREVER));
    return 0;
}

static bool server_sleeps(void *context)
{
    struct scene *scene = context;
    return process_state(scene->server) == 'S';
}

/* All who sleep for a reply hear of the server's end, however it ends, and of an answer. */
static void all_are_told(void)
{
    static const int ways[] = { SIGKILL, SIGTERM, 0 };
    for (int way = 0; way < 3; way++) {
        struct scene *scene = new_scene();
        pid_t pids[CLIENTS];
        for (int i = 0; i < CLIENTS; i++)
            pids[i] = fork_child(wait_for_go, scene);
        NEED(wait_word(&scene->ready, CLIENTS, 5000));
        for (int i = 0; i < CLIENTS; i++)
            while (process_state(pids[i]) != 'S')
                pass_us(500);
        CHECK(wait_until(server_sleeps, scene, 5000));
        if (ways[way])
            end_scene(scene, ways[way]);
        else
            CHECK_EQ(ask(scene, GO, NULL, 0, TOLD_MS), 0);
        for (int i = 0; i < CLIENTS; i++)
            CHECK_EQ(wait_child(pids[i]), 0);
        for (int i = 0; i < CLIENTS; i++)
            CHECK_EQ(atomic_load(&scene->results[i]), way == 0 ? -EOWNERDEAD : way == 1 ? -EPIPE : 7);
        CHECK_EQ(count(scene), way == 0 ? -EOWNERDEAD : way == 1 ? -EPIPE : 1);
        if (!ways[way])
            end_scene(scene, SIGTERM);
        free_scene(scene);
    }
}

static void times_out(void)
{
    struct scene *scene = new_scene();
    CHECK_EQ(ask(scene, WAIT, NULL, 0, 20), -ETIMEDOUT);
    CHECK_EQ(count(scene), 1);
    end_scene(scene, SIGTERM);
    free_scene(scene);
}

/* After 2^32 calls: a request numbered 0 would be one that has been cancelled, and taken, from the beginning. */
static void numbers_wrap(void)
{
    struct scene *scene = lay_out();
    struct channel *channel = channel_find(as_manager(scene), &scene->board, "find");
    NEED(channel != NULL);
    atomic_store(&channel->request.number, UINT32_MAX - 1);
    atomic_store(&channel->reply.number, UINT32_MAX - 1);
    start_server(scene);
    CHECK_EQ(count(scene), 1);
    int64_t begin = clock_now();
    CHECK_EQ(ask(scene, WAIT, NULL, 0, 50), -ETIMEDOUT);
    CHECK(clock_now() - begin >= 50000000);
    CHECK_EQ(count(scene), 2);
    CHECK_EQ(atomic_load(&channel->request.number), 2);
    end_scene(scene, SIGTERM);
    free_scene(scene);
}

static _Noreturn int hold_and_stay(void *arg)
{
    struct scene *scene = arg;
    CHECK_EQ(ask(scene, HOLD, NULL, 0, TOLD_MS), 0);
    for (;;)
        pause();
}

/* The dead are noticed though nobody calls, and their channels serve others. */
static void dead_are_buried(void)
{
    struct scene *scene = new_scene();
    CHECK_EQ(count(scene), 1);
    size_t blocks = 0;
    for (int round = 0; round < 5; round++) {
        pid_t pids[CLIENTS];
        for (int i = 0; i < CLIENTS; i++)
            pids[i] = fork_child(hold_and_stay, scene);
        CHECK(wait_until(all_hold, scene, 5000));
        CHECK(wait_until(server_sleeps, scene, 5000));
        for (int i = 0; i < CLIENTS; i++)
            CHECK_EQ(kill_child(pids[i]), SIGKILL);
        CHECK(wait_until(none_holds, scene, TOLD_MS));
        brood_heap_stats stats;
        CHECK_RESULT(brood_heap_stat(&stats), 0);
        if (round > 0)
            CHECK_EQ(stats.blocks, blocks);
        blocks = stats.blocks;
    }
    CHECK_EQ(count(scene), 2);
    end_scene(scene, SIGTERM);
    free_scene(scene);
}

static _Noreturn int count_until_killed(void *arg)
{
    struct scene *scene = arg;
    char bytes[3000] = "";
    for (;;) {
        atomic_fetch_add(&scene->asked, 1);
        CHECK(count(scene) > 0);
        atomic_fetch_add(&scene->answered, 1);
        CHECK(ask(scene, ECHO, bytes, sizeof bytes, TOLD_MS) > 0);
    }
}

/* Killed at random: each count that was answered was done, no other one twice, and all memory is there in the end. */
static void killed_at_random(void)
{
    struct scene *scene = new_scene();
    uint32_t seed = 12345;
    CHECK_EQ(ask(scene, HOLD, NULL, 0, TOLD_MS), 0);
    for (int i = 0; i < harness_times(KILLS); i++) {
        pid_t pid = fork_child(count_until_killed, scene);
        pass_us(random_next(&seed) % 1500);
        CHECK_EQ(kill_child(pid), SIGKILL);
        CHECK_EQ(ask(scene, ECHO, "abc", 3, TOLD_MS), 4);
    }
    int counted = count(scene) - 1;
    CHECK(counted >= atomic_load(&scene->answered) && counted <= atomic_load(&scene->asked));
    end_scene(scene, SIGTERM);
    free_scene(scene);
}

static int ask_nothing(void *arg)
{
    struct scene *scene = arg;
    CHECK(count(scene) > 0);
    return 0;
}

/* A child that was forked by hand has a channel of its own, though it has its parent's memory. */
static void forked_client(void)
{
    struct scene *scene = new_scene();
    for (int i = 0; i < 20; i++) {
        CHECK(count(scene) > 0);
        CHECK_EQ(wait_child(fork_child(ask_nothing, scene)), 0);
    }
    CHECK_EQ(count(scene), 41);
    end_scene(scene, SIGTERM);
    free_scene(scene);
}

static void *use_two(void *arg)
{
    struct scene **scenes = arg;
    ask_nothing(scenes[0]);
    atomic_fetch_add(&scenes[0]->ready, 1);
    CHECK(wait_word(&scenes[1]->ready, 1, 10000));
    ask_nothing(scenes[1]);
    return NULL;
}

/* A channel outlives its manager, if its thread does, and is given back by that thread. */
static void left_channels(void)
{
    struct scene *scenes[2] = { new_scene(), new_scene() };
    brood_heap_stats before, after;
    pthread_t thread;
    atomic_int *ready = &scenes[1]->ready;
    CHECK_RESULT(brood_heap_stat(&before), 0);
    NEED(pthread_create(&thread, NULL, use_two, scenes) == 0);
    NEED(wait_word(&scenes[0]->ready, 1, 10000));
    end_scene(scenes[0], SIGTERM);
    free_scene(scenes[0]);
    atomic_store(ready, 1);
    pthread_join(thread, NULL);
    end_scene(scenes[1], SIGTERM);
    free_scene(scenes[1]);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ(after.blocks, before.blocks - 2);
}

static int count_until_it_fails(void *arg)
{
    struct scene *scene = arg;
    int counted;
    do
        counted = count(scene);
    while (counted > 0);
    CHECK_EQ(counted, -EOWNERDEAD);
    return 0;
}

/* Nobody hangs, whatever the server was at, and what it had answered was done. */
static void server_killed_at_random(void)
{
    uint32_t seed = 54321;
    for (int i = 0; i < harness_times(KILLS); i++) {
        struct scene *scene = new_scene();
        pid_t pids[2];
        for (int j = 0; j < 2; j++)
            pids[j] = fork_child(count_until_it_fails, scene);
        pass_us(random_next(&seed) % 2000);
        end_scene(scene, SIGKILL);
        CHECK_EQ(count(scene), -EOWNERDEAD);
        for (int j = 0; j < 2; j++)
            CHECK_EQ(wait_child(pids[j]), 0);
        free_scene(scene);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "echoes", .run = echoes },
        { .name = "garbled", .run = garbled },
        { .name = "many_clients", .run = many_clients },
        { .name = "all_are_told", .run = all_are_told },
        { .name = "times_out", .run = times_out },
        { .name = "numbers_wrap", .run = numbers_wrap },
        { .name = "dead_are_buried", .run = dead_are_buried },
        { .name = "killed_at_random", .run = killed_at_random, .deadline_s = 60 },
        { .name = "forked_client", .run = forked_client },
        { .name = "left_channels", .run = left_channels },
        { .name = "server_killed_at_random", .run = server_killed_at_random, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
