/* memory_owner.c: whose each block is, and what; and what is told of those that are left in the end.
 */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define ROOM 1100

struct shared {
    void *block[8];
    brood_lock lock;
};

static void found(brood_heap_mode mode)
{
    NEED(brood_init(&(brood_init_options){ .name = "founder", .limit = 16 * MIB, .heap = mode }) == 0);
}

/* The share of that owner (0: any) and label (NULL: any); all zero: there is none. */
static brood_heap_share share_of(unsigned by, int pid, const char *label)
{
    brood_heap_share shares[ROOM];
    memset(shares, 0x77, sizeof shares);
    int count = brood_heap_shares(by, shares, ROOM);
    CHECK(count >= 0 && count <= ROOM);
    for (int i = 0; i < count && i < ROOM; i++) {
        CHECK(i == 0 || shares[i].used <= shares[i - 1].used);
        CHECK(shares[i].blocks > 0 && shares[i].used >= shares[i].blocks * 16);
        for (int j = 0; j < 4; j++)
            CHECK(shares[i].reserved[j] == NULL);
        if ((!pid || shares[i].pid == pid) && (!label || strcmp(shares[i].label, label) == 0))
            return shares[i];
    }
    return (brood_heap_share){ 0 };
}

static int allocate(void *arg)
{
    struct shared *shared = arg;
    shared->block[1] = CHECK_POINTER(brood_alloc(1000));
    shared->block[2] = CHECK_POINTER(brood_alloc(300 * KIB));
    CHECK_RESULT(brood_heap_label(shared->block[2], "picture"), 0);
    brood_heap_share share = share_of(BROOD_BY_OWNER, getpid(), NULL);
    CHECK_EQ((long long)share.blocks, 2);
    CHECK_EQ((long long)share.used, (long long)(1024 + 320 * KIB));
    CHECK_EQ(share.gone, false);
    CHECK_STR(share.label, "");
    return 0;
}

/* A child's blocks stay its own when it is gone, until somebody frees or moves them. */
static void owners(void)
{
    found(BROOD_HEAP_TRACK);
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    brood_heap_share own = share_of(BROOD_BY_OWNER, getpid(), NULL);
    CHECK_EQ((long long)own.blocks, 1);
    CHECK_STR(own.owner, "founder");
    static const brood_start starts[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };
    for (int i = 0; i < 3; i++) {
        size_t before = share_of(BROOD_BY_OWNER, getpid(), NULL).blocks;
        brood_process *process =
            brood_process_start(allocate, shared, 0, &(brood_process_options){ .name = "painter", .start = starts[i] });
        int pid = brood_process_pid(process);
        brood_end end;
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_RESULT(brood_process_close(process), 0);
        brood_heap_share share = share_of(BROOD_BY_OWNER, pid, NULL);
        CHECK_EQ((long long)share.blocks, 2);
        CHECK_STR(share.owner, "painter");
        CHECK_EQ(share.gone, true);
        share = share_of(BROOD_BY_OWNER | BROOD_BY_LABEL, pid, "picture");
        CHECK_EQ((long long)share.blocks, 1);
        CHECK_EQ((long long)share.used, (long long)(320 * KIB));
        shared->block[1] = CHECK_POINTER(brood_realloc(shared->block[1], 2000)); /* ours, now */
        CHECK_EQ((long long)share_of(BROOD_BY_OWNER, pid, NULL).blocks, 1);
        CHECK(share_of(BROOD_BY_OWNER, getpid(), NULL).blocks >= before + 1);
        brood_free(shared->block[1]);
        brood_free(shared->block[2]);
        CHECK_EQ((long long)share_of(BROOD_BY_OWNER, pid, NULL).blocks, 0);
        CHECK_RESULT(brood_heap_check(), 0);
    }
}

