/* inspect_trace.c: `brood trace`: what it sees of a family that was started without a trace. */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char output[4096], folder[512], file[sizeof folder + 16];

static void begin_folder(void)
{
    NEED(make_folder(folder, sizeof folder) == 0);
    snprintf(file, sizeof file, "%s/trace", folder);
}

static void end_folder(void)
{
    unlink(file);
    CHECK_EQ(rmdir(folder), 0);
}

static FILE *start_tool(const char *arguments, int pid)
{
    char command[2048], process[16] = "";
    if (!TEST_TOOL[0])
        harness_skip("the tool is not built");
    if (pid)
        snprintf(process, sizeof process, "%d", pid);
    snprintf(command, sizeof command, "ASAN_OPTIONS=detect_leaks=0 '%s' trace %s %s 2>&1", TEST_TOOL, arguments,
             process);
    FILE *pipe = popen(command, "re"); /* NOLINT(cert-env33-c) */
    NEED(pipe != NULL);
    return pipe;
}

/* Its exit status, and what it printed, errors too, in `output`. */
static int end_tool(FILE *pipe)
{
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = 0;
    while (fgetc(pipe) != EOF)
        ;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int tool(const char *arguments, int pid)
{
    return end_tool(start_tool(arguments, pid));
}

static int tool_to_file(const char *arguments, int pid)
{
    char all[sizeof file + 64];
    snprintf(all, sizeof all, "%s -o '%s'", arguments, file);
    return tool(all, pid);
}

/* What is in the file; yours to free. And python, where there is one, takes it for a viewer's. */
static char *read_file(void)
{
    char command[1024];
    snprintf(command, sizeof command,
             "python3 -c \"import json,sys\nfor e in json.load(open(sys.argv[1])):\n"
             "    assert e['name'] and e['pid'] > 0 and e['ph'] in 'XMibeC'\n"
             "    assert e['ph'] == 'M' or e['ts'] > 0\n\" '%s'",
             file);
    if (system("python3 -c 'import json' 2>/dev/null") == 0)
        CHECK_EQ(system(command), 0);
    FILE *from = fopen(file, "re");
    NEED(from != NULL);
    char *text = NULL;
    size_t room = 0;
    NEED(getdelim(&text, &room, 0, from) > 0);
    fclose(from);
    return text;
}

struct shared {
    brood_lock lock;
    _Atomic int held, go;
};

static int rests(const void *in, void *out)
{
    (void)in;
    (void)out;
    pass_us(50000);
    return 0;
}

static int holds(void *arg)
{
    struct shared *shared = arg;
    NEED(brood_lock_acquire(&shared->lock, BROOD_FOREVER) >= 0);
    atomic_store(&shared->held, 1);
    wait_word(&shared->go, 1, 60000);
    return brood_lock_release(&shared->lock) < 0;
}

static int waits(void *arg)
{
    struct shared *shared = arg;
    return brood_lock_acquire(&shared->lock, BROOD_FOREVER) < 0 || brood_lock_release(&shared->lock) < 0;
}

static bool somebody_waits(void *arg)
{
    (void)arg;
    return brood_waiter_list(NULL, NULL, 0) >= 1;
}

static void whole_family(void)
{
    begin_folder();
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    brood_queue *queue = CHECK_POINTER(brood_queue_create(&(brood_queue_options){ .name = "letters" }));
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, &(brood_pool_options){ .name = "resting" }));
    NEED(shared && queue && pool);
    CHECK_RESULT(brood_lock_init(&shared->lock, &(brood_lock_options){ .name = "door" }), 0);
    CHECK_RESULT(brood_queue_put(queue, "a", 1, 0), 0);
    brood_process *holder = CHECK_POINTER(brood_process_start(holds, shared, 0, NULL));
    NEED(wait_word(&shared->held, 1, 10000));
    brood_process *waiter = CHECK_POINTER(brood_process_start(waits, shared, 0, NULL));
    NEED(wait_until(somebody_waits, NULL, 10000));
    brood_result *result = CHECK_POINTER(brood_pool_map_async(pool, rests, NULL, 0, NULL, 0, 400, NULL));
    NEED(holder && waiter && result);
    CHECK_EQ(tool_to_file("--seconds 1", getpid()), 0);
    CHECK_HAS(output, "spans: ");
    CHECK_HAS(output, "pools: 1, queues: 1");
    char *text = read_file();
    CHECK_HAS(text, "\"name\": \"rests\"");
    CHECK_HAS(text, "\"name\": \"resting 1\"");
    CHECK_HAS(text, "\"name\": \"waits for lock 'door'\"");
    CHECK_HAS(text, "\"name\": \"holds lock 'door'\"");
    CHECK_HAS(text, "\"name\": \"queue 'letters'\"");
    CHECK_HAS(text, "\"messages\": 1");
    CHECK_HAS(text, "\"tasks not done\": ");
    free(text);
    CHECK_EQ(tool("--seconds 0.1", getpid()), 0); /* to standard output */
    CHECK(output[0] == '[');
    atomic_store(&shared->go, 1);
    CHECK_RESULT(brood_process_join(holder, NULL, 10000), 0);
    CHECK_RESULT(brood_process_join(waiter, NULL, 10000), 0);
    brood_process_close(holder);
    brood_process_close(waiter);
    CHECK_RESULT(brood_pool_terminate(pool), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    end_folder();
}

