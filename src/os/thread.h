/* os/thread.h: this thread as the kernel knows it, and its robust list.
 *
 * When a thread dies, in whatever way, the kernel walks the list that get_robust_list(2) names. In each word there that
 * carries the thread's id it puts FUTEX_OWNER_DIED in the id's place, and wakes one sleeper if FUTEX_WAITERS is set.
 * `list_op_pending` names one word more: treated alike if it carries the id; and if its id part is 0 (kernel 6.2) one
 * sleeper is woken and the word left alone. That second rule is what lets a wake survive the death of who owed it:
 *
 *   whoever is about to make something true that others sleep for, and whoever sleeps for it, first names the word
 *   (thread_expects), so that the kernel sends the wake if it dies between its step and the next one's.
 *
 * libc's robust lock and unlock clear the pending entry, so it is set after other locks are taken and not across
 * foreign code.
 */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include "os/robust.h"
#include "os/wiped.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thread {
    int32_t process;               /* wiped->process when it attached: else it is another process' (fork), or new */
    uint32_t id;                   /* gettid(2) */
    struct robust_list_head *head; /* the kernel's; where there is none a dummy, so that nobody need ask */
    unsigned held;                 /* sync/noun.h: words it holds */
    unsigned arena;                /* region/span.c: the arena it last used */
    int64_t spin;                  /* wait/spin.h: nanoseconds it may spin, by its experience */
    void *waiter;                  /* sync/waiter.c: where it says what it waits for; NULL: nowhere yet */
    void *before_dummy;            /* where the list's first entry would have its `prev` */
    struct robust_list_head dummy;
};

extern _Thread_local struct thread thread_local_self;

/* First call of a thread, or first after a fork. */
struct thread *thread_attach(void);

static inline struct thread *thread_self(void)
{
    struct thread *self = &thread_local_self;
    int32_t process = atomic_load_explicit(&wiped->process, memory_order_relaxed);
    return process != 0 && self->process == process ? self : thread_attach();
}

/* Whether the kernel marks and wakes for the dead as described above; else who sleeps naps, and asks. */
extern _Atomic bool thread_deaths_are_told;

/* How long a nap is where they are not: nanoseconds. */
#define THREAD_NAP 5000000

/* Whether the thread of that id has ended. For naps only: an id may have been given to another thread meanwhile. */
bool thread_is_gone(uint32_t id);

/* The process of the thread that the word is held by, for messages; 0: nobody holds it. */
int thread_holder(const struct robust_word *held);

/* Whether this process has had only one thread so far. */
bool thread_is_only(void);

/* Whether this process has only one thread now, which takes a look at /proc; true where there is none. */
bool thread_is_alone(void);

/* Whether the calling thread is the process' first. */
bool thread_is_main(void);

/* Names `word` as this thread's pending one; NULL: none. The stores stay where they stand in the program: a death is
 * seen in program order, so the compiler is all that must be held. */
static inline void thread_expects(struct thread *self, _Atomic uint32_t *word)
{
    struct robust_list *entry = word ? (struct robust_list *)(void *)((char *)word - self->head->futex_offset) : NULL;
    atomic_signal_fence(memory_order_seq_cst);
    *(struct robust_list *volatile *)&self->head->list_op_pending = entry;
    atomic_signal_fence(memory_order_seq_cst);
}

/* Whether a word is named: whoever finds one at the beginning of a call is a signal handler's, and has interrupted a
 * holder. */
static inline bool thread_is_expecting(const struct thread *self)
{
    return *(struct robust_list *volatile *)&self->head->list_op_pending != NULL;
}

/* Puts a held word into this thread's list, or takes it out. The word must be the pending one meanwhile. */
static inline void thread_enlist(struct thread *self, struct robust_word *held)
{
    robust_enlist(self->head, held);
}

static inline void thread_delist(struct thread *self, struct robust_word *held)
{
    robust_delist(self->head, held);
}

/* The words in this thread's list, as robust_listed. */
static inline struct robust_word *thread_listed(const struct thread *self, const struct robust_word *held)
{
    return robust_listed(self->head, held);
}

#endif