static void labels(void)
{
    found(BROOD_HEAP_TRACK);
    char *block = CHECK_POINTER(brood_alloc(100)), *other = CHECK_POINTER(brood_alloc(100));
    CHECK_RESULT(brood_heap_label(block, "names"), 0);
    CHECK_RESULT(brood_heap_label(other, "names"), 0);
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "names").blocks, 2);
    CHECK_EQ(share_of(BROOD_BY_LABEL, 0, "names").pid, 0);
    CHECK_RESULT(brood_heap_label(other, "ages"), 0);
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "names").blocks, 1);
    other = CHECK_POINTER(brood_realloc(other, 5000)); /* it moves with the block */
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "ages").used, 5120);
    other = CHECK_POINTER(brood_realloc(other, 100 * KIB));
    other = CHECK_POINTER(brood_realloc(other, 10));
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "ages").used, 16);
    brood_free(other);
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "ages").blocks, 0);
    CHECK_POINTER(brood_alloc(10)); /* a new block in its place has none */
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "ages").blocks, 0);
    CHECK_RESULT(brood_heap_label(block, ""), 0);
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "names").blocks, 0);
    char text[200], cut[48] = "";
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    memset(cut, 'x', 47);
    CHECK_RESULT(brood_heap_label(block, text), 0);
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, cut).blocks, 1);
    CHECK_RESULT(brood_heap_label(block, NULL), -EINVAL);
    CHECK_RESULT(brood_heap_label(NULL, "x"), -EINVAL);
    CHECK_RESULT(brood_heap_label(block + 1, "x"), -EINVAL);
    CHECK_RESULT(brood_heap_label(text, "x"), -EINVAL);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* More labels than there is room for: those that no block has make way for others; else a block goes without. */
static void many_labels(void)
{
    found(BROOD_HEAP_TRACK);
    char *block = CHECK_POINTER(brood_alloc(100)), text[32];
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "number %d", i);
        CHECK_RESULT(brood_heap_label(block, text), 0);
    }
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "number 2999").blocks, 1);
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "kept %d", i);
        CHECK_RESULT(brood_heap_label(CHECK_POINTER(brood_alloc(16)), text), 0);
    }
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "number 2999").blocks, 1);
    brood_heap_share most;
    int count = brood_heap_shares(BROOD_BY_LABEL, &most, 1);
    CHECK(count > 250 && count <= 1025);
    CHECK_STR(most.label, ""); /* those that went without */
    CHECK_RESULT(brood_heap_check(), 0);
}

static int keep_one(void *arg)
{
    struct shared *shared = arg;
    shared->block[0] = CHECK_POINTER(brood_alloc(16));
    return 0;
}

/* More processes than can be told apart, one after another: those without blocks make way. */
static void many_owners(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = MIB, .heap = BROOD_HEAP_TRACK }) == 0);
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    int pid = 0;
    for (int i = 0; i < harness_times(600); i++) {
        brood_process *process =
            brood_process_start(keep_one, shared, 0, &(brood_process_options){ .start = BROOD_FORK });
        NEED(process != NULL);
        pid = brood_process_pid(process);
        CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(process), 0);
        if (i % 100 == 0)
            CHECK_EQ((long long)share_of(BROOD_BY_OWNER, pid, NULL).blocks, 1);
        brood_free(shared->block[0]);
    }
    CHECK_RESULT(brood_heap_check(), 0);
}

/* brood's own blocks are among them, and the names of objects say which objects there are. */
static void names_of_objects(void)
{
    found(BROOD_HEAP_TRACK);
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    CHECK_RESULT(brood_lock_init(&shared->lock, &(brood_lock_options){ .name = "jobs" }), 0);
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "name of lock 'jobs'").blocks, 1);
    CHECK_RESULT(brood_lock_fini(&shared->lock), 0);
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "name of lock 'jobs'").blocks, 0);
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, NULL));
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "pool").blocks, 1);
    CHECK(share_of(BROOD_BY_LABEL, 0, "start of a process").blocks >= 1); /* the keeper's */
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ((long long)share_of(BROOD_BY_LABEL, 0, "pool").blocks, 0);
}

static int child_by_hand(void *arg)
{
    struct shared *shared = arg;
    shared->block[3] = CHECK_POINTER(brood_alloc(48));
    CHECK_EQ((long long)share_of(BROOD_BY_OWNER, getpid(), NULL).blocks, 1);
    return 0;
}

