/* process_stdio.c: what a child shares with its parent's C library: buffered output comes once, and the parent's atexit
 * handlers run in the parent only.
 */
#include "harness.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const brood_process_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

static atomic_int *handlers_run;

static void join_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static int count_text(const char *text, const char *part)
{
    int count = 0;
    for (const char *found = strstr(text, part); found != NULL; found = strstr(found + 1, part))
        count++;
    return count;
}

static int print_child(void *arg)
{
    (void)arg;
    printf("child;");
    return 0;
}

struct writer {
    int fd;
    int method;
};

static int print_and_start(void *arg)
{
    const struct writer *writer = arg;
    NEED(dup2(writer->fd, STDOUT_FILENO) == STDOUT_FILENO);
    close(writer->fd);
    setvbuf(stdout, NULL, _IOFBF, 4096);
    printf("before;");
    join_well(brood_process_start(print_child, NULL, 0, &methods[writer->method]));
    printf("after;");
    fflush(stdout);
    return 0;
}

/* What a process that ran print_and_start wrote. */
static void read_output(int method, char *text, size_t size)
{
    int ends[2];
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    struct writer writer = { ends[1], method };
    pid_t pid = fork_child(print_and_start, &writer);
    close(ends[1]);
    size_t length = 0;
    for (ssize_t more = 1; more > 0 && length < size - 1; length += (size_t)more) {
        more = read(ends[0], text + length, size - 1 - length);
        if (more < 0)
            break;
    }
    text[length] = '\0';
    close(ends[0]);
    CHECK_EQ(wait_child(pid), 0);
}

static void output_once(void)
{
    for (int method = 0; method < 2; method++) {
        char text[1000];
        read_output(method, text, sizeof text);
        CHECK_STR(text, "before;child;after;");
    }
}

static int write_more(void *arg)
{
    (void)arg;
    return 0;
}

/* Not only standard output: every stream of a program without threads. */
static void other_streams(void)
{
    int ends[2];
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    FILE *file = fdopen(ends[1], "w");
    NEED(file != NULL);
    setvbuf(file, NULL, _IOFBF, 4096);
    fprintf(file, "once;");
    join_well(brood_process_start(write_more, NULL, 0, &methods[0]));
    fprintf(file, "end;");
    fclose(file);
    char text[100] = "";
    CHECK(read(ends[0], text, sizeof text - 1) > 0);
    CHECK_EQ(count_text(text, "once;"), 1);
    CHECK_EQ(count_text(text, "end;"), 1);
    close(ends[0]);
}

/* Input that the parent has read ahead stays the parent's: the child's end must not move the shared offset back. */
static void input_undisturbed(void)
{
    char folder[4096], path[4200];
    NEED(make_folder(folder, sizeof folder) == 0);
    snprintf(path, sizeof path, "%s/lines", folder);
    FILE *file = fopen(path, "we");
    NEED(file != NULL);
    for (int i = 0; i < 1000; i++)
        fprintf(file, "%d\n", i);
    fclose(file);
    file = fopen(path, "re");
    NEED(file != NULL);
    for (int i = 0; i < 1000; i++) {
        int value = -1;
        NEED(fscanf(file, "%d", &value) == 1);
        NEED(CHECK_EQ(value, i));
        if (i % 100 == 50)
            join_well(brood_process_start(write_more, NULL, 0, &methods[i % 200 == 50]));
    }
    fclose(file);
    unlink(path);
    rmdir(folder);
}

static void count_handler(void)
{
    atomic_fetch_add(handlers_run, 1);
}

static int return_zero(void *arg)
{
    (void)arg;
    return 0;
}

static int leave_at_once(void *arg)
{
    (void)arg;
    _exit(0);
}

static int register_own(void *arg)
{
    handlers_run = arg;
    atexit(count_handler);
    return 0;
}

static void exit_handlers(void)
{
    handlers_run = CHECK_POINTER(brood_alloc(sizeof *handlers_run));
    atexit(count_handler);
    join_well(brood_process_start(return_zero, NULL, 0, &methods[0]));
    CHECK_EQ(atomic_load(handlers_run), 0);
    brood_process *process = brood_process_start(leave_at_once, NULL, 0, &methods[0]);
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_EQ(atomic_load(handlers_run), 0);
    /* a spawned child ends by exit: what it registers itself runs */
    join_well(brood_process_start(register_own, handlers_run, 0, &methods[1]));
    CHECK_EQ(atomic_load(handlers_run), 1);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "output_once", .run = output_once },
        { .name = "other_streams", .run = other_streams },
        { .name = "input_undisturbed", .run = input_undisturbed },
        { .name = "exit_handlers", .run = exit_handlers },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
