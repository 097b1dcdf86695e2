/* main.c: the crash lab: kills a process at every instruction of every operation, and looks at what survives.
 *
 * For each operation its path is recorded once; then for each chosen instruction a point's process (point.h) founds a
 * family, has a victim killed there and checks. The lab itself stays out of every family. Its cases are shared out to
 * as many of its processes, its hands, as there are processors. A hand is the subreaper of the families that it has
 * founded, so that what a point leaves behind becomes its child and is noticed.
 */
#include "point.h"
#include "symbol.h"

#include <brood.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PATH_ROOM = 1 << 20, /* instructions */
    POINT_MS = 120000,   /* a point's process that runs longer is stuck */
    LEFT_MS = 10000,     /* so long may what a point started outlive it */
    OFTEN = 24,          /* an instruction that runs more often than this is in a loop: three of its runs will do */
    QUICK_POINTS = 10,
    QUICK_WHOLE = 80, /* of one that is to be tried as a whole */
    QUICK_PART = 3,   /* of an operation's own number a quick run tries one third, */
    LONG_FACTOR = 40, /* and a long one so many times more */
    QUICK_STORM_S = 5,
    LONG_STORM_S = 600,
    FOREIGN = 8, /* a quick run tries one of so many instructions of libc: they seldom touch what is shared */
    JOBS_MOST = 1024,
    TRIES = 3,   /* to meet a place */
    ENOUGH = 10, /* points with faults end the case: each may cost seconds */
    SHOWN = 5,   /* faults told of one case */
};

struct options {
    bool quick, verbose;
    long seed; /* of the sampling */
    long at;   /* the only place on the path to kill at; -1: all */
    long jobs; /* hands */
};

struct aim {
    size_t index;
    bool inside;
};

struct tally {
    size_t tried, astray;
    unsigned faults[POINT_KINDS];
    unsigned wrong; /* faults that only the whole row of results shows */
    long worst_us;
    unsigned faulty; /* points */
};

/* What the hands share. */
struct sum {
    _Atomic unsigned next; /* of the cases, by their numbers: the first that no hand has taken */
    _Atomic unsigned passed, failed;
    struct tally total[]; /* each hand's */
};

static const struct operation *const tables[] = {
    lock_operations,   semaphore_operations,    event_operations,   condition_operations, barrier_operations,
    rwlock_operations, value_operations,        array_operations,   heap_operations,      resize_operations,
    pool_operations,   pool_callers_operations, process_operations, queue_operations,     pipe_operations,
    watch_operations,  manager_operations,      managed_operations, reference_operations
};
static const char *const mode_names[POINT_MODES] = { "awake", "asleep", "paused" };
static const char *const kind_names[POINT_KINDS] = { "stuck", "lost", "torn", "doubled" };

/* ---- what is found ---- */

static int found; /* a file of all of it, to be told once more at the end: hundreds of lines come between */

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    va_start(list, format);
    vdprintf(found, format, list);
    va_end(list);
}

static void tell_again(void)
{
    char text[4096];
    ssize_t size, at = 0;
    while ((size = pread(found, text, sizeof text, at)) > 0) {
        printf("%s%.*s", at ? "" : "what was found, once more:\n", (int)size, text);
        at += size;
    }
}

/* ---- what is left behind ---- */

static size_t entries(const char *path)
{
    size_t count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void kill_children(void)
{
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        char path[300], line[512];
        int pid = atoi(entry->d_name), parent = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *file = pid > 0 ? fopen(path, "re") : NULL;
        if (!file)
            continue;
        const char *end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        if (end && sscanf(end, ") %*c %d", &parent) == 1 && parent == getpid())
            kill(pid, SIGKILL);
        fclose(file);
    }
    if (directory)
        closedir(directory);
}

/* Reaps what came to the lab from a point; false: something still ran after LEFT_MS. */
static bool clean(void)
{
    long long deadline = point_us() + LEFT_MS * 1000LL;
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0)
            return true;
        if (pid > 0)
            continue;
        if (point_us() > deadline)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
    }
    for (int i = 0; i < 10 && waitpid(-1, NULL, WNOHANG) >= 0; i++) {
        kill_children();
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
    }
    return false;
}

/* ---- one point ---- */