static void forked_by_hand(void)
{
    found(BROOD_HEAP_TRACK);
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    pid_t pid = fork_child(child_by_hand, shared);
    CHECK_EQ(wait_child(pid), 0);
    brood_heap_share share = share_of(BROOD_BY_OWNER, pid, NULL);
    CHECK_EQ((long long)share.blocks, 1);
    CHECK_EQ(share.gone, true);
    CHECK_STR(share.owner, "");
}

static void wrong_arguments(void)
{
    found(BROOD_HEAP_TRACK);
    brood_heap_share share;
    CHECK_RESULT(brood_heap_shares(0, &share, 1), -EINVAL);
    CHECK_RESULT(brood_heap_shares(4, &share, 1), -EINVAL);
    CHECK_RESULT(brood_heap_shares(BROOD_BY_OWNER | 8, &share, 1), -EINVAL);
    CHECK_RESULT(brood_heap_shares(BROOD_BY_OWNER, &share, -1), -EINVAL);
    CHECK_RESULT(brood_heap_shares(BROOD_BY_OWNER, NULL, 1), -EINVAL);
    CHECK_EQ(brood_heap_shares(BROOD_BY_OWNER, NULL, 0), 0);
    CHECK_POINTER(brood_alloc(1));
    CHECK_EQ(brood_heap_shares(BROOD_BY_OWNER, NULL, 0), 1);
}

static void untracked(void)
{
    unsetenv("BROOD_HEAP");
    found(BROOD_HEAP_DEFAULT);
    brood_heap_share share;
    void *block = CHECK_POINTER(brood_alloc(100));
    CHECK_RESULT(brood_heap_shares(BROOD_BY_OWNER, &share, 1), -ENOTSUP);
    CHECK_RESULT(brood_heap_label(block, "a label"), 0);
    CHECK_RESULT(brood_heap_label(block, NULL), -EINVAL);
    CHECK_RESULT(brood_heap_label(&share, "a label"), -EINVAL);
    brood_free(block);
}

static int try_init(const char *variable, brood_heap_mode mode)
{
    setenv("BROOD_HEAP", variable, 1);
    return brood_init(&(brood_init_options){ .limit = 2 * MIB, .heap = mode });
}

static int init_tracks(void *arg)
{
    brood_heap_share share;
    CHECK_RESULT(try_init(arg, BROOD_HEAP_DEFAULT), 0);
    CHECK_POINTER(brood_alloc(1));
    CHECK_EQ(brood_heap_shares(BROOD_BY_OWNER, &share, 1), 1);
    return 0;
}

static int init_does_not(void *arg)
{
    CHECK_RESULT(try_init(arg, BROOD_HEAP_DEFAULT), 0);
    CHECK_RESULT(brood_heap_shares(BROOD_BY_OWNER, NULL, 0), -ENOTSUP);
    return 0;
}

static int init_fails(void *arg)
{
    CHECK_RESULT(try_init(arg, BROOD_HEAP_DEFAULT), -EINVAL);
    CHECK_HAS(brood_error(), "BROOD_HEAP");
    return 0;
}

static int init_refuses(void *arg)
{
    (void)arg;
    CHECK_RESULT(try_init("", (brood_heap_mode)3), -EINVAL);
    return 0;
}

static int init_overrides(void *arg)
{
    CHECK_RESULT(try_init(arg, BROOD_HEAP_TRACK), 0); /* the option counts, whatever the variable says */
    CHECK_EQ(brood_heap_shares(BROOD_BY_OWNER, NULL, 0), 0);
    return 0;
}

static void by_environment(void)
{
    CHECK_EQ(wait_child(fork_child(init_tracks, "track")), 0);
    CHECK_EQ(wait_child(fork_child(init_does_not, "")), 0);
    CHECK_EQ(wait_child(fork_child(init_fails, "trace")), 0);
    CHECK_EQ(wait_child(fork_child(init_fails, "reports")), 0);
    CHECK_EQ(wait_child(fork_child(init_refuses, NULL)), 0);
    CHECK_EQ(wait_child(fork_child(init_overrides, "nonsense")), 0);
}

/* ---- what is left in the end ---- */

