/* log_lines.c: what brood tells of its work: nothing unless asked to, in lines of one form, each by one write, at the
 * level that the environment or the program chose, to whom it chose.
 *
 * Standard error is a socket here that keeps packets apart: what comes in one was written in one.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CASES_MOST 40
#define LINES_MOST 100

struct line {
    int pid;
    char name[40];
    char level[16];
    char text[600];
};

static struct line lines[LINES_MOST];
static int line_count;
static int hearing = -1;

/* The program that a spawned child is started with comes to brood_init without what a case does before it. */
static void found_family(const char *name)
{
    brood_init_options options = { .name = name, .command = harness_command("child") };
    NEED(brood_init(&options) == 0);
}

static void be_child(void)
{
    if (harness_part() != NULL) {
        brood_init(NULL);
        _exit(96); /* a spawned child does not come here */
    }
}

static void hear_errors(void)
{
    be_child();
    int ends[2];
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    NEED(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO && close(ends[1]) == 0);
    hearing = ends[0];
}

/* "brood[1234 reader] warning: sentence" */
static void note_line(const char *text)
{
    NEED(line_count < LINES_MOST);
    struct line *line = &lines[line_count++];
    int length = 0;
    memset(line, 0, sizeof *line);
    if (sscanf(text, "brood[%d %39[^]]] %15[a-z]: %n", &line->pid, line->name, line->level, &length) != 3 || !length)
        CHECK_STR(text, "brood[PID NAME] LEVEL: sentence");
    snprintf(line->text, sizeof line->text, "%s", text + length);
    CHECK(line->text[0] != '\0' && strchr(text, '\n') == NULL);
}

/* The lines since it was last called. How many. */
static int read_lines(void)
{
    char packet[700];
    ssize_t length;
    line_count = 0;
    while ((length = recv(hearing, packet, sizeof packet - 1, MSG_DONTWAIT)) > 0) {
        packet[length] = '\0';
        CHECK_EQ(packet[length - 1], '\n');
        packet[length - 1] = '\0';
        note_line(packet);
    }
    return line_count;
}

/* How many of the lines read are of a level, by a process (0: any), and say something (NULL: anything). */
static int count_lines(const char *level, int pid, const char *part)
{
    int count = 0;
    for (int i = 0; i < line_count; i++)
        count += (level == NULL || strcmp(lines[i].level, level) == 0) && (pid == 0 || lines[i].pid == pid) &&
                 (part == NULL || strstr(lines[i].text, part) != NULL);
    return count;
}

/* A case's name ends with its start method. */
static brood_process_options by_method(void)
{
    int method = brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
    NEED(method > 0);
    return (brood_process_options){ .name = "reader", .start = (brood_start)method };
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int end_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    int pid = brood_process_pid(process);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
    return pid;
}

static int leave(void *arg)
{
    (void)arg;
    _exit(3);
}

static void *pause_on(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

static void start_thread(void)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, pause_on, NULL) == 0 && pthread_detach(thread) == 0);
}

/* Something of each level: processes that come and go, a fork with threads, a status that another wait took. */
static void make_events(void)
{
    if (refuse_call(SYS_pidfd_open, ENOSYS) != 0)
        harness_skip("no seccomp filters here"); /* and the kernel might tell the status once more */
    start_thread();
    brood_process *process = brood_process_start(leave, NULL, 0, &(brood_process_options){ .start = BROOD_FORK });
    NEED(process != NULL);
    CHECK_EQ(wait_child(brood_process_pid(process)), 3 << 8);
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_LOST);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void check_level(brood_level level)
{
    read_lines();
    CHECK_EQ(count_lines("error", getpid(), NULL), level >= BROOD_ERROR);
    CHECK_EQ(count_lines("warning", getpid(), "thread"), level >= BROOD_WARNING);
    CHECK_EQ(count_lines("info", getpid(), NULL) > 0, level >= BROOD_INFO);
    CHECK_EQ(count_lines("debug", getpid(), NULL) > 0, level >= BROOD_DEBUG);
    CHECK_EQ(line_count > 0, level > BROOD_SILENT);
}

/* ---- what is said, and when ---- */

