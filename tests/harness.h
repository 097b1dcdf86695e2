/* harness.h: runs the cases of one test program, each in a process of its own.
 *
 * `prog` runs every case, `prog NAME...` those named, `prog --list` names them. A case is a fresh start of the program
 * (`prog NAME --run`), so a child that brood spawns in it finds its way back through main to brood_init. It has its own
 * process group and a deadline. After it has ended nothing of it may be left: no process, no zombie, no new entry in
 * /dev/shm; what is left fails the case.
 *
 * A failed check counts from any process of the case, whoever forked or spawned it. A case prints one line: "ok NAME
 * (ms)", "FAILED NAME: why" or "skipped NAME: why"; the last line is "N passed, N failed[, N skipped]".
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <brood.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* on every machine; musl 1.2.3 does not name it */
#endif

/* 2^power, a number of bytes or items that no machine has; where a size_t has 32 bits, 2^30. */
#define HUGE_SIZE(power) ((size_t)1 << (sizeof(size_t) == 8 ? (power) : 30))

struct test_case {
    const char *name;
    void (*run)(void);
    int deadline_s; /* 0: 20 seconds. Four times as long under a sanitizer */
    bool no_init;   /* run() calls brood_init itself, or never */
};

/* All that main does: `return harness_main(argc, argv, cases);`. `cases` ends with a NULL name. */
int harness_main(int argc, char **argv, const struct test_case *cases);

/* Ends the case as one that cannot be run here. Only in the case's own process, before it has children. */
_Noreturn void harness_skip(const char *why, ...) __attribute__((format(printf, 1, 2)));

/* Checks: each says whether it held, so that `if (!CHECK(p != NULL)) return;` works. None ends the process. */
#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)
#define CHECK_EQ(actual, expected) check_equal((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_STR(actual, expected) check_text((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_HAS(text, part) check_part((text), (part), #text, __FILE__, __LINE__)

/* A call of brood that must return `expected`; if that is below 0 there must be a sentence too. */
#define CHECK_RESULT(call, expected) check_result((call), (expected), #call, __FILE__, __LINE__)

/* A call of brood that must return a pointer; it is the value. And one that must return NULL, errno and a sentence. */
#define CHECK_POINTER(call) check_pointer((call), #call, __FILE__, __LINE__)
#define CHECK_NULL(call, number) check_null((errno = 0, (call)), (number), #call, __FILE__, __LINE__)

/* A call without a value that must fail: it sets errno, and there is a sentence; with 0 it leaves errno alone. */
#define CHECK_ERRNO(call, number) check_errno((errno = 0, (call), errno), (number), #call, __FILE__, __LINE__)

/* As CHECK, and ends this process when it fails. */
#define NEED(condition) need_that((condition), #condition, __FILE__, __LINE__)

bool check_that(bool holds, const char *what, const char *file, int line);
bool check_equal(long long actual, long long expected, const char *what, const char *file, int line);
bool check_text(const char *actual, const char *expected, const char *what, const char *file, int line);
bool check_part(const char *text, const char *part, const char *what, const char *file, int line);
bool check_result(int actual, int expected, const char *what, const char *file, int line);
void *check_pointer(void *actual, const char *what, const char *file, int line);
bool check_null(const void *actual, int number, const char *what, const char *file, int line);
bool check_errno(int actual, int number, const char *what, const char *file, int line);
void need_that(bool holds, const char *what, const char *file, int line);

/* Checks that failed so far, in all processes of the case. Whether this is a sanitizer's build: such a process is slow,
 * needs much address space, and handles some of what it does itself. */
int harness_failures(void);
bool harness_sanitized(void);

/* How often to do a thing that should be done `count` times: a quarter of it, where processes are slow. */
int harness_times(int count);

/* Starts `program` (NULL: this one) in place of this process, as the same case; harness_part() is then `part`, while it
 * is NULL in a case's first process. Returns only if exec failed. */
void harness_exec(const char *program, const char *part);
const char *harness_part(void);

/* Starts this case again in a child: a founder of another family, which can be killed with no harm to this one. */
pid_t harness_start(const char *part);

/* 64 KiB, zeroed at first, that all processes of the case share, in whatever family they are. */
void *harness_page(void);

/* The case with another argv, for brood_init_options.command. The array is the harness's, good until the next call. */
char *const *harness_command(const char *part);

/* Milliseconds and microseconds of CLOCK_MONOTONIC. */
long long now_ms(void);
long long now_us(void);

/* Sleeps that long, whatever signals come: to be at random places at random times, never to wait for something. */
void pass_us(long long microseconds);

/* Waits until holds(context), looking every half millisecond, at most `ms`. false: it never held. */
bool wait_until(bool (*holds)(void *context), void *context, int ms);

/* wait_until *word >= value; wait_until the process is gone, or a zombie of another's. */
bool wait_word(_Atomic int *word, int value, int ms);
bool wait_gone(pid_t pid, int ms);

/* Forks by hand; the child ends with body(arg) by _exit. */
pid_t fork_child(int (*body)(void *arg), void *arg);

/* The wait status of a child, which it waits for. kill_child kills it first; await_child leaves its status there. */
int wait_child(pid_t pid);
int kill_child(pid_t pid);
void await_child(pid_t pid);

/* Open descriptors of this process; its children, zombies included; 'R', 'S', 'T', 'Z', ... of a process, 0: gone. */
int count_descriptors(void);
int count_children(void);
char process_state(pid_t pid);

/* Whether all of so many bytes are that one; by words, since not every libc's memcmp is quick. */
bool is_all(const void *bytes, int byte, size_t size);

/* The next of a sequence of random numbers; any seed but 0. */
uint32_t random_next(uint32_t *state);

/* What libc asks for memory by: 32-bit processors have a call of their own. */
#ifdef SYS_mmap2
#define CALL_MMAP SYS_mmap2
#else
#define CALL_MMAP SYS_mmap
#endif

/* Makes `call` fail with `number` in this process and its children, for good. 0, or -1: filters are not to be had. */
int refuse_call(long call, int number);

/* The folder of this program, and a new folder in it, to be removed by the caller, its files first. */
const char *program_folder(void);
int make_folder(char *path, size_t size);

#endif
