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

/* A number that is greater than 0 and, times `scale`, no more than `most`. */
static bool read_number(const char *text, double scale, double most, double *number)
{
    char *end;
    errno = 0;
    *number = text ? strtod(text, &end) * scale : 0;
    return text && *text && !*end && !errno && *number >= 1 && *number <= most;
}

/* The arguments after the command. 0, or STATUS_FAILED with a sentence. */
static int read_arguments(char **arguments, struct request *request)
{
    for (char **at = arguments; *at; at++) {
        double number;
        if (strcmp(*at, "--json") == 0) {
            request->json = true;
        } else if (strcmp(*at, "--seconds") == 0 || strcmp(*at, "--times") == 0) {
            bool seconds = strcmp(*at, "--seconds") == 0;
            const char *option = *at;
            if (!read_number(at[1], seconds ? 1000 : 1, seconds ? 86400000 : 1e9, &number))
                return misuse("a number greater than 0 must follow", option);
            at++;
            if (seconds)
                request->pause_ms = (int64_t)number;
            else
                request->times = (long)number;
        } else if (strcmp(*at, "-o") == 0) {
            if (!at[1] || !at[1][0])
                return misuse("the name of a file must follow", *at);
            request->output = *++at;
        } else if (**at != '-' && !request->pid && read_number(*at, 1, INT_MAX, &number) && number == (int)number) {
            request->pid = (int)number;
        } else {
            return misuse(**at == '-' ? "no such option" : "no process id, or one too many", *at);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct request *request);
    } commands[] = {
        { "ps", command_ps }, { "doctor", command_doctor }, { "top", command_top }, { "trace", command_trace }
    };
    struct request request = { .pause_ms = 1000 };
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return fputs(help, stdout) < 0;
    if (argc < 2)
        return misuse("a command must be given", NULL);
    if (strcmp(argv[1], "--version") == 0)
        return printf("brood %s\n", region_version) < 0;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        if (read_arguments(argv + 2, &request) != 0)
            return STATUS_FAILED;
        int status = commands[i].run(&request);
        return fflush(stdout) == 0 && !ferror(stdout) ? status : command_fail("standard output cannot be written to");
    }
    return misuse("no such command", argv[1]);
}