static void await_point(struct point *point, pid_t pid)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    long long deadline = point_us() + POINT_MS * 1000LL;
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (point_us() > deadline) {
            point_fault(point, POINT_STUCK, "the point's process did not end");
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return;
        }
        sigtimedwait(&set, NULL, &(struct timespec){ .tv_nsec = 20000000 });
    }
    if (WIFSIGNALED(status))
        point_fault(point, POINT_TORN, "the point's process was killed by signal %d", WTERMSIG(status));
}

static void run_once(struct point *point)
{
    for (int i = 0; i < POINT_KINDS; i++)
        atomic_store(&point->faults[i], 0);
    point->again = point->reached = false;
    point->result = 0;
    point->why[0] = 0;
    atomic_store(&point->worst_us, 0);
    atomic_store(&point->killed_us, 0);
    fflush(NULL);
    pid_t lab = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == lab)
            point->operation->run(point);
        _exit(0);
    }
    if (pid < 0)
        point_fault(point, POINT_TORN, "fork: %s", strerror(errno));
    else
        await_point(point, pid);
    if (!clean())
        point_fault(point, POINT_LOST, "a process was left behind");
}

static unsigned faults_of(const struct point *point)
{
    unsigned sum = 0;
    for (int i = 0; i < POINT_KINDS; i++)
        sum += point->faults[i];
    return sum;
}

static void run_point(struct point *point, struct tally *tally)
{
    for (int tries = 0; tries < TRIES; tries++) {
        point->stepping = !step_breakpoints() || tries == TRIES - 1;
        run_once(point);
        if (point->reached || faults_of(point) > 0)
            break; /* else the way was another this time; at last it is gone step by step */
    }
    tally->tried += point->reached;
    tally->astray += !point->reached;
    for (int i = 0; i < POINT_KINDS; i++)
        tally->faults[i] += point->faults[i] > 0;
    if (point->worst_us > tally->worst_us)
        tally->worst_us = point->worst_us;
    if (faults_of(point) == 0 || tally->faulty++ >= SHOWN)
        return;
    char text[128];
    tell("  %s, %s, at %zu of %zu%s, before %s: %s\n", point->operation->name, mode_names[point->mode], point->index,
         point->path->count, point->inside ? " (asleep in it)" : "",
         symbol_name(point->path->place[point->index].at, text, sizeof text), point->why);
}

/* ---- one operation, in one mode ---- */

static const step_path *sorted_path; /* qsort has no context */

static int by_address(const void *a, const void *b)
{
    const size_t *left = a, *right = b;
    uintptr_t first = sorted_path->place[*left].at, second = sorted_path->place[*right].at;
    if (first != second)
        return first < second ? -1 : 1;
    return *left < *right ? -1 : *left > *right;
}

extern const char __executable_start[], etext[]; /* the linker's */

static bool is_foreign(uintptr_t address)
{
    return address < (uintptr_t)__executable_start || address >= (uintptr_t)etext;
}

/* The instructions to kill at: of one in a loop the first, middle and last run. Of more than `most` (0, 1: no such
 * limit) a sample: the first, the last, and one drawn from each of as many parts between, so that one run tries what
 * another left out. */
static size_t choose(const step_path *path, bool quick, size_t most, struct aim *aims)
{
    size_t *order = calloc(path->count + 1, sizeof *order), chosen = 0, taken = 0;
    size_t skew = quick ? (size_t)random() % FOREIGN : 0;
    bool *wanted = calloc(path->count + 1, sizeof *wanted);
    if (!order || !wanted)
        abort();
    for (size_t i = 0; i <= path->count; i++)
        order[i] = i;
    sorted_path = path;
    qsort(order, path->count + 1, sizeof *order, by_address);
    for (size_t begin = 0, end; begin <= path->count; begin = end) {
        for (end = begin; end <= path->count && path->place[order[end]].at == path->place[order[begin]].at; end++)
            continue;
        for (size_t i = begin; i < end; i++)
            wanted[order[i]] = end - begin <= OFTEN || i == begin || i == begin + (end - begin) / 2 || i == end - 1;
    }
    for (size_t i = 0; quick && i <= path->count; i++)
        wanted[i] = wanted[i] && (!is_foreign(path->place[i].at) || i % FOREIGN == skew);
    wanted[0] = wanted[path->count] = true;
    for (size_t i = 0; i <= path->count; i++)
        chosen += wanted[i];
    bool sampled = most > 1 && chosen > most;
    for (size_t i = 0, seen = 0, next = 0, parts = 0; i <= path->count; i++) {
        if (!wanted[i])
            continue;
        if (!sampled || seen == next || i == path->count) {
            aims[taken++] = (struct aim){ i, false };
            if (sampled) {
                size_t part = parts++ * (chosen - 1) / (most - 1), behind = parts * (chosen - 1) / (most - 1);
                next = part + 1 + (size_t)random() % (behind - part);
            }
        }
        seen++;
        if (i == path->blocked)
            aims[taken++] = (struct aim){ i, true };
    }
    free(order);
    free(wanted);
    return taken;
}

