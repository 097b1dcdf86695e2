/* process_descriptors.c: input, output, errors and fds of brood_process_options, by every start method: what a child
 * has under which number, that it has nothing else of its starter's, and what is refused.
 *
 * Each descriptor is a memfd of its own, told from the others by its inode.
 */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FDS_MOST 240

/* The start method that this case is for: the end of its name. */
static brood_start method(void)
{
    return (brood_start)brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
}

static brood_process *start(brood_target *target, const void *arg, size_t size, brood_process_options options)
{
    options.start = method();
    return brood_process_start(target, arg, size, &options);
}

static brood_end end_of(brood_process *process)
{
    brood_end end = { .how = BROOD_RUNNING };
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

static void ends_well(brood_process *process)
{
    brood_end end = end_of(process);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_STR(end.why, "");
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static ino_t file_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/* A new file under the number `fd`, or, with -1, under any. */
static int new_file(int fd, int flags)
{
    int file = memfd_create("file", MFD_CLOEXEC);
    NEED(file >= 3);
    if (fd < 0 || fd == file)
        return file;
    NEED(dup3(file, fd, flags) == fd && close(file) == 0);
    return fd;
}

/* What stands behind 0, 1 and 2; an inode of 0 means /dev/null. */
struct streams {
    ino_t files[3];
};

static int has_streams(void *arg)
{
    const struct streams *wanted = arg;
    for (int i = 0; i < 3; i++) {
        struct stat status = { 0 };
        CHECK(fstat(i, &status) == 0);
        CHECK_EQ(fcntl(i, F_GETFD), 0); /* open across exec(2), whatever the starter's are */
        if (wanted->files[i] != 0)
            CHECK_EQ((long long)status.st_ino, (long long)wanted->files[i]);
        else
            CHECK(S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3));
    }
    return 0;
}

/* The child's streams are these descriptors of the starter's, of which 0 stands for the stream itself. */
static void streams_become(int input, int output, int errors)
{
    const int fds[] = { input, output, errors };
    struct streams wanted;
    for (int i = 0; i < 3; i++)
        wanted.files[i] = fds[i] < 0 ? 0 : file_of(fds[i] > 0 ? fds[i] : i);
    brood_process_options options = { .input = input, .output = output, .errors = errors };
    ends_well(start(has_streams, &wanted, sizeof wanted, options));
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0)
            CHECK_EQ((long long)file_of(fds[i] > 0 ? fds[i] : i), (long long)wanted.files[i]);
    }
}

static void streams(void)
{
    int kept[3];
    for (int i = 0; i < 3; i++) {
        NEED((kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10)) >= 10);
        new_file(i, 0);
    }
    int a = new_file(-1, 0), b = new_file(-1, 0), c = new_file(-1, 0);
    streams_become(0, 0, 0);
    streams_become(a, b, c);
    streams_become(0, a, 0);
    streams_become(0, 0, a);
    streams_become(a, a, a);
    streams_become(-1, -1, -1);
    streams_become(-1, a, 0);
    streams_become(0, 2, 1); /* each takes the other's place */
    streams_become(1, 2, 1);
    streams_become(2, 2, 1);
    streams_become(2, a, 1);
    streams_become(1, -1, a);
    streams_become(0, 1, 2);
    for (int i = 0; i < 3; i++)
        NEED(dup2(kept[i], i) == i);
}

/* A starter without standard streams, whose other descriptors get their numbers. */
static void streams_closed(void)
{
    int kept[3], a = new_file(-1, 0);
    for (int i = 0; i < 3; i++) {
        NEED((kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10)) >= 10);
        close(i);
    }
    ends_well(start(nothing, NULL, 0, (brood_process_options){ 0 }));
    struct streams wanted = { { 0, 0, 0 } };
    brood_process_options options = { .input = -1, .output = -1, .errors = -1 };
    ends_well(start(has_streams, &wanted, sizeof wanted, options));
    wanted.files[1] = wanted.files[2] = file_of(a);
    options.output = options.errors = a;
    ends_well(start(has_streams, &wanted, sizeof wanted, options));
    CHECK_RESULT(brood_fini(), 0); /* what brood has under these numbers is closed now */
    for (int i = 0; i < 3; i++)
        NEED(dup2(kept[i], i) == i);
}

static int write_and_read(void *arg)
{
    (void)arg;
    char text[16] = "";
    CHECK_EQ(read(STDIN_FILENO, text, sizeof text), 5);
    CHECK_STR(text, "given");
    printf("out;");
    fprintf(stderr, "err;");
    printf("end;");
    return 0;
}

