/* process_start.c: starting processes and holding their handles: what the child is given, what is refused, how long
 * joins wait, who may use a handle, and that nothing of all this is left over.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const brood_process_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

struct numbers {
    int a, b, c;
    char text[20];
};

struct stage {
    atomic_int entered;
    atomic_int leave;
    atomic_int left;
    atomic_int pid;
    brood_process *process;
};

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int stay(void *arg)
{
    struct stage *stage = *(struct stage **)arg;
    atomic_store(&stage->pid, getpid());
    atomic_fetch_add(&stage->entered, 1);
    bool told = wait_word(&stage->leave, 1, 15000);
    atomic_fetch_add(&stage->left, 1);
    return told ? 0 : 1;
}

static struct stage *new_stage(void)
{
    struct stage *stage = CHECK_POINTER(brood_alloc(sizeof *stage));
    NEED(stage != NULL);
    return stage;
}

static brood_process *start_stay(struct stage *stage, const brood_process_options *options)
{
    brood_process *process = brood_process_start(stay, &stage, sizeof stage, options);
    NEED(process != NULL);
    return process;
}

static void join_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_STR(end.why, "");
    CHECK_RESULT(brood_process_close(process), 0);
}

static int check_numbers(void *arg)
{
    struct numbers *numbers = arg;
    CHECK_EQ((uintptr_t)arg % 16, 0);
    CHECK_EQ(numbers->a, 1);
    CHECK_EQ(numbers->b, -2);
    CHECK_EQ(numbers->c, INT_MAX);
    CHECK_STR(numbers->text, "copied");
    numbers->a = 100; /* its own copy */
    return 0;
}

static int check_many(void *arg)
{
    const unsigned char *bytes = arg;
    CHECK_EQ((uintptr_t)arg % 16, 0);
    for (size_t i = 0; i < 1 << 20; i++)
        NEED(bytes[i] == (unsigned char)(i * 7 >> 3));
    return 0;
}

static int check_byte(void *arg)
{
    CHECK_EQ((uintptr_t)arg % 16, 0);
    return *(const unsigned char *)arg - 200;
}

static void argument_copied(void)
{
    unsigned char *many = malloc(1 << 20);
    NEED(many != NULL);
    for (size_t i = 0; i < 1 << 20; i++)
        many[i] = (unsigned char)(i * 7 >> 3);
    for (int i = 0; i < 2; i++) {
        struct numbers numbers = { 1, -2, INT_MAX, "copied" };
        brood_process *process = brood_process_start(check_numbers, &numbers, sizeof numbers, &methods[i]);
        memset(&numbers, 0, sizeof numbers);
        join_well(process);
        CHECK_EQ(numbers.a, 0);
        process = brood_process_start(check_many, many, 1 << 20, &methods[i]);
        many[0] = 77;
        join_well(process);
        many[0] = 0;
        join_well(brood_process_start(check_byte, &(unsigned char){ 200 }, 1, &methods[i]));
    }
    free(many);
}

static int is_pointer_itself(void *arg)
{
    struct stage *stage = arg;
    CHECK(stage->process == arg);
    atomic_store(&stage->entered, 9);
    return 0;
}

static int is_null(void *arg)
{
    CHECK(arg == NULL);
    return 0;
}

static void argument_handed_over(void)
{
    for (int i = 0; i < 2; i++) {
        struct stage *stage = new_stage();
        stage->process = (brood_process *)stage;
        join_well(brood_process_start(is_pointer_itself, stage, 0, &methods[i]));
        CHECK_EQ(atomic_load(&stage->entered), 9);
        join_well(brood_process_start(is_null, NULL, 0, &methods[i]));
        brood_free(stage);
    }
}

