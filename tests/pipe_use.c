/* pipe_use.c: brood/pipe.h: two ends in the region, and what becomes of one when the other is closed, or dies. */
#include "harness.h"

#include <brood.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const brood_start methods[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };

static size_t blocks(void)
{
    brood_heap_stats stats;
    NEED(brood_heap_stat(&stats) == 0);
    return stats.blocks;
}

static void expect_text(brood_connection *end, const char *text)
{
    char buffer[64];
    size_t size;
    CHECK_RESULT(brood_connection_recv(end, buffer, sizeof buffer, &size, 5000), 0);
    CHECK(size == strlen(text) && memcmp(buffer, text, size) == 0);
}

static void send_text(brood_connection *end, const char *text)
{
    CHECK_RESULT(brood_connection_send(end, text, strlen(text), 5000), 0);
}

static void duplex(void)
{
    brood_connection *ends[2];
    CHECK_RESULT(brood_pipe_create(ends, &(brood_pipe_options){ .name = "line" }), 0);
    CHECK_STR(brood_connection_peer(ends[0]), "line");
    send_text(ends[0], "one");
    send_text(ends[0], "");
    send_text(ends[1], "back");
    send_text(ends[0], "three");
    expect_text(ends[1], "one");
    expect_text(ends[1], "");
    expect_text(ends[1], "three");
    expect_text(ends[0], "back");
    int number = 7, same;
    CHECK_RESULT(brood_connection_send(ends[1], &number, sizeof number, 0), 0);
    CHECK_RESULT(brood_connection_recv(ends[0], &same, sizeof same, NULL, 0), 0);
    CHECK_EQ(same, 7);
    CHECK_RESULT(brood_connection_recv(ends[0], &same, sizeof same, NULL, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

static void one_way(void)
{
    brood_connection *ends[2];
    brood_block message;
    CHECK_RESULT(brood_pipe_create(ends, &(brood_pipe_options){ .one_way = true }), 0);
    send_text(ends[1], "there");
    CHECK_RESULT(brood_connection_send(ends[0], "x", 1, 0), -EINVAL);
    CHECK_RESULT(brood_connection_recv_block(ends[1], &message, 0), -EINVAL);
    CHECK_RESULT(brood_connection_poll(ends[1], 0), -EINVAL);
    CHECK_RESULT(brood_connection_poll(ends[0], 0), 0);
    CHECK_RESULT(brood_connection_recv_block(ends[0], &message, 0), 0);
    CHECK(message.size == 5 && memcmp(message.data, "there", 5) == 0);
    brood_free(message.data);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_send(ends[1], "x", 1, 0), -EPIPE);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

static void sizes(void)
{
    enum { LARGE = 3 << 20 };
    brood_connection *ends[2];
    char *large = malloc(LARGE), *same = malloc(LARGE), few[4];
    size_t size;
    NEED(large && same);
    CHECK_RESULT(brood_pipe_create(ends, NULL), 0);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 7);
    CHECK_RESULT(brood_connection_send(ends[0], large, LARGE, 0), 0); /* it goes alone */
    CHECK_RESULT(brood_connection_send(ends[0], large, 1, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_connection_recv(ends[1], few, sizeof few, &size, 0), -EMSGSIZE);
    CHECK_EQ((long long)size, LARGE);
    CHECK_HAS(brood_error(), "brood_connection_recv: the next message of the pipe");
    CHECK_RESULT(brood_connection_recv(ends[1], few, sizeof few, NULL, 0), -EMSGSIZE);
    CHECK_RESULT(brood_connection_recv(ends[1], same, LARGE, &size, 0), 0);
    CHECK(size == LARGE && memcmp(large, same, LARGE) == 0);
    free(large);
    free(same);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
    CHECK_RESULT(brood_pipe_create(ends, &(brood_pipe_options){ .max_bytes = 10 }), 0);
    CHECK_RESULT(brood_connection_send(ends[0], "12345", 5, 0), 0);
    CHECK_RESULT(brood_connection_send(ends[0], "12345", 5, 0), 0);
    CHECK_RESULT(brood_connection_send(ends[0], "1", 1, 20), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "the pipe is full");
    CHECK_RESULT(brood_connection_send(ends[1], "1", 1, 0), 0); /* each direction has its own room */
    expect_text(ends[1], "12345");
    CHECK_RESULT(brood_connection_send(ends[0], "1", 1, 0), 0);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

static void errors(void)
{
    brood_connection *ends[2];
    char byte;
    CHECK_RESULT(brood_pipe_create(NULL, NULL), -EINVAL);
    CHECK_RESULT(brood_pipe_create(ends, &(brood_pipe_options){ .reserved = { &byte } }), -EINVAL);
    CHECK_RESULT(brood_pipe_create(ends, NULL), 0);
    CHECK_RESULT(brood_connection_send(ends[0], NULL, 1, 0), -EINVAL);
    CHECK_RESULT(brood_connection_recv(ends[0], NULL, 1, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_connection_recv(ends[0], &byte, 1, NULL, -2), -EINVAL);
    CHECK_RESULT(brood_connection_recv_block(ends[0], NULL, 0), -EINVAL);
    CHECK_RESULT(brood_connection_fd(ends[0]), -ENOTSUP);
    CHECK_RESULT(brood_pipe_give(ends[0], NULL), -EINVAL);
    CHECK_RESULT(brood_pipe_give(NULL, NULL), -EINVAL);
    void *block = brood_alloc(256);
    CHECK_RESULT(brood_connection_send(block, "x", 1, 0), -EINVAL);
    CHECK_RESULT(brood_connection_close(block), -EINVAL);
    brood_free(block);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_send(ends[0], "x", 1, 0), -EINVAL); /* we have closed it */
    CHECK_RESULT(brood_connection_close(ends[0]), -EINVAL);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

static int answer(void *arg)
{
    brood_connection *end = arg;
    char name[32], text[64];
    size_t size;
    int told;
    while ((told = brood_connection_recv(end, name, sizeof name, &size, BROOD_FOREVER)) == 0) {
        int length = snprintf(text, sizeof text, "Hello, %.*s!", (int)size, name);
        if (brood_connection_send(end, text, (size_t)length, BROOD_FOREVER) < 0)
            return 2;
    }
    return told == -EPIPE ? 0 : 1;
}

/* What a process' first pipe takes besides stays: how others will hear of its end. */
static void have_had_one(void)
{
    brood_connection *ends[2];
    CHECK_RESULT(brood_pipe_create(ends, NULL), 0);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

static void with_child(void)
{
    have_had_one();
    for (int i = 0; i < 3; i++) {
        brood_process *early = brood_process_start(answer, NULL, 0, &(brood_process_options){ .start = methods[i] });
        CHECK_RESULT(brood_process_join(early, NULL, 10000), 0); /* that method's own blocks are there now */
        brood_process_close(early);
        size_t before = blocks();
        brood_connection *ends[2];
        brood_end end;
        CHECK_RESULT(brood_pipe_create(ends, NULL), 0);
        brood_process *child =
            CHECK_POINTER(brood_process_start(answer, ends[1], 0, &(brood_process_options){ .start = methods[i] }));
        CHECK_RESULT(brood_pipe_give(ends[1], child), 0);
        send_text(ends[0], "World");
        expect_text(ends[0], "Hello, World!");
        CHECK_RESULT(brood_connection_close(ends[0]), 0);
        CHECK_RESULT(brood_process_join(child, &end, 5000), 0);
        CHECK(end.how == BROOD_RETURNED && end.code == 0);
        CHECK_RESULT(brood_process_close(child), 0);
        CHECK_RESULT(brood_connection_close(ends[1]), 0); /* the child had not closed it: its end is gone with it */
        CHECK_EQ((long long)blocks(), (long long)before);
    }
}

static int send_and_return(void *arg)
{
    for (int i = 0; i < 3; i++)
        if (brood_connection_send(arg, &i, sizeof i, 1000) < 0)
            return 1;
    return 0;
}

static int send_and_die(void *arg)
{
    send_and_return(arg);
    raise(SIGKILL);
    return 0;
}

static int die_at_once(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

/* All that was sent, and then the end. */
static void other_end_dies(void)
{
    brood_target *targets[] = { send_and_return, send_and_die, die_at_once };
    for (int i = 0; i < 3; i++) {
        for (int t = 0; t < 3; t++) {
            brood_connection *ends[2];
            int number, seen = 0, told;
            CHECK_RESULT(brood_pipe_create(ends, &(brood_pipe_options){ .name = "line" }), 0);
            brood_process *child = CHECK_POINTER(
                brood_process_start(targets[t], ends[1], 0, &(brood_process_options){ .start = methods[i] }));
            CHECK_RESULT(brood_pipe_give(ends[1], child), 0);
            while ((told = brood_connection_recv(ends[0], &number, sizeof number, NULL, 5000)) == 0)
                CHECK_EQ(number, seen++);
            CHECK_EQ(told, -EPIPE);
            CHECK_HAS(brood_error(), t ? "not all that had it returned" : "line");
            CHECK_EQ(seen, t < 2 ? 3 : 0);
            CHECK_RESULT(brood_connection_send(ends[0], &number, sizeof number, 5000), -EPIPE);
            CHECK_RESULT(brood_process_join(child, NULL, 5000), 0);
            CHECK_RESULT(brood_process_close(child), 0);
            CHECK_RESULT(brood_connection_close(ends[0]), 0);
        }
    }
}

static void *close_later(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    CHECK_RESULT(brood_connection_close(arg), 0);
    return NULL;
}

static void closed_while_waited_for(void)
{
    brood_connection *ends[2];
    brood_block message;
    pthread_t thread;
    CHECK_RESULT(brood_pipe_create(ends, NULL), 0);
    NEED(pthread_create(&thread, NULL, close_later, ends[1]) == 0);
    CHECK_RESULT(brood_connection_recv_block(ends[0], &message, 5000), -EPIPE);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
}

static int send_one_later(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    return brood_connection_send(arg, "x", 1, 1000) < 0;
}

static void waited_for(void)
{
    brood_connection *ends[2];
    char byte;
    CHECK_RESULT(brood_pipe_create(ends, NULL), 0);
    brood_waitable items[] = { { .kind = BROOD_WAIT_CONNECTION, .object = ends[0] },
                               { .kind = BROOD_WAIT_CONNECTION, .object = ends[1] } };
    CHECK_RESULT(brood_connection_poll(ends[0], 10), -ETIMEDOUT);
    CHECK_RESULT(brood_wait(items, 2, 0), -ETIMEDOUT);
    for (int i = 0; i < 5; i++) {
        brood_process *child = CHECK_POINTER(brood_process_start(send_one_later, ends[1], 0, NULL));
        if (i % 2)
            CHECK_RESULT(brood_connection_poll(ends[0], 5000), 0);
        else
            CHECK_RESULT(brood_wait(items, 2, 5000), 1);
        CHECK_RESULT(brood_connection_recv(ends[0], &byte, 1, NULL, 0), 0);
        CHECK_RESULT(brood_process_join(child, NULL, 5000), 0);
        CHECK_RESULT(brood_process_close(child), 0);
    }
    CHECK_RESULT(brood_connection_close(ends[1]), 0); /* we had it too: now nobody has */
    CHECK_RESULT(brood_wait(items, 1, 5000), 1);
    CHECK_RESULT(brood_connection_poll(ends[0], 5000), 0);
    CHECK_RESULT(brood_connection_recv(ends[0], &byte, 1, NULL, 0), -EPIPE);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
}

static void given_back(void)
{
    brood_connection *ends[2];
    have_had_one();
    size_t before = blocks();
    for (int i = 0; i < 50; i++) {
        CHECK_RESULT(brood_pipe_create(ends, &(brood_pipe_options){ .name = "line", .one_way = i % 2 }), 0);
        send_text(ends[1], "left in it");
        CHECK_RESULT(brood_connection_close(ends[i % 3 == 0]), 0);
        CHECK_RESULT(brood_connection_close(ends[i % 3 != 0]), 0);
    }
    CHECK_EQ((long long)blocks(), (long long)before);
    CHECK_RESULT(brood_heap_check(), 0);
}

struct leaving {
    brood_connection *end;
    _Atomic int *go;
};

static int leave_on_go(void *arg)
{
    const struct leaving *leaving = arg;
    char byte;
    CHECK_RESULT(brood_connection_recv(leaving->end, &byte, 1, NULL, 0), -ETIMEDOUT); /* it has it */
    atomic_fetch_add(leaving->go, 1);
    while (atomic_load(leaving->go) < 3)
        continue;
    CHECK_RESULT(brood_connection_close(leaving->end), 0);
    return 0;
}

/* The maker has only handed the ends on, and closes them just as those who have them do. */
static void closed_by_all_at_once(void)
{
    enum { ROUNDS = 150 };
    have_had_one();
    _Atomic int *go = CHECK_POINTER(brood_alloc(sizeof *go));
    size_t before = blocks();
    for (int i = 0; i < ROUNDS; i++) {
        brood_connection *ends[2];
        brood_process *children[2];
        atomic_store(go, 0);
        CHECK_RESULT(brood_pipe_create(ends, NULL), 0);
        for (int j = 0; j < 2; j++) {
            struct leaving leaving = { ends[j], go };
            children[j] = CHECK_POINTER(brood_process_start(leave_on_go, &leaving, sizeof leaving, NULL));
            CHECK_RESULT(brood_pipe_give(ends[j], children[j]), 0);
        }
        CHECK(wait_word((_Atomic int *)go, 2, 5000));
        atomic_fetch_add(go, 1);
        pass_us(i % 40);
        CHECK_RESULT(brood_connection_close(ends[0]), 0);
        CHECK_RESULT(brood_connection_close(ends[1]), 0);
        for (int j = 0; j < 2; j++) {
            brood_end end;
            CHECK_RESULT(brood_process_join(children[j], &end, 5000), 0);
            CHECK_EQ(end.how, BROOD_RETURNED);
            CHECK_RESULT(brood_process_close(children[j]), 0);
        }
    }
    CHECK_EQ((long long)blocks(), (long long)before);
    brood_free((void *)go);
}

static int give_to_parent(void *arg)
{
    brood_queue *queue = CHECK_POINTER(brood_queue_create(NULL));
    CHECK_RESULT(brood_pipe_give(arg, brood_process_parent()), -ECHILD);
    CHECK_RESULT(brood_process_owes(brood_process_parent(), queue, BROOD_PUTS), -ECHILD);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    return 0;
}

/* Only a process' starter knows its end for sure. */
static void not_the_parent(void)
{
    brood_connection *ends[2];
    brood_end end;
    CHECK_RESULT(brood_pipe_create(ends, NULL), 0);
    brood_process *child = CHECK_POINTER(brood_process_start(give_to_parent, ends[1], 0, NULL));
    CHECK_RESULT(brood_process_join(child, &end, 5000), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(child), 0);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

static void before_init(void)
{
    brood_connection *ends[2];
    CHECK_RESULT(brood_pipe_create(ends, NULL), -EINVAL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "duplex", .run = duplex },
        { .name = "one_way", .run = one_way },
        { .name = "sizes", .run = sizes },
        { .name = "errors", .run = errors },
        { .name = "with_child", .run = with_child },
        { .name = "other_end_dies", .run = other_end_dies },
        { .name = "closed_while_waited_for", .run = closed_while_waited_for },
        { .name = "waited_for", .run = waited_for },
        { .name = "given_back", .run = given_back },
        { .name = "closed_by_all_at_once", .run = closed_by_all_at_once, .deadline_s = 60 },
        { .name = "not_the_parent", .run = not_the_parent },
        { .name = "before_init", .run = before_init, .no_init = true },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
