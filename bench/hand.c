/* bench/hand.c: see hand.h.
 */
#include "hand.h"

#include "trouble.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_bare(pid_t parent, brood_target *target, void *arg)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the prctl */
        _exit(1);
    _exit(target(arg));
}

int hand_start(struct hand *hand, bool bare, brood_target *target, void *arg)
{
    *hand = (struct hand){ 0 };
    if (bare) {
        pid_t parent = getpid();
        hand->pid = fork();
        if (hand->pid == 0)
            run_bare(parent, target, arg);
        if (hand->pid < 0) {
            hand->pid = 0;
            trouble("fork failed");
            return -1;
        }
        return 0;
    }
    hand->process = brood_process_start(target, arg, 0, &(brood_process_options){ .start = BROOD_FORK });
    if (!hand->process) {
        trouble("%s", brood_error());
        return -1;
    }
    hand->pid = brood_process_pid(hand->process);
    return 0;
}

int hand_kill(const struct hand *hand)
{
    if (hand->process ? brood_process_signal(hand->process, SIGKILL) : kill(hand->pid, SIGKILL)) {
        trouble("could not kill %d", (int)hand->pid);
        return -1;
    }
    return 0;
}

static int join_bare(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

static int join_by_brood(brood_process *process)
{
    brood_end end = { 0 };
    int result = brood_process_join(process, &end, BROOD_FOREVER);
    brood_process_close(process);
    return result == 0 && (end.how == BROOD_RETURNED || end.how == BROOD_FAILED) ? end.code & 0xff : -1;
}

int hand_join(struct hand *hand)
{
    int code = -1;
    if (hand->process)
        code = join_by_brood(hand->process);
    else if (hand->pid)
        code = join_bare(hand->pid);
    *hand = (struct hand){ 0 };
    return code;
}

bool hand_sleeps(const struct hand *hand)
{
    char path[32], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)hand->pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char *read = fgets(line, sizeof line, file);
    fclose(file);
    const char *name_end = read ? strrchr(line, ')') : NULL; /* the name may itself have spaces and brackets */
    return name_end && strncmp(name_end, ") S", 3) == 0;
}
