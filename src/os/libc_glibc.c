/* os/libc_glibc.c */
#include "os/libc.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <unistd.h>

bool libc_list_robust(void)
{
    return true; /* every thread begins with one, and the kernel walks it at every end */
}

bool libc_is_single_threaded(void)
{
    return __libc_single_threaded;
}

bool libc_fork_frees_streams(void)
{
    return true;
}

/* The kernel's word and libc's are one: PR_GET_TID_ADDRESS, where the kernel was built with it; else it lies before the
 * robust list in struct pthread, on 64-bit machines with one pointer and one pid_t between. */
bool libc_find_thread_id(const struct robust_list_head *head, pid_t **id, pid_t **cleared)
{
    pid_t *place = NULL;
    size_t between = __SIZEOF_POINTER__ == 8 ? sizeof(void *) + sizeof(pid_t) : 0;
    if (prctl(PR_GET_TID_ADDRESS, &place) < 0 || !place)
        place = (pid_t *)(void *)((char *)(uintptr_t)head - between - sizeof(pid_t));
    *id = *cleared = place;
    return *place == gettid();
}

static void (*exit_handler)(int status, void *arg);

static void at_exit(int status, void *arg)
{
    exit_handler(status & 0xff, arg);
}

int libc_on_exit(void (*handler)(int status, void *arg), void *arg)
{
    exit_handler = handler;
    return on_exit(at_exit, arg) == 0 ? 0 : -ENOMEM;
}

const char *libc_signal_abbreviation(int signal)
{
    return sigabbrev_np(signal);
}
