/* process_spawn.c: the spawned child is this very program, whatever became of its file, and has what it was started
 * with: the standard streams and the descriptors that were named, variables as the file has them, the region at its
 * address. Without brood's descriptors a spawn is refused.
 */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const brood_process_options fork_it = { .start = BROOD_FORK };
static const brood_process_options spawn_it = { .start = BROOD_SPAWN };

static int eleven(void *arg)
{
    (void)arg;
    return 11;
}

static int code_of(brood_process *process)
{
    brood_end end = { .code = -1 };
    if (!CHECK(process != NULL))
        return -1;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    return end.code;
}

static bool copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    static char bytes[1 << 16];
    ssize_t length = in < 0 || out < 0 ? -1 : 0;
    while (length >= 0 && (length = read(in, bytes, sizeof bytes)) > 0) {
        if (write(out, bytes, (size_t)length) != length)
            length = -1;
    }
    close(in);
    close(out);
    return length == 0;
}

static void write_stranger(const char *path)
{
    FILE *file = fopen(path, "we");
    NEED(file != NULL);
    fputs("#!/bin/sh\nexit 99\n", file);
    fclose(file);
    NEED(chmod(path, 0755) == 0);
}

/* The copy's side: the file it was started from vanishes, and another takes its name. */
static void run_as_copy(void)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/copy", program_folder());
    CHECK_EQ(code_of(brood_process_start(eleven, NULL, 0, &spawn_it)), 11);
    NEED(unlink(path) == 0);
    CHECK_EQ(code_of(brood_process_start(eleven, NULL, 0, &spawn_it)), 11);
    write_stranger(path);
    CHECK_EQ(code_of(brood_process_start(eleven, NULL, 0, &spawn_it)), 11);
    CHECK_EQ(code_of(brood_process_start(eleven, NULL, 0, &fork_it)), 11);
    unlink(path);
}

static void program_replaced(void)
{
    if (harness_part() != NULL) {
        run_as_copy();
        return;
    }
    char folder[4096], path[4200];
    NEED(make_folder(folder, sizeof folder) == 0);
    snprintf(path, sizeof path, "%s/copy", folder);
    if (CHECK(copy_file("/proc/self/exe", path))) {
        pid_t pid = fork();
        if (pid == 0) {
            harness_exec(path, "copy");
            _exit(97);
        }
        CHECK_EQ(wait_child(pid), 0);
    }
    unlink(path);
    CHECK(rmdir(folder) == 0);
}

static int use_descriptors(void *arg)
{
    const int *fds = arg;
    CHECK_EQ(write(fds[0], "x", 1), 1);
    CHECK(fcntl(fds[1], F_GETFD) < 0);
    return 0;
}

/* Only those that the options name, whether or not they are close-on-exec. */
static void descriptors_inherited(void)
{
    int ends[2];
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    int named = fcntl(ends[1], F_DUPFD_CLOEXEC, 700);
    int other = fcntl(ends[1], F_DUPFD, 701);
    NEED(named >= 700 && other > named);
    int fds[2] = { named, other };
    const brood_process_options options = { .start = BROOD_SPAWN, .fds = &named, .fd_count = 1 };
    CHECK_EQ(code_of(brood_process_start(use_descriptors, fds, sizeof fds, &options)), 0);
    close(named);
    close(other);
    close(ends[1]);
    char byte = 0;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    CHECK_EQ(byte, 'x');
    close(ends[0]);
}

/* The pipe that ties this process to its starter, which brood keeps open across an exec(2). */
static bool is_tie(int fd)
{
    return fcntl(fd, F_GETSIG) == SIGKILL && fcntl(fd, F_GETOWN) == getpid();
}

static int count_own_descriptors(void *arg)
{
    (void)arg;
    int count = 0; /* those that an exec would hand on */
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0 && !is_tie(fd))
            count++;
    }
    return count;
}

/* brood's descriptors are close-on-exec, in the program and in its children, but for a tie; and without `fds` a spawned
 * one has none of the program's. */
static void descriptors_not_handed_on(void)
{
    NEED(fcntl(STDIN_FILENO, F_DUPFD, 300) >= 300); /* the program's, which an exec would hand on: a spawn does not */
    int here = count_own_descriptors(NULL);
    CHECK(here > 0);
    CHECK_EQ(code_of(brood_process_start(count_own_descriptors, NULL, 0, &spawn_it)), 0);
    CHECK_EQ(code_of(brood_process_start(count_own_descriptors, NULL, 0, &fork_it)), here);
    CHECK_EQ(count_own_descriptors(NULL), here);
}