static void level_names(void)
{
    static const char *const names[] = { "silent", "error", "warning", "info", "debug" };
    for (int i = BROOD_SILENT; i <= BROOD_DEBUG; i++)
        CHECK_STR(brood_level_name((brood_level)i), names[i]);
    CHECK_STR(brood_level_name((brood_level)(BROOD_DEBUG + 1)), NULL);
    CHECK_STR(brood_level_name((brood_level)99), NULL);
    CHECK_STR(brood_level_name((brood_level)-1), NULL);
}

static void silent_at_first(void)
{
    unsetenv("BROOD_LOG");
    hear_errors();
    found_family(NULL);
    for (int i = 1; brood_start_name((brood_start)i) != NULL; i++)
        end_well(brood_process_start(nothing, NULL, 0, &(brood_process_options){ .start = (brood_start)i }));
    kill(brood_start_server(), SIGKILL);
    NEED(brood_start_server() > 0);
    make_events();
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(read_lines(), 0);
}

static int ask_by_environment(void *arg)
{
    brood_level level = *(brood_level *)arg;
    setenv("BROOD_LOG", brood_level_name(level), 1);
    found_family(NULL);
    make_events();
    check_level(level);
    return 0;
}

static void asked_by_environment(void)
{
    hear_errors();
    for (brood_level level = BROOD_SILENT; brood_level_name(level) != NULL; level++)
        CHECK_EQ(wait_child(fork_child(ask_by_environment, &level)), 0);
}

static int ask_by_program(void *arg)
{
    brood_level level = *(brood_level *)arg;
    found_family(NULL);
    CHECK_RESULT(brood_log_to(BROOD_DEBUG, NULL, NULL), 0);
    CHECK_RESULT(brood_log_to(level, NULL, NULL), 0);
    make_events();
    check_level(level);
    return 0;
}

static void asked_by_program(void)
{
    hear_errors();
    unsetenv("BROOD_LOG");
    for (brood_level level = BROOD_SILENT; brood_level_name(level) != NULL; level++)
        CHECK_EQ(wait_child(fork_child(ask_by_program, &level)), 0);
}

static void wrong_level(void)
{
    hear_errors();
    CHECK_RESULT(brood_log_to(BROOD_INFO, NULL, NULL), 0);
    CHECK_RESULT(brood_log_to((brood_level)-1, NULL, NULL), -EINVAL);
    CHECK_RESULT(brood_log_to((brood_level)(BROOD_DEBUG + 1), NULL, NULL), -EINVAL);
    CHECK_RESULT(brood_log_to((brood_level)99, NULL, NULL), -EINVAL);
    found_family(NULL);
    end_well(brood_process_start(nothing, NULL, 0, NULL));
    read_lines();
    CHECK(count_lines("info", getpid(), NULL) > 0); /* as it was before */
}

/* ---- the form of a line ---- */

static void form(void)
{
    hear_errors();
    setenv("BROOD_LOG", "info", 1);
    found_family("founder");
    brood_process_options options = by_method();
    int pid = end_well(brood_process_start(nothing, NULL, 0, &options));
    char number[16];
    snprintf(number, sizeof number, "%d", pid);
    read_lines();
    CHECK(count_lines("info", getpid(), "'reader'") >= 2); /* it came, and it went */
    CHECK(count_lines("info", getpid(), number) >= 2);
    CHECK_EQ(count_lines("info", getpid(), brood_start_name(options.start)) >= 1, 1);
    for (int i = 0; i < line_count; i++)
        CHECK(lines[i].pid != getpid() || strcmp(lines[i].name, "founder") == 0);
    options.name = "two\nlines";
    end_well(brood_process_start(nothing, NULL, 0, &options));
    CHECK(read_lines() >= 2);
    CHECK_STR(brood_error(), "");
}

static void pools_told(void)
{
    hear_errors();
    setenv("BROOD_LOG", "info", 1);
    found_family(NULL);
    brood_pool *pool = brood_pool_create(1, &(brood_pool_options){ .name = "sorters" });
    NEED(pool != NULL);
    read_lines();
    CHECK(count_lines("info", getpid(), "sorters") > 0);
    brood_pool_destroy(pool);
    read_lines();
    CHECK(count_lines("info", getpid(), "sorters") > 0);
}

