/* harness.c: the runner is a subreaper, so whatever a case leaves behind becomes its child: when waitpid says ECHILD,
 * and only then, the case is wholly gone.
 *
 * The board, where failures are counted, is a memfd of the runner. Processes of a case map it by the runner's
 * /proc/PID/fd path, which the environment hands on: brood's workers keep the environment but no descriptors.
 */
#include "harness_board.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_S 20
#define LEFT_MS 2000 /* what a case leaves may take that long to die */
#define BOARD_VARIABLE "HARNESS_BOARD"
#define SHM_ENTRIES 1024

static const char *program_name;

static const struct test_case *find_case(const struct test_case *cases, const char *name)
{
    for (; cases->name != NULL; cases++) {
        if (strcmp(cases->name, name) == 0)
            return cases;
    }
    return NULL;
}

static void map_board(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *memory = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED)
        board = memory;
}

/* The main of a case's process, and of every process that brood spawns in it: those do not return from brood_init. */
static int run_here(const struct test_case *test)
{
    const char *path = getenv(BOARD_VARIABLE);
    if (path != NULL)
        map_board(path);
    if (!test->no_init)
        NEED(brood_init(NULL) == 0);
    test->run();
    siginfo_t info = { .si_pid = 0 };
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
        board_fail(__FILE__, __LINE__, "the case left a zombie: process %d", (int)info.si_pid);
    return 0;
}

/* The runner's side. */

struct listing {
    int count;
    char names[SHM_ENTRIES][256];
};

static struct listing before;

static bool listed(const struct listing *listing, const char *name)
{
    for (int i = 0; i < listing->count; i++) {
        if (strncmp(listing->names[i], name, sizeof listing->names[i] - 1) == 0)
            return true;
    }
    return false;
}

/* Lists /dev/shm, or, given a listing, says in `name` what is new there. */
static bool look_at_shm(struct listing *fill, const struct listing *old, char *name, size_t size)
{
    DIR *folder = opendir("/dev/shm");
    if (fill != NULL)
        fill->count = 0;
    if (folder == NULL)
        return false;
    bool found = false;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (fill != NULL && fill->count < SHM_ENTRIES)
            snprintf(fill->names[fill->count++], sizeof fill->names[0], "%s", entry->d_name);
        if (old != NULL && !listed(old, entry->d_name)) {
            snprintf(name, size, "%s", entry->d_name);
            found = true;
        }
    }
    closedir(folder);
    return found;
}

static void describe(pid_t pid, char state)
{
    char path[64];
    char text[64] = "?";
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(text, sizeof text, file) != NULL)
            text[strcspn(text, "\n")] = '\0';
        fclose(file);
    }
    char where[64] = "?";
    snprintf(path, sizeof path, "/proc/%d/wchan", (int)pid);
    file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(where, sizeof where, file) == NULL)
            where[0] = '\0';
        fclose(file);
    }
    printf("    left: process %d (%s), state %c, in %s\n", (int)pid, text, state, where);
}

static void kill_one(pid_t pid, char state)
{
    (void)state;
    kill(pid, SIGKILL);
}

/* Waits for children to end; those that are not `main_pid` are orphans of the case. Returns when main_pid has ended,
 * or with main_pid 0 when there is no child left; false: the time came first. */
static bool reap(pid_t main_pid, int *status, long long end)
{
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    for (;;) {
        int ended;
        pid_t pid = waitpid(-1, &ended, WNOHANG);
        if (pid < 0)
            return main_pid == 0;
        if (pid > 0 && pid == main_pid) {
            *status = ended;
            return true;
        }
        if (pid > 0)
            continue;
        long long left = end - now_ms();
        if (left <= 0)
            return false;
        struct timespec wait = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
        sigtimedwait(&chld, NULL, &wait);
    }
}

/* Ends whatever is left. Killing a child hands its own children to us: so again, until there is none. */
static void kill_rest(void)
{
    int status;
    while (!reap(0, &status, now_ms() + 20))
        each_child(kill_one);
}

