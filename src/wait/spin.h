/* wait/spin.h: whether and how long to spin before sleeping.
 *
 * Two running processes exchange a word in 0.5 µs; a wake through the kernel costs some 33 µs. So a short spin
 * pays, but only while the one waited for runs, and it cannot run on the waiter's own CPU. Whoever owes something says
 * where it was last seen to run (one store); whoever waits compares. The budget is at most the cost of one wake, halves
 * when it was spent in vain and doubles when it paid.
 */
#ifndef WAIT_SPIN_H
#define WAIT_SPIN_H

#include "os/clock.h"
#include "os/cpu.h"
#include "os/thread.h"

#define SPIN_MOST 33000 /* ns: one wake */
#define SPIN_LEAST 500  /* ns: enough to learn that times have changed */

/* CPUs this process may use, read once (wait/spin.c): with one, or with a quota that a spin would eat, nobody spins. */
extern _Atomic int spin_cpus;

/* Says where the caller runs, in a word that who waits for it can read. */
static inline void spin_publish(_Atomic uint32_t *cpu)
{
    atomic_store_explicit(cpu, (uint32_t)cpu_current() + 1, memory_order_relaxed);
}

static inline bool spin_pays(uint32_t cpu)
{
    return atomic_load_explicit(&spin_cpus, memory_order_relaxed) > 1 && cpu != (uint32_t)cpu_current() + 1;
}

static inline void spin_learn(struct thread *self, bool paid)
{
    int64_t spin = paid ? self->spin * 2 : self->spin / 2;
    self->spin = spin > SPIN_MOST ? SPIN_MOST : spin < SPIN_LEAST ? SPIN_LEAST : spin;
}

#endif