static int calls_briefly(void *arg)
{
    brood_pool *pool = brood_pool_create(1, NULL);
    (void)arg;
    for (;;)
        if (!pool || brood_pool_apply(pool, rests, NULL, 0, NULL, 0, NULL) != 0)
            return 1;
}

static bool has_begun(void *arg)
{
    (void)arg;
    FILE *from = fopen(file, "re");
    bool begun = from && fgetc(from) == '[';
    if (from)
        fclose(from);
    return begun;
}

/* Calls are seen as maps are; and a family of which nothing is left ends the trace early. */
static void family_that_ends(void)
{
    if (harness_part()) {
        NEED(brood_init(NULL) >= 0);
        _exit(calls_briefly(NULL));
    }
    begin_folder();
    char arguments[sizeof file + 64];
    snprintf(arguments, sizeof arguments, "--seconds 60 -o '%s'", file);
    pid_t pid = harness_start("caller");
    long long began = now_ms();
    do
        pass_us(20000); /* until it is a family */
    while (tool_to_file("--seconds 0.2", pid) != 0 && now_ms() - began < 20000);
    char *text = read_file();
    free(text);
    unlink(file);
    FILE *pipe = start_tool(arguments, pid);
    NEED(wait_until(has_begun, NULL, 20000));
    kill_child(pid);
    began = now_ms();
    CHECK_EQ(end_tool(pipe), 0);
    CHECK(now_ms() - began < 30000);
    CHECK_HAS(output, "the family ended");
    free(read_file());
    end_folder();
}

static void misuse(void)
{
    CHECK_EQ(tool("", 0), 2);
    CHECK_HAS(output, "trace: the id of a process must be given");
    CHECK_EQ(tool("1 -o", 0), 2);
    CHECK_HAS(output, "the name of a file must follow: -o");
    CHECK_EQ(tool("--seconds 0", getpid()), 2);
    CHECK_EQ(tool("", getpid()), 2); /* it is in no family */
    CHECK_HAS(output, "is in no family");
    CHECK_RESULT(brood_init(NULL), 0);
    CHECK_EQ(tool("-o /no/such/folder/file", getpid()), 2);
    CHECK_HAS(output, "cannot be written to");
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "whole_family", .run = whole_family },
        { .name = "family_that_ends", .run = family_that_ends, .no_init = true, .deadline_s = 90 },
        { .name = "misuse", .run = misuse, .no_init = true },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