static void wrong_arguments(void)
{
    int here = 0;
    CHECK_NULL(brood_process_start(NULL, NULL, 0, NULL), EINVAL);
    CHECK_NULL(brood_process_start(nothing, &here, 0, NULL), EINVAL);
    CHECK_NULL(brood_process_start(nothing, NULL, 4, NULL), EINVAL);
    CHECK_NULL(brood_process_start(nothing, NULL, 0, &(brood_process_options){ .start = (brood_start)99 }), EINVAL);
    CHECK_NULL(brood_process_start(nothing, NULL, 0, &(brood_process_options){ .start = (brood_start)-1 }), EINVAL);
    for (int i = 0; i < 8; i++) {
        brood_process_options options = { .name = "x" };
        options.reserved[i] = &here;
        CHECK_NULL(brood_process_start(nothing, NULL, 0, &options), EINVAL);
    }
    for (int i = 0; i < 2; i++)
        CHECK_NULL(brood_process_start(nothing, &here, HUGE_SIZE(50), &methods[i]), ENOMEM);
    CHECK_RESULT(brood_process_join(NULL, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_process_signal(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_process_pid(NULL), -EINVAL);
    CHECK_STR(brood_process_name(NULL), "");
    CHECK_RESULT(brood_process_close(NULL), 0);
    CHECK_EQ(count_children(), 0);
}

/* A call that is given NULL because an earlier one failed adds the earlier sentence. */
static void sentence_of_the_cause(void)
{
    char sentence[256];
    brood_process *process = brood_process_start(NULL, NULL, 0, NULL);
    strncpy(sentence, brood_error(), sizeof sentence - 1);
    sentence[sizeof sentence - 1] = '\0';
    CHECK_RESULT(brood_process_join(process, NULL, 0), -EINVAL);
    CHECK(strstr(brood_error(), "process is NULL") != NULL && strstr(brood_error(), sentence) != NULL);
    CHECK_RESULT(brood_process_signal(process, 0), -EINVAL);
    CHECK(strstr(brood_error(), sentence) != NULL);
}

static int check_name(void *arg)
{
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    CHECK_STR(name, arg);
    return 0;
}

static void names(void)
{
    for (int i = 0; i < 2; i++) {
        brood_process_options options = methods[i];
        options.name = "a long name of a process";
        brood_process *process = brood_process_start(check_name, "a long name of ", 16, &options);
        CHECK_STR(brood_process_name(process), "a long name of a process");
        join_well(process);
        process = brood_process_start(nothing, NULL, 0, &methods[i]);
        CHECK_STR(brood_process_name(process), "process");
        join_well(process);
        char name[] = "mine";
        options.name = name;
        process = brood_process_start(check_name, "mine", 5, &options);
        name[0] = 'x'; /* what options point to is copied */
        CHECK_STR(brood_process_name(process), "mine");
        brood_end end;
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_STR(brood_process_name(process), "mine");
        CHECK_RESULT(brood_process_close(process), 0);
    }
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    CHECK(strcmp(name, "mine") != 0);
}

static void name_in_sentence(void)
{
    struct stage *stage = new_stage();
    brood_process *process = start_stay(stage, &(brood_process_options){ .name = "lazybones" });
    CHECK_RESULT(brood_process_join(process, NULL, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "lazybones");
    atomic_store(&stage->leave, 1);
    join_well(process);
    brood_free(stage);
}

static void pids_and_signals(void)
{
    for (int i = 0; i < 2; i++) {
        struct stage *stage = new_stage();
        brood_process *process = start_stay(stage, &methods[i]);
        int pid = brood_process_pid(process);
        CHECK(pid > 0 && pid != getpid());
        CHECK(wait_word(&stage->entered, 1, 5000));
        CHECK_EQ(atomic_load(&stage->pid), pid);
        CHECK_RESULT(brood_process_signal(process, 0), 0);
        CHECK_RESULT(brood_process_signal(process, -1), -EINVAL);
        CHECK_RESULT(brood_process_signal(process, 65), -EINVAL);
        CHECK_RESULT(brood_process_signal(process, 9999), -EINVAL);
        CHECK_RESULT(brood_process_signal(process, SIGTERM), 0);
        brood_end end;
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_CRASHED);
        CHECK_EQ(end.signal, SIGTERM);
        CHECK_EQ(end.pid, pid);
        CHECK_RESULT(brood_process_signal(process, 0), -ESRCH);
        CHECK_RESULT(brood_process_signal(process, SIGKILL), -ESRCH);
        CHECK_EQ(brood_process_pid(process), pid);
        CHECK_RESULT(brood_process_close(process), 0);
        brood_free(stage);
    }
}

/* A process that has ended, but was not joined yet, is no more to be signalled either. */
static void signal_after_end(void)
{
    brood_process *process = brood_process_start(nothing, NULL, 0, NULL);
    NEED(process != NULL);
    await_child(brood_process_pid(process));
    CHECK_RESULT(brood_process_signal(process, SIGTERM), -ESRCH);
    join_well(process);
}

static void join_timeouts(void)
{
    for (int i = 0; i < 2; i++) {
        struct stage *stage = new_stage();
        brood_process *process = start_stay(stage, &methods[i]);
        brood_end end;
        memset(&end, 0x77, sizeof end);
        CHECK_RESULT(brood_process_join(process, &end, 0), -ETIMEDOUT);
        CHECK_EQ(end.how, BROOD_RUNNING);
        long long start = now_ms();
        CHECK_RESULT(brood_process_join(process, &end, 50), -ETIMEDOUT);
        CHECK(now_ms() - start >= 49);
        CHECK_EQ(end.how, BROOD_RUNNING);
        CHECK_RESULT(brood_process_join(process, NULL, 1), -ETIMEDOUT);
        CHECK_RESULT(brood_process_join(process, &end, -2), -EINVAL);
        CHECK_RESULT(brood_process_join(process, &end, INT_MIN), -EINVAL);
        atomic_store(&stage->leave, 1);
        CHECK_RESULT(brood_process_join(process, &end, INT_MAX), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        for (int again = 0; again < 3; again++) {
            memset(&end, 0x77, sizeof end);
            CHECK_RESULT(brood_process_join(process, &end, again - 1), 0);
            CHECK_EQ(end.how, BROOD_RETURNED);
            CHECK_EQ(end.pid, brood_process_pid(process));
            CHECK_EQ(end.attempt, 1);
            CHECK_EQ((long long)end.index, 0);
            CHECK_EQ(end.signal, 0);
        }
        CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(process), 0);
        brood_free(stage);
    }
}

static void ignore(int signal)
{
    (void)signal;
}

static void *pester(void *arg)
{
    for (int i = 0; i < 40; i++) {
        pass_us(5000);
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
    }
    return NULL;
}

/* A signal does not cut a wait short. */
static void join_under_signals(void)
{
    struct sigaction action = { .sa_handler = ignore };
    sigaction(SIGUSR1, &action, NULL);
    struct stage *stage = new_stage();
    brood_process *process = start_stay(stage, NULL);
    pthread_t self = pthread_self(), thread;
    NEED(pthread_create(&thread, NULL, pester, &self) == 0);
    long long start = now_ms();
    CHECK_RESULT(brood_process_join(process, NULL, 150), -ETIMEDOUT);
    CHECK(now_ms() - start >= 149);
    atomic_store(&stage->leave, 1);
    join_well(process);
    pthread_join(thread, NULL);
    brood_free(stage);
}

static void *join_in_thread(void *arg)
{
    brood_end end;
    CHECK_RESULT(brood_process_join(arg, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_EQ(end.pid, brood_process_pid(arg));
    return NULL;
}

static void joined_by_threads(void)
{
    for (int i = 0; i < 10; i++) {
        struct stage *stage = new_stage();
        brood_process *process = start_stay(stage, &methods[i % 2]);
        pthread_t threads[6];
        for (int j = 0; j < 6; j++)
            NEED(pthread_create(&threads[j], NULL, join_in_thread, process) == 0);
        CHECK_RESULT(brood_process_join(process, NULL, 0), -ETIMEDOUT);
        pass_us(i * 500);
        atomic_store(&stage->leave, 1);
        for (int j = 0; j < 6; j++)
            pthread_join(threads[j], NULL);
        join_well(process);
        brood_free(stage);
    }
}

static bool sleeps(void *tid)
{
    char path[64];
    char text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load((atomic_int *)tid));
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool known = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    const char *end = strrchr(text, ')');
    return known && end != NULL && strncmp(end, ") S", 3) == 0;
}

struct joiner {
    brood_process *process;
    atomic_int tid;
};

static void *tell_and_join(void *arg)
{
    struct joiner *joiner = arg;
    atomic_store(&joiner->tid, gettid());
    return join_in_thread(joiner->process);
}

static void close_while_joined(void)
{
    struct stage *stage = new_stage();
    struct joiner joiner = { .process = start_stay(stage, NULL) };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, tell_and_join, &joiner) == 0);
    CHECK(wait_word(&joiner.tid, 1, 5000));
    CHECK(wait_until(sleeps, &joiner.tid, 5000));
    CHECK_RESULT(brood_process_close(joiner.process), -EBUSY);
    atomic_store(&stage->leave, 1);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_process_close(joiner.process), 0);
    brood_free(stage);
}