static pid_t start_case(const struct test_case *test, int fd)
{
    pid_t runner = getpid();
    fflush(stdout);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != runner)
        _exit(97);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* nohup(1), and a shell's background, ignore some */
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)runner, fd);
    setenv(BOARD_VARIABLE, path, 1);
    case_is(program_name, test->name, NULL);
    harness_exec(NULL, NULL);
    _exit(97);
}

enum verdict { PASSED, FAILED, SKIPPED };

static enum verdict judge(const struct test_case *test)
{
    int fd = memfd_create("board", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof *board) != 0) {
        printf("FAILED %s: no memory to count in\n", test->name);
        return FAILED;
    }
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED) {
        printf("FAILED %s: no memory to count in\n", test->name);
        close(fd);
        return FAILED;
    }
    look_at_shm(&before, NULL, NULL, 0);
    int seconds = (test->deadline_s > 0 ? test->deadline_s : DEADLINE_S) * SLOWNESS;
    long long start = now_ms();
    pid_t pid = start_case(test, fd);
    if (pid > 0)
        setpgid(pid, pid);
    int status = 0;
    bool ended = pid > 0 && reap(pid, &status, start + seconds * 1000LL);
    long long ms = now_ms() - start;

    char why[1200] = "";
    char entry[256];
    if (pid < 0)
        snprintf(why, sizeof why, "no process for it");
    else if (!ended)
        snprintf(why, sizeof why, "still running after %d s%s%s", seconds, board->why[0] != '\0' ? "; " : "",
                 board->why);
    else if (atomic_load(&board->failures) > 0)
        snprintf(why, sizeof why, "%s (%d failed checks)", board->why, atomic_load(&board->failures));
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        snprintf(why, sizeof why, "exited with %d", WEXITSTATUS(status));
    if (!ended) {
        each_child(describe);
        kill(-pid, SIGKILL);
        kill_rest();
    } else if (!reap(0, &status, now_ms() + LEFT_MS * SLOWNESS)) {
        each_child(describe);
        if (why[0] == '\0')
            snprintf(why, sizeof why, "a process is still there %d ms after the case's end", LEFT_MS * SLOWNESS);
        kill_rest();
    }
    if (why[0] == '\0' && look_at_shm(NULL, &before, entry, sizeof entry))
        snprintf(why, sizeof why, "/dev/shm/%s was left there", entry);

    enum verdict verdict = why[0] != '\0' ? FAILED : atomic_load(&board->skipped) ? SKIPPED : PASSED;
    if (verdict == FAILED)
        printf("FAILED %s: %s\n", test->name, why);
    else if (verdict == SKIPPED)
        printf("skipped %s: %s\n", test->name, board->why);
    else
        printf("ok %s (%lld ms)\n", test->name, ms);
    fflush(stdout);
    munmap(board, sizeof *board);
    close(fd);
    board = NULL;
    return verdict;
}

int harness_main(int argc, char **argv, const struct test_case *cases)
{
    program_name = argv[0];
    if (argc >= 3 && strcmp(argv[2], "--run") == 0) {
        const struct test_case *test = find_case(cases, argv[1]);
        if (test == NULL)
            return 97;
        case_is(argv[0], test->name, argv[3]);
        return run_here(test);
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (; cases->name != NULL; cases++)
            puts(cases->name);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        if (find_case(cases, argv[i]) == NULL) {
            fprintf(stderr, "%s: no case \"%s\"; --list names them\n", argv[0], argv[i]);
            return 2;
        }
    }
    sigset_t chld;
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        perror("subreaper");
        return 2;
    }
    int count[3] = { 0, 0, 0 };
    for (const struct test_case *test = cases; test->name != NULL; test++) {
        bool wanted = argc == 1;
        for (int i = 1; i < argc; i++)
            wanted = wanted || strcmp(argv[i], test->name) == 0;
        if (wanted)
            count[judge(test)]++;
    }
    printf("%d passed, %d failed", count[PASSED], count[FAILED]);
    if (count[SKIPPED] > 0)
        printf(", %d skipped", count[SKIPPED]);
    printf("\n");
    return count[FAILED] > 0;
}