/* What it prints comes out there, what it holds back at its end as well, and nowhere else. */
static void streams_used(void)
{
    int in[2], out[2];
    char text[64] = "";
    NEED(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    NEED(write(in[1], "given", 5) == 5);
    ends_well(
        start(write_and_read, NULL, 0, (brood_process_options){ .input = in[0], .output = out[1], .errors = out[1] }));
    close(out[1]);
    CHECK_EQ(read(out[0], text, sizeof text - 1), 12);
    CHECK_STR(text, "err;out;end;");
    CHECK_EQ(read(out[0], text, 1), 0); /* nobody holds the other end */
    close(out[0]);
    close(in[0]);
    close(in[1]);
}

/* The descriptors that a child is to have, and a file that it is not to have. */
struct given {
    int count;
    int fds[FDS_MOST];
    ino_t files[FDS_MOST];
    ino_t secret;
    bool has_secret; /* a fork without a list: it has all */
};

static bool is_given(const struct given *given, int fd)
{
    for (int i = 0; i < given->count; i++) {
        if (given->fds[i] == fd)
            return true;
    }
    return false;
}

/* The pipe that ties this process to its starter, which brood keeps open across an exec(2). */
static bool is_tie(int fd)
{
    return fcntl(fd, F_GETSIG) == SIGKILL && fcntl(fd, F_GETOWN) == getpid();
}

/* What an exec(2) would hand on is what is given, and one tie at most. */
static void check_handed_on(const struct given *given)
{
    int ties = 0;
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC) != 0)
            continue;
        if (is_tie(fd))
            ties++;
        else if (!CHECK(is_given(given, fd)))
            dprintf(STDERR_FILENO, "    descriptor %d is open across an exec\n", fd);
    }
    CHECK(ties <= 1);
}

static int has_given(void *arg)
{
    const struct given *given = arg;
    bool secret = false;
    for (int i = 0; i < given->count; i++) {
        CHECK_EQ((long long)file_of(given->fds[i]), (long long)given->files[i]);
        CHECK_EQ(fcntl(given->fds[i], F_GETFD), 0);
    }
    for (int fd = 0; fd < 1024; fd++)
        secret = secret || file_of(fd) == given->secret;
    CHECK_EQ(secret, given->has_secret);
    if (!given->has_secret)
        check_handed_on(given);
    return 0;
}

static void add(struct given *given, int fd)
{
    given->fds[given->count] = fd;
    given->files[given->count++] = file_of(fd);
}

/* Two copies of it lie about that an exec would hand on: one among the low numbers, one among the high. */
static void leave_secret(struct given *given)
{
    int secret = memfd_create("secret", 0);
    NEED(secret >= 3 && fcntl(secret, F_DUPFD, 900) >= 900);
    given->secret = file_of(secret);
}

static void start_with(struct given *given)
{
    brood_process_options options = { .fds = given->fds, .fd_count = (size_t)given->count };
    ends_well(start(has_given, given, sizeof *given, options));
}

static void fds(void)
{
    struct given given = { 0 };
    leave_secret(&given);
    start_with(&given); /* an empty list is a list */
    add(&given, new_file(-1, 0));
    add(&given, new_file(777, 0));
    add(&given, new_file(555, O_CLOEXEC));
    start_with(&given);
    add(&given, new_file(20, O_CLOEXEC));
    start_with(&given);
    given.has_secret = method() == BROOD_FORK;
    given.count = 0;
    ends_well(start(has_given, &given, sizeof given, (brood_process_options){ 0 }));
    CHECK_EQ(fcntl(555, F_GETFD), FD_CLOEXEC); /* the starter's own is as it was */
}

/* As many as there may be, and every number that is free here: in a fork server many are taken. */
static void most_fds(void)
{
    struct given given = { 0 };
    leave_secret(&given);
    for (int fd = 3; given.count < FDS_MOST; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            add(&given, new_file(fd, O_CLOEXEC));
    }
    start_with(&given);
    brood_process_options options = { .fds = given.fds, .fd_count = FDS_MOST, .input = given.fds[7], .output = -1 };
    ends_well(start(has_given, &given, sizeof given, options));
    int more[FDS_MOST + 1];
    memcpy(more, given.fds, sizeof given.fds);
    more[FDS_MOST] = new_file(-1, 0);
    CHECK_NULL(start(nothing, NULL, 0, (brood_process_options){ .fds = more, .fd_count = FDS_MOST + 1 }), EINVAL);
    CHECK_HAS(brood_error(), "fds");
}

/* With streams from the same descriptors, and streams changed besides. */
static int has_both(void *arg)
{
    const struct given *given = arg;
    struct streams wanted = { { given->files[0], given->files[1], given->files[0] } };
    has_streams(&wanted);
    return has_given(arg);
}

