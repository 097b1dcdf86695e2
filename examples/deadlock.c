/* A deadlock on purpose, to be looked at with `brood doctor`: two processes take two locks, each in another order.
 *
 *     deadlock [SECONDS]          so long they stand there, 30 if not given; then the first is killed
 *
 * Do it yourself, as the doctor advises: kill -9 one of the two. The other gets the lock, and is told from whom.
 */
#include <brood.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct shared {
    brood_lock accounts, journal;
    brood_event has_accounts, has_journal; /* each goes on when the other has its first lock */
    bool inherited;                        /* the auditor was told so */
};

static int book(void *arg)
{
    struct shared *shared = arg;
    brood_lock_acquire(&shared->accounts, BROOD_FOREVER);
    brood_event_set(&shared->has_accounts);
    brood_event_wait(&shared->has_journal, BROOD_FOREVER);
    return brood_lock_acquire(&shared->journal, BROOD_FOREVER) < 0;
}

static int audit(void *arg)
{
    struct shared *shared = arg;
    brood_lock_acquire(&shared->journal, BROOD_FOREVER);
    brood_event_set(&shared->has_journal);
    brood_event_wait(&shared->has_accounts, BROOD_FOREVER);
    shared->inherited = brood_lock_acquire(&shared->accounts, BROOD_FOREVER) == BROOD_INHERITED;
    brood_lock_release(&shared->accounts);
    brood_lock_release(&shared->journal);
    return 0;
}

static int fail(void)
{
    return fprintf(stderr, "deadlock: %s\n", brood_error()), 1;
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 30;
    if (brood_init(NULL) < 0)
        return fail();
    struct shared *shared = brood_alloc(sizeof *shared);
    if (!shared || brood_lock_init(&shared->accounts, &(brood_lock_options){ .name = "accounts" }) < 0 ||
        brood_lock_init(&shared->journal, &(brood_lock_options){ .name = "journal" }) < 0)
        return fail();
    brood_process *booker = brood_process_start(book, shared, 0, &(brood_process_options){ .name = "booker" });
    brood_process *auditor = brood_process_start(audit, shared, 0, &(brood_process_options){ .name = "auditor" });
    if (!booker || !auditor)
        return fail();
    brood_end end;
    if (brood_process_join(booker, &end, seconds * 1000) == -ETIMEDOUT) {
        brood_process_signal(booker, SIGKILL);
        brood_process_join(booker, &end, BROOD_FOREVER);
    }
    printf("booker: %s\n", end.why);
    if (brood_process_join(auditor, &end, BROOD_FOREVER) < 0)
        return fail();
    printf("auditor: %s\n", shared->inherited ? "has both locks, one of them inherited" : end.why);
    return 0;
}
