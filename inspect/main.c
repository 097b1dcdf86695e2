/* main.c: the tool `brood`: looks into running families from outside.
 *
 * It only reads: it takes no latch, maps nothing, and writes nowhere but to its own standard output, or the
 * file that it is told.
 */
#include "command.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: brood ps [--json] [PID]\n"
    "       brood doctor [--json] [--seconds N] PID\n"
    "       brood top [--json] [--seconds N] [--times N] [PID]\n"
    "       brood trace [--seconds N] [-o FILE] PID\n"
    "       brood --help | --version\n"
    "\n"
    "Looks into families of processes that run with brood, and changes nothing there. PID is any process of a family.\n"
    "You may look at your own processes; root at all.\n"
    "\n"
    "ps      families and their processes: what each waits for, and since when. Without a PID, all families.\n"
    "doctor  looks twice, N seconds apart (1 if not given), and says who waits for whom and what is wrong, with\n"
    "        advice: deadlocks, locks left by the dead, stopped processes, full queues, pools that keep crashing. Its\n"
    "        exit status is 0 if it finds nothing, 1 if it finds something, 2 if it cannot look.\n"
    "top     what the family is at, anew every N seconds (1): pools with rates and progress, queues, locks that are\n"
    "        waited for, processes, the heap. In a terminal it fills the screen (q ends it, arrows scroll); else it\n"
    "        prints, --times N times. Without a PID, all families.\n"
    "trace   looks 1,000 times a second, N seconds long (1), and writes what it saw to FILE, or prints it: a timeline\n"
    "        for Perfetto or chrome://tracing, with what each worker of the pools is at, who waits for what, who has\n"
    "        what is waited for, and how much is in queues and before pools. It only samples: tasks shorter than its\n"
    "        pause of 1 ms are seen together, as busy, and shorter waits not at all, nor what a busy machine kept it\n"
    "        from seeing. A pool's option `trace`, or BROOD_TRACE, has each task told exactly.\n"
    "--json  the same for programs: ps and doctor print one document, top one line a look. Times are in milliseconds,\n"
    "        amounts in bytes.\n"
    "\n"
    "Of a heap of more than 64 MiB of small blocks (doctor: 512 MiB in all) what was allocated late may go unseen.\n";

int command_fail(const char *why)
{
    fflush(stdout);
    fprintf(stderr, "brood: %s\n", why);
    return STATUS_FAILED;
}

static int misuse(const char *what, const char *argument)
{
    fprintf(stderr, "brood: %s%s%s\nbrood --help tells more.\n", what, argument ? ": " : "", argument ? argument : "");
    return STATUS_FAILED;
}

/* What a command may be told. */
enum { JSON = 1, SECONDS = 2, TIMES = 4, OUTPUT = 8 };

static unsigned option_of(const char *argument)
{
    static const struct {
        const char *name;
        unsigned option;
    } options[] = { { "--json", JSON }, { "--seconds", SECONDS }, { "--times", TIMES }, { "-o", OUTPUT } };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(argument, options[i].name) == 0)
            return options[i].option;
    return 0;
}

/* A number from `least` to `most`. */
static bool read_number(const char *text, double least, double most, double *number)
{
    char *end;
    errno = 0;
    *number = text ? strtod(text, &end) : 0;
    return text && *text && !*end && !errno && *number >= least && *number <= most;
}

static bool read_whole(const char *text, int *whole)
{
    double number;
    *whole = read_number(text, 1, INT_MAX, &number) ? (int)number : 0;
    return *whole && number == *whole;
}

/* The arguments after the command, which takes these options. 0, or STATUS_FAILED with a sentence. */
static int read_arguments(char **arguments, unsigned options, struct request *request)
{
    for (char **at = arguments; *at; at++) {
        double seconds;
        unsigned option = option_of(*at) & options;
        if (**at == '-' && !option)
            return misuse("no such option", *at);
        if (option == JSON) {
            request->json = true;
        } else if (option == SECONDS) {
            if (!read_number(at[1], 0.001, 86400, &seconds))
                return misuse("a number from 0.001 to 86400 must follow", *at);
            request->pause_ms = (int64_t)(seconds * 1000);
            at++;
        } else if (option == TIMES) {
            if (!read_whole(at[1], &request->times))
                return misuse("a whole number greater than 0 must follow", *at);
            at++;
        } else if (option == OUTPUT) {
            if (!at[1] || !at[1][0])
                return misuse("the name of a file must follow", *at);
            request->output = *++at;
        } else if (request->pid || !read_whole(*at, &request->pid)) {
            return misuse("no process id, or one too many", *at);
        }
    }
    return 0;
}

/* That status, if all that was printed has been written. */
static int end(int status)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? status : command_fail("standard output cannot be written to");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct request *request);
        unsigned options;
    } commands[] = { { "ps", command_ps, JSON },
                     { "doctor", command_doctor, JSON | SECONDS },
                     { "top", command_top, JSON | SECONDS | TIMES },
                     { "trace", command_trace, SECONDS | OUTPUT } };
    struct request request = { .pause_ms = 1000 };
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return end(STATUS_FINE);
        }
    if (argc < 2)
        return misuse("a command must be given", NULL);
    if (strcmp(argv[1], "--version") == 0) {
        printf("brood %s\n", region_version);
        return end(STATUS_FINE);
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return read_arguments(argv + 2, commands[i].options, &request) == 0 ? end(commands[i].run(&request))
                                                                                : STATUS_FAILED;
    return misuse("no such command", argv[1]);
}