static void fds_and_streams(void)
{
    struct given given = { 0 };
    leave_secret(&given);
    int a = new_file(-1, O_CLOEXEC), b = new_file(-1, O_CLOEXEC);
    add(&given, a);
    add(&given, b);
    brood_process_options options = { .fds = given.fds, .fd_count = 2, .input = a, .output = b, .errors = a };
    ends_well(start(has_both, &given, sizeof given, options));
}

static int hand_on(void *arg)
{
    struct given *given = arg;
    has_given(arg);
    start_with(given);
    given->count--;
    start_with(given);
    given->count = 0;
    start_with(given);
    return 0;
}

/* A child gives its own children what it was given, or less. */
static void fds_of_fds(void)
{
    struct given given = { 0 };
    leave_secret(&given);
    add(&given, new_file(-1, O_CLOEXEC));
    add(&given, new_file(-1, 0));
    brood_process_options options = { .fds = given.fds, .fd_count = 2 };
    ends_well(start(hand_on, &given, sizeof given, options));
}

/* Another program in the child's place: prints which descriptors it began with. */
static int become_lister(void *arg)
{
    (void)arg;
    harness_exec(NULL, "list");
    return 1;
}

static void list(void)
{
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) == 0 && !is_tie(fd)) /* the rest is this program's own */
            printf("%d ", fd);
    }
}

static void fds_across_exec(void)
{
    if (harness_part() != NULL) {
        list();
        return;
    }
    struct given given = { 0 };
    leave_secret(&given);
    int out[2];
    char text[256] = "";
    NEED(pipe2(out, O_CLOEXEC) == 0);
    add(&given, new_file(40, O_CLOEXEC));
    add(&given, new_file(41, 0));
    brood_end end = end_of(
        start(become_lister, NULL, 0, (brood_process_options){ .fds = given.fds, .fd_count = 2, .output = out[1] }));
    CHECK_EQ(end.how, BROOD_EXITED);
    CHECK_EQ(end.code, 0);
    CHECK(read(out[0], text, sizeof text - 1) > 0);
    CHECK_STR(text, "0 1 2 40 41 ");
}

static void refused(brood_process_options options, int number)
{
    int children = count_children(), descriptors = count_descriptors();
    CHECK_NULL(start(nothing, NULL, 0, options), number);
    CHECK_HAS(brood_error(), number == EBADF ? "descriptor" : "fds");
    CHECK_EQ(count_children(), children);
    CHECK_EQ(count_descriptors(), descriptors);
}

static void wrong_descriptors(void)
{
    int closed = new_file(-1, 0), good = new_file(-1, 0);
    close(closed);
    const int numbers[] = { closed, 100000, -2, -1000 };
    for (int i = 0; i < 4; i++) {
        refused((brood_process_options){ .input = numbers[i] }, EBADF);
        refused((brood_process_options){ .output = numbers[i] }, EBADF);
        refused((brood_process_options){ .errors = numbers[i] }, EBADF);
    }
    const int bad[] = { closed, -1, 0, 1, 2, 100000 };
    for (int i = 0; i < 6; i++) {
        const int list_of[] = { good, bad[i] };
        refused((brood_process_options){ .fds = list_of, .fd_count = 2 }, bad[i] >= 0 && bad[i] < 3 ? EINVAL : EBADF);
        ends_well(start(nothing, NULL, 0, (brood_process_options){ .fds = list_of, .fd_count = 1 }));
    }
    refused((brood_process_options){ .fds = NULL, .fd_count = 1 }, EINVAL);
    close(good);
}

/* Each of these by each method: NAME_METHOD. */
static const struct test_case by_method[] = {
    { .name = "streams", .run = streams },
    { .name = "streams_closed", .run = streams_closed },
    { .name = "streams_used", .run = streams_used },
    { .name = "fds", .run = fds },
    { .name = "most_fds", .run = most_fds },
    { .name = "fds_and_streams", .run = fds_and_streams },
    { .name = "fds_of_fds", .run = fds_of_fds },
    { .name = "fds_across_exec", .run = fds_across_exec },
    { .name = "wrong_descriptors", .run = wrong_descriptors },
};

int main(int argc, char **argv)
{
    enum { CASES = sizeof by_method / sizeof *by_method, METHODS = 3 };
    static char names[CASES * METHODS][64];
    static struct test_case cases[CASES * METHODS + 1];
    for (int i = 0; i < CASES * METHODS; i++) {
        cases[i] = by_method[i / METHODS];
        snprintf(names[i], sizeof names[i], "%s_%s", cases[i].name, brood_start_name((brood_start)(1 + i % METHODS)));
        cases[i].name = names[i];
    }
    return harness_main(argc, argv, cases);
}