/* ---- to whom ---- */

struct heard {
    atomic_int lines, wrong;
    int level; /* the most talkative that came */
};

static void hear_line(void *context, brood_level level, const char *line)
{
    struct heard *heard = context;
    atomic_fetch_add(&heard->lines, 1);
    char start[64];
    snprintf(start, sizeof start, "brood[%d ", getpid());
    if (strncmp(line, start, strlen(start)) != 0 || strchr(line, '\n') != NULL || brood_level_name(level) == NULL ||
        strstr(line, brood_level_name(level)) == NULL)
        atomic_fetch_add(&heard->wrong, 1);
    if ((int)level > heard->level)
        heard->level = (int)level;
}

/* What the program said before brood_init counts, not the environment. */
static void to_function(void)
{
    struct heard *heard = harness_page();
    hear_errors();
    setenv("BROOD_LOG", "error", 1);
    CHECK_RESULT(brood_log_to(BROOD_INFO, hear_line, heard), 0);
    found_family(NULL);
    brood_process_options options = by_method();
    end_well(brood_process_start(nothing, NULL, 0, &options));
    CHECK(atomic_load(&heard->lines) >= 2);
    CHECK_EQ(atomic_load(&heard->wrong), 0);
    CHECK_EQ(heard->level, BROOD_INFO);
    CHECK_EQ(read_lines(), 0);
    int before = atomic_load(&heard->lines);
    CHECK_RESULT(brood_log_to(BROOD_INFO, NULL, NULL), 0);
    end_well(brood_process_start(nothing, NULL, 0, &options));
    CHECK_EQ(atomic_load(&heard->lines), before);
    CHECK(read_lines() >= 2);
    CHECK_RESULT(brood_log_to(BROOD_SILENT, hear_line, heard), 0);
    end_well(brood_process_start(nothing, NULL, 0, &options));
    CHECK_EQ(atomic_load(&heard->lines), before);
    CHECK_EQ(read_lines(), 0);
}

static int start_another(void *arg)
{
    (void)arg;
    brood_process_options options = { .name = "another", .start = BROOD_FORK };
    end_well(brood_process_start(nothing, NULL, 0, &options));
    return 0;
}

/* A setting of the program is its own and its forked children's. */
static void program_setting_inherited(void)
{
    hear_errors();
    unsetenv("BROOD_LOG");
    found_family(NULL);
    CHECK_RESULT(brood_log_to(BROOD_INFO, NULL, NULL), 0);
    brood_process_options options = by_method();
    int pid = end_well(brood_process_start(start_another, NULL, 0, &options));
    read_lines();
    CHECK_EQ(count_lines("info", pid, "'another'"), options.start == BROOD_FORK ? 2 : 0);
    for (int i = 0; i < line_count; i++)
        CHECK(lines[i].pid != pid || strcmp(lines[i].name, "reader") == 0);
    struct heard *heard = harness_page();
    CHECK_RESULT(brood_log_to(BROOD_INFO, hear_line, heard), 0);
    end_well(brood_process_start(start_another, NULL, 0, &options));
    CHECK_EQ(read_lines(), 0);
    CHECK_EQ(atomic_load(&heard->wrong), 0); /* each with the pid of the process that it was called in */
}

static void environment_inherited(void)
{
    hear_errors();
    setenv("BROOD_LOG", "info", 1);
    found_family(NULL);
    brood_process_options options = by_method();
    int pid = end_well(brood_process_start(start_another, NULL, 0, &options));
    read_lines();
    CHECK_EQ(count_lines("info", pid, "'another'"), 2);
    for (int i = 0; i < line_count; i++)
        CHECK(lines[i].pid != pid || strcmp(lines[i].name, "reader") == 0);
}

/* A descriptor of brood's must not take the place of a standard error that the program closed: lines would go there. */
static void error_closed(void)
{
    be_child();
    found_family(NULL);
    CHECK_RESULT(brood_log_to(BROOD_DEBUG, NULL, NULL), 0);
    brood_process_options options = by_method();
    close(STDERR_FILENO);
    for (int i = 0; i < 20; i++)
        end_well(brood_process_start(nothing, NULL, 0, &options));
    CHECK_RESULT(brood_fini(), 0);
}