/* What a program, `body`, that founds a family of its own and ends by exit writes to its standard error. */
static char *told_by(int (*body)(void), char *text, size_t room)
{
    int ends[2];
    NEED(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        exit(body());
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; length < room - 1 && (got = read(ends[0], text + length, room - 1 - length)) > 0;)
        length += (size_t)got;
    close(ends[0]);
    text[length] = 0;
    int status;
    NEED(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(status, 0);
    return text;
}

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static int leave_some(void)
{
    found(BROOD_HEAP_REPORT);
    for (int i = 0; i < 3; i++)
        brood_heap_label(brood_alloc(100), "letters");
    brood_alloc(200 * KIB);
    brood_free(brood_alloc(5000));
    return 0;
}

static int leave_nothing(void)
{
    found(BROOD_HEAP_REPORT);
    brood_free(brood_alloc(5000));
    return 0;
}

static int leave_untold(void)
{
    found(BROOD_HEAP_TRACK);
    brood_alloc(5000);
    return 0;
}

static int leave_many(void)
{
    found(BROOD_HEAP_REPORT);
    for (size_t i = 0; i < 30; i++)
        brood_alloc(100 + i * i * 20);
    return brood_fini(); /* told here, and not again at exit */
}

static int leave_a_block(void *arg)
{
    (void)arg;
    brood_alloc(700);
    return 0;
}

static int leave_by_child(void)
{
    found(BROOD_HEAP_REPORT);
    static const brood_start starts[] = { BROOD_FORK, BROOD_FORK, BROOD_SPAWN };
    for (int i = 0; i < 3; i++) {
        brood_process *process = brood_process_start(leave_a_block, NULL, 0,
                                                     &(brood_process_options){ .name = "worker", .start = starts[i] });
        if (i == 1) /* one may be killed, and is not told of for that */
            brood_process_signal(process, SIGKILL);
        brood_process_join(process, NULL, BROOD_FOREVER);
        brood_process_close(process);
    }
    brood_process_start(leave_a_block, NULL, 0, &(brood_process_options){ .name = "late" }); /* waited for at exit */
    return 0;
}

static void told_in_the_end(void)
{
    static char text[8192];
    told_by(leave_some, text, sizeof text);
    CHECK_HAS(text, "4 blocks are left at the family's end, 262480 bytes");
    CHECK_HAS(text, "left: 1 of 262144 bytes, by ");
    CHECK_HAS(text, " founder\n");
    CHECK_HAS(text, "left: 3 of 112 bytes, by ");
    CHECK_HAS(text, " founder: letters\n");
    CHECK_EQ(lines_of(text), 3);
    CHECK_STR(told_by(leave_nothing, text, sizeof text), "");
    CHECK_STR(told_by(leave_untold, text, sizeof text), "");
    told_by(leave_many, text, sizeof text);
    CHECK_HAS(text, "30 blocks are left");
    CHECK_HAS(text, "kinds more");
    CHECK_EQ(lines_of(text), 12);
}

static void told_once_by_the_last(void)
{
    static char text[8192];
    if (harness_part() != NULL) {
        leave_by_child(); /* a fresh program: its spawned child comes back to main */
        exit(0);
    }
    int ends[2];
    NEED(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        harness_exec(NULL, "program");
        _exit(97);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    close(ends[0]);
    CHECK_EQ(wait_child(pid), 0);
    CHECK_HAS(text, "blocks are left at the family's end");
    CHECK(strstr(strstr(text, "family's end") + 1, "family's end") == NULL);
    CHECK_HAS(text, "of 768 bytes, by ");
    CHECK_HAS(text, " worker\n");
    CHECK_HAS(text, " late\n");
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "owners", .run = owners, .no_init = true },
        { .name = "labels", .run = labels, .no_init = true },
        { .name = "many_labels", .run = many_labels, .no_init = true },
        { .name = "many_owners", .run = many_owners, .no_init = true },
        { .name = "names_of_objects", .run = names_of_objects, .no_init = true },
        { .name = "forked_by_hand", .run = forked_by_hand, .no_init = true },
        { .name = "wrong_arguments", .run = wrong_arguments, .no_init = true },
        { .name = "untracked", .run = untracked, .no_init = true },
        { .name = "by_environment", .run = by_environment, .no_init = true },
        { .name = "told_in_the_end", .run = told_in_the_end, .no_init = true },
        { .name = "told_once_by_the_last", .run = told_once_by_the_last, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
