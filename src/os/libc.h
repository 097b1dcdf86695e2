/* os/libc.h: what the C libraries do each in its own way: one source for each, picked by the build. */
#ifndef OS_LIBC_H
#define OS_LIBC_H

#include <linux/futex.h>
#include <stdbool.h>
#include <sys/types.h>

/* Has libc give the calling thread the list of robust mutexes that the kernel knows, empty in a forked child. At a
 * thread's first call, and a forked process'. True: a thread that ends by pthread_exit(3) is marked in what it
 * holds. */
bool libc_list_robust(void);

/* Whether this process has had only one thread so far; it may say no too often. */
bool libc_is_single_threaded(void);

/* Whether in a forked child no stream is held by a thread that only the parent has. */
bool libc_fork_frees_streams(void);

/* Where libc keeps the calling thread's id, which its locks go by, and the word that the kernel is to clear at the
 * thread's end. A child by a bare clone(2) would go on with its parent's; fork(3) hands the kernel these addresses, and
 * so must we. `head`: this thread's robust list. False: not found. */
bool libc_find_thread_id(const struct robust_list_head *head, pid_t **id, pid_t **cleared);

/* Has exit(3) call this after all handlers that are registered later, with the status (its low 8 bits). All calls name
 * the same handler. 0, or -ENOMEM. */
int libc_on_exit(void (*handler)(int status, void *arg), void *arg);

/* The signal's name without its SIG; NULL: it has none. */
const char *libc_signal_abbreviation(int signal);

#endif