static void *start_in_thread(void *arg)
{
    for (int i = 0; i < 3; i++)
        end_well(brood_process_start(nothing, NULL, 0, arg));
    return NULL;
}

static void error_closed_in_thread(void)
{
    pthread_t thread;
    be_child();
    found_family(NULL);
    CHECK_RESULT(brood_log_to(BROOD_DEBUG, NULL, NULL), 0);
    brood_process_options options = by_method();
    close(STDERR_FILENO);
    NEED(pthread_create(&thread, NULL, start_in_thread, &options) == 0);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_fini(), 0);
}

/* ---- warnings and errors ---- */

/* Once a process, and only where it matters; the child works. */
static void threads_warned(void)
{
    hear_errors();
    setenv("BROOD_LOG", "warning", 1);
    found_family(NULL);
    brood_process_options options = by_method();
    end_well(brood_process_start(nothing, NULL, 0, &options));
    CHECK_EQ(read_lines(), 0);
    start_thread();
    for (int i = 0; i < 3; i++)
        end_well(brood_process_start(nothing, NULL, 0, &options));
    CHECK_EQ(read_lines(), options.start == BROOD_FORK ? 1 : 0);
    CHECK_EQ(count_lines("warning", getpid(), "fork of a program with other threads: "), line_count);
}

static void server_killed(void)
{
    hear_errors();
    setenv("BROOD_LOG", "warning", 1);
    found_family(NULL);
    const brood_process_options options = { .start = BROOD_FORKSERVER };
    for (int i = 0; i < 2; i++) {
        int server = brood_start_server();
        NEED(server > 0);
        CHECK_EQ(read_lines(), 0);
        kill(server, SIGKILL);
        await_child(server);
        end_well(brood_process_start(nothing, NULL, 0, &options));
        char number[16];
        snprintf(number, sizeof number, "%d", server);
        CHECK_EQ(read_lines(), 1);
        CHECK_EQ(count_lines("warning", getpid(), number), 1);
    }
}

/* Those of `each` once for each start method, then `once`. */
static const struct test_case *list_cases(const struct test_case *each, const struct test_case *once)
{
    static struct test_case all[CASES_MOST];
    static char names[CASES_MOST][64];
    int count = 0;
    for (; each->name != NULL; each++) {
        for (int i = 1; brood_start_name((brood_start)i) != NULL; i++, count++) {
            NEED(count < CASES_MOST);
            snprintf(names[count], sizeof names[count], "%s_%s", each->name, brood_start_name((brood_start)i));
            all[count] = *each;
            all[count].name = names[count];
        }
    }
    for (; once->name != NULL; once++) {
        NEED(count < CASES_MOST - 1);
        all[count++] = *once;
    }
    return all;
}

int main(int argc, char **argv)
{
    static const struct test_case each[] = {
        { .name = "form", .run = form, .no_init = true },
        { .name = "to_function", .run = to_function, .no_init = true },
        { .name = "program_setting_inherited", .run = program_setting_inherited, .no_init = true },
        { .name = "environment_inherited", .run = environment_inherited, .no_init = true },
        { .name = "error_closed", .run = error_closed, .no_init = true },
        { .name = "error_closed_in_thread", .run = error_closed_in_thread, .no_init = true },
        { .name = "threads_warned", .run = threads_warned, .no_init = true },
        { .name = NULL },
    };
    static const struct test_case once[] = {
        { .name = "level_names", .run = level_names, .no_init = true },
        { .name = "silent_at_first", .run = silent_at_first, .no_init = true },
        { .name = "asked_by_environment", .run = asked_by_environment, .no_init = true },
        { .name = "asked_by_program", .run = asked_by_program, .no_init = true },
        { .name = "wrong_level", .run = wrong_level, .no_init = true },
        { .name = "pools_told", .run = pools_told, .no_init = true },
        { .name = "server_killed", .run = server_killed, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, list_cases(each, once));
}