/* Along the path the result goes from first to last, and changes no more often than the operation has commits. */
static void judge(const struct operation *operation, const int *results, const bool *reached, size_t count,
                  struct tally *tally)
{
    int switches = -1, before = 0;
    for (size_t i = 0; i < count; i++) {
        if (!reached[i])
            continue;
        switches += switches < 0 || results[i] != before;
        before = results[i];
    }
    if (switches > operation->switches) {
        tell("  %s: its result changes %d times along the path\n", operation->name, switches);
        tally->wrong++;
    }
    if (reached[0] && results[0] != operation->first) {
        tell("  %s: killed before it: %d, not %d\n", operation->name, results[0], operation->first);
        tally->wrong++;
    }
    if (reached[count - 1] && results[count - 1] != operation->last) {
        tell("  %s: killed after it: %d, not %d\n", operation->name, results[count - 1], operation->last);
        tally->wrong++;
    }
}

static void print_head(void)
{
    printf("%-22s %-6s %8s %7s %7s %6s %6s %6s %8s %9s %7s\n", "operation", "mode", "path", "points", "astray",
           kind_names[0], kind_names[1], kind_names[2], kind_names[3], "worst ms", "s");
}

static void print_tally(const char *name, const char *mode, size_t path, const struct tally *tally, double seconds)
{
    printf("%-22s %-6s %8zu %7zu %7zu %6u %6u %6u %8u %9.1f %7.1f\n", name, mode, path, tally->tried, tally->astray,
           tally->faults[POINT_STUCK], tally->faults[POINT_LOST], tally->faults[POINT_TORN] + tally->wrong,
           tally->faults[POINT_DOUBLED], (double)tally->worst_us / 1000, seconds);
    fflush(stdout);
}

static void add_tally(struct tally *total, const struct tally *tally)
{
    for (int i = 0; i < POINT_KINDS; i++)
        total->faults[i] += tally->faults[i];
    total->tried += tally->tried;
    total->astray += tally->astray;
    total->wrong += tally->wrong;
    if (tally->worst_us > total->worst_us)
        total->worst_us = tally->worst_us;
}

static bool run_case(struct point *point, const struct operation *operation, point_mode mode,
                     const struct options *options, struct tally *total)
{
    long long begin = point_us();
    struct tally tally = { 0 };
    size_t most = operation->quick * LONG_FACTOR;
    if (options->quick)
        most = operation->quick ? operation->quick / QUICK_PART : QUICK_POINTS;
    if (operation->whole && (mode != POINT_PAUSED || !options->quick))
        most = options->quick ? QUICK_WHOLE : 0;
    memset(point->note, 0, sizeof point->note);
    point->operation = operation;
    point->mode = mode;
    point->index = 0;
    point->inside = false;
    point->record = true;
    point->path->count = 0;
    srandom((unsigned)options->seed);
    do
        run_once(point);
    while (point->again);
    point->record = false;
    if (faults_of(point) > 0 || point->path->cut) {
        tell("  %s: %s\n", operation->name, point->path->cut ? "its path is too long" : point->why);
        tally.wrong++;
    } else {
        size_t room = point->path->count + 2, count;
        struct aim *aims = calloc(room, sizeof *aims);
        int *results = calloc(room, sizeof *results);
        bool *reached = calloc(room, sizeof *reached);
        if (!aims || !results || !reached)
            abort();
        count = choose(point->path, options->quick, most, aims);
        if (options->at >= 0) {
            aims[0] = (struct aim){ (size_t)options->at, false };
            count = (size_t)options->at <= point->path->count;
        }
        for (size_t i = 0; i < count && tally.faulty < ENOUGH; i++) {
            point->index = aims[i].index;
            point->inside = aims[i].inside;
            run_point(point, &tally);
            results[i] = point->result;
            reached[i] = point->reached;
            if (options->verbose) {
                char text[128];
                printf("  %6zu%s %-40s result %d%s%s\n", point->index, point->inside ? "*" : " ",
                       symbol_name(point->path->place[point->index].at, text, sizeof text), point->result,
                       point->reached ? "" : ", not met", faults_of(point) ? ", FAULT" : "");
            }
        }
        if (mode != POINT_PAUSED && options->at < 0 && tally.faulty < ENOUGH && !operation->any_result)
            judge(operation, results, reached, count, &tally);
        if (tally.astray > count / 4 + 1) {
            tell("  %s: %zu of %zu points were not met\n", operation->name, tally.astray, count);
            tally.wrong++;
        }
        free(aims);
        free(results);
        free(reached);
    }
    print_tally(operation->name, mode_names[mode], point->path->count, &tally, (double)(point_us() - begin) / 1e6);
    add_tally(total, &tally);
    unsigned sum = tally.wrong;
    for (int i = 0; i < POINT_KINDS; i++)
        sum += tally.faults[i];
    return sum == 0;
}

