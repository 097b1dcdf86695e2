/* hashtree: the SHA-256 of every regular file under some directories, by a pool of processes, as sha256sum prints it.
 *
 * main reads the options and makes the pool, while this process still has one thread: its workers can then be forked.
 * The crew (crew.c) walks the tree (tree.c), hands batches of files (batch.c) to the workers (hash.c), and prints.
 */
#include "bar.h"
#include "crew.h"
#include "hash.h"
#include "report.h"
#include "survey.h"

#include <brood.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS_MOST 1024
#define USAGE 2 /* the exit status of a wrong command line */

static const char help[] =
    "Usage: hashtree [-j N] [DIR...]\n"
    "\n"
    "Prints the SHA-256 of every regular file under each DIR (default: .), one a line, in the format of sha256sum(1).\n"
    "The hashing is done by N processes; if one of them dies, even by SIGKILL, another takes over its file.\n"
    "\n"
    "  -j, --jobs=N   N processes, 1 to 1024 (default: one for each processor this process may use)\n"
    "      --help     print this text\n"
    "      --version  print the version\n"
    "\n"
    "The lines come in the same order every time: DIR by DIR, in each directory the names sorted by their bytes,\n"
    "and what a directory contains at the place of its name. Paths are those of `find DIR -type f`. A DIR that is\n"
    "a regular file is hashed itself. Symbolic links are never followed, a DIR that is one neither (DIR/ is the\n"
    "directory behind it); they, and FIFOs, sockets and devices, are passed over.\n"
    "\n"
    "What cannot be read is reported on standard error, and the rest still hashed. So is a file at which four\n"
    "processes died. On a terminal, standard error shows the progress.\n"
    "\n"
    "Exit status: 0 if every file was hashed and printed, 1 if not, 2 if the command line is wrong.\n";

/* Opened by something else, a closed standard stream's number would get what we print; so it gets what refuses it. */
static void occupy_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0)
            exit(EXIT_FAILURE);
}

/* The exit status: what was printed is not printed until it has reached its file. */
static int finish(void)
{
    int number = 0;
    errno = 0;
    if (ferror(stdout) | fflush(stdout)) /* either may be the one that knows why */
        number = errno ? errno : EIO;
    if (fclose(stdout) != 0 && number == 0)
        number = errno;
    if (number != 0) {
        char why[256];
        snprintf(why, sizeof why, "write error: %s", strerror(number));
        report(NULL, why);
    }
    return report_any() ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A count of processes, or 0: it is none. */
static int read_workers(const char *text)
{
    char *end;
    errno = 0;
    long workers = strtol(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && workers <= WORKERS_MOST ? (int)workers : 0;
}

/* Reads the options. Whether there is anything left to do; else *status is the exit status. */
static bool read_options(int argc, char **argv, int *workers, int *status)
{
    enum { HELP = 256, VERSION };
    static const struct option options[] = {
        { "jobs", required_argument, NULL, 'j' },
        { "help", no_argument, NULL, HELP },
        { "version", no_argument, NULL, VERSION },
        { 0 },
    };
    *workers = brood_cpu_count();
    for (int option; (option = getopt_long(argc, argv, "j:", options, NULL)) != -1;) {
        switch (option) {
        case 'j':
            *workers = read_workers(optarg);
            if (*workers > 0)
                break;
            fprintf(stderr, "hashtree: -j '%s': the number of processes is 1 to %d\n", optarg, WORKERS_MOST);
            *status = USAGE;
            return false;
        case HELP:
            fputs(help, stdout);
            *status = finish();
            return false;
        case VERSION:
            printf("hashtree, with brood %s\n", brood_version());
            *status = finish();
            return false;
        default: /* getopt_long has said what is wrong */
            fputs("Try 'hashtree --help'.\n", stderr);
            *status = USAGE;
            return false;
        }
    }
    if (*workers > WORKERS_MOST)
        *workers = WORKERS_MOST;
    return true;
}

int main(int argc, char **argv)
{
    static char *here[] = { ".", NULL };
    int workers, status;
    occupy_streams();
    if (brood_init(NULL) < 0) {
        report(NULL, brood_error());
        return EXIT_FAILURE;
    }
    setlocale(LC_CTYPE, ""); /* which names can be shown as they are */
    if (!read_options(argc, argv, &workers, &status))
        return status;
    char *const *arguments = optind < argc ? argv + optind : here;

    hash_prepare(); /* if this fails each file will say so */
    brood_pool *pool = brood_pool_create(workers, &(brood_pool_options){ .name = "hashtree" });
    if (!pool) {
        report(NULL, brood_error());
        return EXIT_FAILURE;
    }
    if (bar_open())
        survey_start(arguments);
    crew_run(pool, arguments);
    survey_stop();
    bar_close();
    brood_pool_destroy(pool);
    return finish();
}