static void closed_while_running(void)
{
    for (int i = 0; i < 2; i++) {
        struct stage *stage = new_stage();
        brood_process *process = start_stay(stage, &methods[i]);
        int pid = brood_process_pid(process);
        CHECK_RESULT(brood_process_close(process), 0);
        CHECK(wait_word(&stage->entered, 1, 5000));
        CHECK(process_state(pid) != 0);
        atomic_store(&stage->leave, 1);
        CHECK(wait_word(&stage->left, 1, 5000));
        CHECK(wait_gone(pid, 5000));
        join_well(brood_process_start(nothing, NULL, 0, &methods[i]));
        CHECK_EQ(count_children(), 0); /* no zombie stays */
        brood_free(stage);
    }
}

static int use_foreign_handle(void *arg)
{
    brood_process *process = *(brood_process **)arg;
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, 0), -ECHILD);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), -ECHILD);
    CHECK_RESULT(brood_process_signal(process, SIGKILL), -ECHILD);
    CHECK_RESULT(brood_process_signal(process, 0), -ECHILD);
    CHECK_RESULT(brood_process_close(process), -ECHILD);
    return 0;
}

static void handle_of_another(void)
{
    struct stage *stage = new_stage();
    brood_process *process = start_stay(stage, NULL);
    CHECK_EQ(wait_child(fork_child(use_foreign_handle, &process)), 0);
    join_well(brood_process_start(use_foreign_handle, &process, sizeof process, &methods[0]));
    CHECK_RESULT(brood_process_join(process, NULL, 0), -ETIMEDOUT);
    atomic_store(&stage->leave, 1);
    join_well(process);
    brood_free(stage);
}