/* ---- hands ---- */

static bool is_chosen(const char *name, char *const *chosen)
{
    if (!*chosen)
        return true;
    for (; *chosen; chosen++)
        if (strncmp(name, *chosen, strlen(*chosen)) == 0)
            return true;
    return false;
}

/* Its share of the cases. All hands number them in the same way. */
static void run_share(struct point *point, const struct options *options, char *const *chosen, struct sum *sum,
                      struct tally *total)
{
    unsigned number = 0, mine = atomic_fetch_add(&sum->next, 1);
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct operation *operation = tables[t]; operation->name; operation++) {
            bool named = *chosen && is_chosen(operation->name, chosen);
            if (!is_chosen(operation->name, chosen) || (operation->long_only && options->quick && !named))
                continue;
            for (int mode = 0; mode < POINT_MODES; mode++) {
                if (!(operation->modes >> mode & 1) || number++ != mine)
                    continue;
                bool well = run_case(point, operation, (point_mode)mode, options, total);
                atomic_fetch_add(well ? &sum->passed : &sum->failed, 1);
                mine = atomic_fetch_add(&sum->next, 1);
            }
        }
}

/* False: the system does not let it work. */
static bool run_hand(unsigned number, const struct options *options, char *const *chosen, struct sum *sum)
{
    size_t path_size = sizeof(step_path) + PATH_ROOM * sizeof(step_place);
    struct point *point = mmap(NULL, sizeof *point, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    step_path *path = mmap(NULL, path_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (point == MAP_FAILED || path == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return false;
    path->room = PATH_ROOM;
    point->path = path;
    size_t files = entries("/proc/self/fd");
    point_pin(number);
    step_lead();
    run_share(point, options, chosen, sum, &sum->total[number]);
    if (entries("/proc/self/fd") > files) {
        tell("  descriptors were left behind\n");
        atomic_fetch_add(&sum->failed, 1);
    }
    return true;
}

static bool run_hands(const struct options *options, char *const *chosen, struct sum *sum)
{
    pid_t lab = getpid();
    bool well = true;
    fflush(NULL);
    for (unsigned i = 0; (long)i < options->jobs; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return false;
        if (pid > 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() != lab || !run_hand(i, options, chosen, sum));
    }
    for (long i = 0; i < options->jobs; i++) {
        int status;
        well &= wait(&status) > 0 && status == 0;
    }
    return well;
}

/* ---- the program ---- */

static int usage(FILE *to, int status)
{
    fputs("usage: crashlab [--quick] [--verbose] [--at N] [--seed N] [--jobs N] [--list] [OPERATION...]\n"
          "Kills a process at every instruction of brood's operations and checks what survives.\n"
          "  --quick    minutes: a sample of each path, drawn anew each time; a short storm, no repairs of repairs\n"
          "  --verbose  one line for each kill\n"
          "  --at N     only at the N-th instruction of each path, to look at a fault again\n"
          "  --seed N   the sample that an earlier run drew, which names its seed at the beginning\n"
          "  --jobs N   so many cases at a time, each on one processor; as a rule, as many as there are processors\n"
          "  --list     the operations\n"
          "  OPERATION  only those whose names begin so; storm: random kills, with an account\n"
          "Exit status: 0 nothing was found, 1 something was, 2 wrong usage.\n",
          to);
    return status;
}

/* Whether every name given begins some operation's. */
static bool all_known(char *const *chosen)
{
    for (; *chosen; chosen++) {
        bool known = strncmp("storm", *chosen, strlen(*chosen)) == 0;
        for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
            for (const struct operation *operation = tables[t]; operation->name; operation++)
                known |= strncmp(operation->name, *chosen, strlen(*chosen)) == 0;
        if (!known) {
            fprintf(stderr, "crashlab: no operation '%s'; --list names them\n", *chosen);
            return false;
        }
    }
    return true;
}

static bool number(const char *text, long *number)
{
    char *end;
    *number = strtol(text, &end, 10);
    return *text && !*end && *number >= 0;
}

static int list(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct operation *operation = tables[t]; operation->name; operation++)
            printf("%-22s %s%s%s\n", operation->name, operation->what,
                   operation->modes >> POINT_ASLEEP & 1 ? "" : "; nobody can sleep on it",
                   operation->long_only ? "; long run only" : "");
    printf("%-22s %s\n", "storm", "random kills of lockers, allocators, putters, getters, workers, keepers");
    return 0;
}

static bool run_storm(const struct options *options)
{
    int seconds = options->quick ? QUICK_STORM_S : LONG_STORM_S;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(storm_run(seconds, options->verbose) != 0);
    int status = 1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    bool left = !clean();
    if (left)
        tell("  storm: a process was left behind\n");
    if (WIFSIGNALED(status))
        tell("  storm: killed by signal %d\n", WTERMSIG(status));
    printf("%-22s %s\n", "storm", status == 0 && !left ? "passed" : "FAILED");
    return status == 0 && !left;
}

/* A spawned child's instructions lie where this process' lie only if neither is placed at random. */
static void place_fixedly(char **argv)
{
    int persona = personality(UINT32_MAX);
    if (persona >= 0 && !(persona & ADDR_NO_RANDOMIZE) && personality((unsigned long)persona | ADDR_NO_RANDOMIZE) >= 0)
        execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], POINT_SPAWNED) == 0)
        return brood_init(NULL) < 0 ? EXIT_FAILURE : EXIT_SUCCESS; /* it does not return */
    place_fixedly(argv);
    static const struct option long_options[] = {
        { "quick", no_argument, NULL, 'q' },      { "verbose", no_argument, NULL, 'v' },
        { "list", no_argument, NULL, 'l' },       { "help", no_argument, NULL, 'h' },
        { "at", required_argument, NULL, 'a' },   { "seed", required_argument, NULL, 's' },
        { "jobs", required_argument, NULL, 'j' }, { 0 },
    };
    struct options options = { .at = -1, .seed = (long)(point_us() & 0xffffff), .jobs = point_processors() };
    for (int letter; (letter = getopt_long(argc, argv, "qvlha:s:j:", long_options, NULL)) != -1;) {
        if (letter == 'q')
            options.quick = true;
        else if (letter == 'v')
            options.verbose = true;
        else if (letter == 'l')
            return list();
        else if ((letter == 'a' && number(optarg, &options.at)) || (letter == 's' && number(optarg, &options.seed)) ||
                 (letter == 'j' && number(optarg, &options.jobs) && options.jobs > 0 && options.jobs <= JOBS_MOST))
            continue;
        else
            return letter == 'h' ? usage(stdout, 0) : usage(stderr, 2);
    }
    char *const *chosen = argv + optind;
    if (!all_known(chosen))
        return 2;
    size_t size = sizeof(struct sum) + (size_t)options.jobs * sizeof(struct tally);
    struct sum *sum = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    found = memfd_create("found", MFD_CLOEXEC);
    if (found < 0 || fcntl(found, F_SETFL, O_APPEND) < 0 || sum == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
        perror("crashlab");
        return 2;
    }
    size_t shared = entries("/dev/shm");
    long long begin = point_us();
    if (!step_breakpoints())
        puts("no hardware breakpoints here: everything is stepped, which takes far longer");
    printf("seed %ld\n", options.seed);
    print_head();
    bool well = run_hands(&options, chosen, sum);
    if (!well)
        tell("  a process of the lab itself could not do its work\n");
    unsigned failed = sum->failed + !well, passed = sum->passed;
    if (is_chosen("storm", chosen))
        ++*(run_storm(&options) ? &passed : &failed);
    struct tally total = { 0 };
    for (long i = 0; i < options.jobs; i++)
        add_tally(&total, &sum->total[i]);
    print_tally("total", "", 0, &total, (double)(point_us() - begin) / 1e6);
    bool left = entries("/dev/shm") > shared;
    if (left)
        tell("  entries of /dev/shm were left behind\n");
    failed += left;
    if (passed + failed == 0)
        return usage(stderr, 2);
    tell_again();
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
