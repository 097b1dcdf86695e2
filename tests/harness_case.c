/* harness_case.c: what a case calls: checks, the board that counts them, and ways to start itself again.
 */
#include "harness_board.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN 10 /* failed checks of one case that are printed */

struct board *board;

static const char *case_name;
static const char *case_part;
static char *command[5];

void case_is(const char *program, const char *name, const char *part)
{
    static char program_text[4096];
    snprintf(program_text, sizeof program_text, "%s", program);
    command[0] = program_text;
    case_name = name;
    case_part = part;
}

void board_fail(const char *file, int line, const char *format, ...)
{
    char text[900];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *base = strrchr(file, '/');
    char all[1024];
    int length = snprintf(all, sizeof all, "%s:%d: %s\n", base != NULL ? base + 1 : file, line, text);
    if (length > (int)sizeof all - 1)
        length = (int)sizeof all - 1;
    if (board == NULL) {
        (void)!write(STDERR_FILENO, all, (size_t)length);
        _exit(99); /* nobody can count it: the end of this process must tell */
    }
    int earlier = atomic_fetch_add(&board->failures, 1);
    if (earlier == 0)
        memcpy(board->why, all, (size_t)length - 1);
    else if (earlier < SHOWN)
        dprintf(STDERR_FILENO, "    %s", all);
}

void harness_skip(const char *why, ...)
{
    va_list arguments;
    va_start(arguments, why);
    vsnprintf(board->why, sizeof board->why, why, arguments);
    va_end(arguments);
    atomic_store(&board->skipped, 1);
    exit(0);
}

bool check_that(bool holds, const char *what, const char *file, int line)
{
    if (!holds)
        board_fail(file, line, "%s does not hold (errno %d, \"%s\")", what, errno, brood_error());
    return holds;
}

void need_that(bool holds, const char *what, const char *file, int line)
{
    if (!check_that(holds, what, file, line))
        _exit(98);
}

bool check_equal(long long actual, long long expected, const char *what, const char *file, int line)
{
    if (actual != expected)
        board_fail(file, line, "%s is %lld, not %lld (\"%s\")", what, actual, expected, brood_error());
    return actual == expected;
}

bool check_text(const char *actual, const char *expected, const char *what, const char *file, int line)
{
    bool holds = actual == expected || (actual != NULL && expected != NULL && strcmp(actual, expected) == 0);
    if (!holds)
        board_fail(file, line, "%s is \"%s\", not \"%s\"", what, actual != NULL ? actual : "(NULL)",
                   expected != NULL ? expected : "(NULL)");
    return holds;
}

bool check_part(const char *text, const char *part, const char *what, const char *file, int line)
{
    bool holds = text != NULL && strstr(text, part) != NULL;
    if (!holds)
        board_fail(file, line, "%s is \"%s\", without \"%s\"", what, text != NULL ? text : "(NULL)", part);
    return holds;
}

static bool is_sentence(const char *text)
{
    return text != NULL && text[0] != '\0' && strchr(text, '\n') == NULL;
}

bool check_result(int actual, int expected, const char *what, const char *file, int line)
{
    if (actual != expected)
        board_fail(file, line, "%s is %d, not %d (\"%s\")", what, actual, expected, brood_error());
    else if (expected < 0 && !is_sentence(brood_error()))
        board_fail(file, line, "%s is %d, but there is no sentence: \"%s\"", what, actual, brood_error());
    else
        return true;
    return false;
}

void *check_pointer(void *actual, const char *what, const char *file, int line)
{
    if (actual == NULL)
        board_fail(file, line, "%s is NULL (errno %d, \"%s\")", what, errno, brood_error());
    return actual;
}

bool check_null(const void *actual, int number, const char *what, const char *file, int line)
{
    int seen = errno;
    if (actual != NULL)
        board_fail(file, line, "%s is %p, not NULL", what, actual);
    else if (seen != number)
        board_fail(file, line, "%s sets errno to %d, not %d (\"%s\")", what, seen, number, brood_error());
    else if (!is_sentence(brood_error()))
        board_fail(file, line, "%s fails without a sentence: \"%s\"", what, brood_error());
    else
        return true;
    return false;
}

bool check_errno(int actual, int number, const char *what, const char *file, int line)
{
    if (actual != number)
        board_fail(file, line, "%s sets errno to %d, not %d (\"%s\")", what, actual, number, brood_error());
    else if (number != 0 && !is_sentence(brood_error()))
        board_fail(file, line, "%s fails without a sentence: \"%s\"", what, brood_error());
    else
        return true;
    return false;
}

int harness_failures(void)
{
    return board != NULL ? atomic_load(&board->failures) : 0;
}

bool harness_sanitized(void)
{
    return SLOWNESS > 1;
}

int harness_times(int count)
{
    return SLOWNESS > 1 ? count / 4 : count;
}

const char *harness_part(void)
{
    return case_part;
}

char *const *harness_command(const char *part)
{
    static char run[] = "--run";
    static char text[64];
    static char name[128];
    snprintf(text, sizeof text, "%s", part != NULL ? part : "");
    snprintf(name, sizeof name, "%s", case_name);
    command[1] = name;
    command[2] = run;
    command[3] = part != NULL ? text : NULL;
    command[4] = NULL;
    return command;
}

void harness_exec(const char *program, const char *part)
{
    char *const *arguments = harness_command(part);
    execv(program != NULL ? program : "/proc/self/exe", arguments);
    if (program == NULL) /* under valgrind /proc/self/exe may not be opened */
        execv(arguments[0], arguments);
}

pid_t harness_start(const char *part)
{
    pid_t pid = fork();
    if (pid == 0) {
        harness_exec(NULL, part);
        _exit(97);
    }
    NEED(pid > 0);
    return pid;
}

void *harness_page(void)
{
    NEED(board != NULL);
    return board->page;
}