static int descriptors_closed(void *arg)
{
    (void)arg;
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    CHECK_NULL(brood_process_start(eleven, NULL, 0, &spawn_it), EBADF);
    CHECK_EQ(code_of(brood_process_start(eleven, NULL, 0, &fork_it)), 11);
    void *block = CHECK_POINTER(brood_alloc(5 << 20));
    brood_free(block);
    /* the numbers get another meaning: brood must not take the file for its own */
    char path[4200];
    snprintf(path, sizeof path, "%s/case-descriptors", program_folder());
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    NEED(file >= 0 && write(file, "data", 4) == 4);
    unlink(path);
    for (int fd = file + 1; fd < 600; fd++)
        NEED(dup2(file, fd) == fd);
    CHECK_NULL(brood_process_start(eleven, NULL, 0, &spawn_it), EBADF);
    CHECK_EQ(code_of(brood_process_start(eleven, NULL, 0, &fork_it)), 11);
    block = CHECK_POINTER(brood_alloc(40 << 20));
    brood_free(block);
    struct stat status;
    char text[8] = "";
    CHECK(fstat(file, &status) == 0 && status.st_size == 4);
    CHECK_EQ(pread(file, text, sizeof text, 0), 4);
    CHECK_STR(text, "data");
    for (int fd = file; fd < 600; fd++)
        close(fd);
    CHECK_RESULT(brood_heap_check(), 0);
    return 0;
}

static void all_closed(void)
{
    CHECK_EQ(wait_child(fork_child(descriptors_closed, NULL)), 0);
}

static int note_address(void *arg)
{
    atomic_int *count = *(atomic_int **)arg;
    atomic_fetch_add(count, 1);
    return 0;
}

/* The region's address is free in every fresh process, wherever the system puts the rest of it. */
static void many_spawns(void)
{
    enum { AT_ONCE = 8 };
    atomic_int *count = CHECK_POINTER(brood_alloc(sizeof *count));
    for (int i = 0; i < 25; i++) {
        brood_process *processes[AT_ONCE];
        for (int j = 0; j < AT_ONCE; j++)
            processes[j] = brood_process_start(note_address, &count, sizeof count, &spawn_it);
        for (int j = 0; j < AT_ONCE; j++)
            CHECK_EQ(code_of(processes[j]), 0);
    }
    CHECK_EQ(atomic_load(count), 25 * AT_ONCE);
    brood_free(count);
}

static int folder_is(void *arg)
{
    char here[4096] = "";
    CHECK(getcwd(here, sizeof here) != NULL);
    CHECK_STR(here, arg);
    return 0;
}

/* After chdir and with a changed PATH the program is still found. */
static void elsewhere(void)
{
    NEED(chdir("/") == 0);
    unsetenv("PATH");
    CHECK_EQ(code_of(brood_process_start(folder_is, "/", 2, &spawn_it)), 0);
}

/* Numbers are scarce, and those of the standard streams are free: none of brood's descriptors comes to lie there, where
 * the child's streams are put. */
static void run_without_streams(void)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/case-input-%d", program_folder(), getpid());
    write_stranger(path);
    int input = open(path, O_RDONLY | O_CLOEXEC);
    unlink(path);
    if (input == STDIN_FILENO)
        NEED((input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)) >= 3);
    const brood_process_options options = { .start = BROOD_SPAWN, .input = input };
    CHECK_EQ(code_of(brood_process_start(eleven, NULL, 0, &options)), 11);
    close(STDIN_FILENO); /* whatever got that number: none of brood's */
    brood_process *process = CHECK_POINTER(brood_process_start(eleven, NULL, 0, &options));
    if (process != NULL)
        CHECK(brood_process_fd(process) >= 3);
    CHECK_EQ(code_of(process), 11);
}

static void few_numbers(void)
{
    if (harness_part() != NULL) {
        run_without_streams();
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit few = { .rlim_cur = 60, .rlim_max = 60 };
        NEED(setrlimit(RLIMIT_NOFILE, &few) == 0 && close(STDIN_FILENO) == 0);
        harness_exec(NULL, "few");
        _exit(97);
    }
    CHECK_EQ(wait_child(pid), 0);
}

static char order_text[16] = "first";

static int tell_order(void *arg)
{
    (void)arg;
    return strcmp(order_text, "first") == 0 ? 1 : 2;
}

/* A spawned child starts afresh: variables are as the program file has them. */
static void fresh_variables(void)
{
    strcpy(order_text, "second");
    CHECK_EQ(code_of(brood_process_start(tell_order, NULL, 0, &spawn_it)), 1);
    CHECK_EQ(code_of(brood_process_start(tell_order, NULL, 0, &fork_it)), 2);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "program_replaced", .run = program_replaced },
        { .name = "descriptors_inherited", .run = descriptors_inherited },
        { .name = "descriptors_not_handed_on", .run = descriptors_not_handed_on },
        { .name = "all_closed", .run = all_closed },
        { .name = "many_spawns", .run = many_spawns },
        { .name = "elsewhere", .run = elsewhere },
        { .name = "few_numbers", .run = few_numbers },
        { .name = "fresh_variables", .run = fresh_variables },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