static void nothing_left(void)
{
    for (int i = 0; i < 2; i++)
        join_well(brood_process_start(nothing, NULL, 0, &methods[i])); /* what is made once is made */
    int descriptors = count_descriptors();
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    for (int i = 0; i < 200; i++) {
        struct numbers numbers = { 1, -2, INT_MAX, "copied" };
        brood_process *process = brood_process_start(check_numbers, &numbers, sizeof numbers, &methods[i % 4 == 0]);
        join_well(process);
    }
    CHECK_EQ(count_descriptors(), descriptors);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void *start_and_join(void *arg)
{
    for (int i = 0; i < 25; i++) {
        struct numbers numbers = { 1, -2, INT_MAX, "copied" };
        join_well(brood_process_start(check_numbers, &numbers, sizeof numbers, arg));
    }
    return NULL;
}

static void started_by_threads(void)
{
    pthread_t threads[4];
    brood_process_options options[4];
    for (int i = 0; i < 4; i++) {
        options[i] = methods[i % 2];
        NEED(pthread_create(&threads[i], NULL, start_and_join, &options[i]) == 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(count_children(), 0);
}

static int start_deeper(void *arg)
{
    int depth = *(const int *)arg - 1;
    if (depth == 0)
        return 0;
    brood_process *process = brood_process_start(start_deeper, &depth, sizeof depth, &methods[depth % 2]);
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.code, depth - 1);
    CHECK_RESULT(brood_process_close(process), 0);
    return depth;
}

static void children_of_children(void)
{
    brood_end end;
    brood_process *process = brood_process_start(start_deeper, &(int){ 8 }, sizeof(int), &methods[1]);
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.code, 7);
    CHECK_RESULT(brood_process_close(process), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "argument_copied", .run = argument_copied },
        { .name = "argument_handed_over", .run = argument_handed_over },
        { .name = "wrong_arguments", .run = wrong_arguments },
        { .name = "sentence_of_the_cause", .run = sentence_of_the_cause },
        { .name = "names", .run = names },
        { .name = "name_in_sentence", .run = name_in_sentence },
        { .name = "pids_and_signals", .run = pids_and_signals },
        { .name = "signal_after_end", .run = signal_after_end },
        { .name = "join_timeouts", .run = join_timeouts },
        { .name = "join_under_signals", .run = join_under_signals },
        { .name = "joined_by_threads", .run = joined_by_threads },
        { .name = "close_while_joined", .run = close_while_joined },
        { .name = "closed_while_running", .run = closed_while_running },
        { .name = "handle_of_another", .run = handle_of_another },
        { .name = "nothing_left", .run = nothing_left },
        { .name = "started_by_threads", .run = started_by_threads },
        { .name = "children_of_children", .run = children_of_children },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
