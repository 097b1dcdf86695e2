/* os/cpu.h: the processors: which one this thread is on, and how many this process may use.
 *
 * Any thread may call; nothing here allocates, keeps a descriptor, or fails.
 */
#ifndef OS_CPU_H
#define OS_CPU_H

#include <sched.h>
#include <stdbool.h>
#if defined(__GLIBC__) && defined(__has_include)
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#endif

/* The processor that this thread runs on just now, from 0; -1 where the kernel does not tell. The kernel keeps the
 * number in the thread's rseq area as it moves the thread, so that asking is one load; without rseq (valgrind, older
 * libcs, a kernel before 4.18) it is sched_getcpu(3), some 20 ns or a system call. */
static inline int cpu_current(void)
{
#ifdef RSEQ_SIG
    if (__rseq_size != 0) {
        const char *thread = __builtin_thread_pointer();
        const struct rseq *area = (const struct rseq *)(thread + __rseq_offset);
        /* volatile: the kernel writes it. Negative: this one thread could not be registered. */
        int cpu = (int)*(const volatile __u32 *)&area->cpu_id;
        if (cpu >= 0)
            return cpu;
    }
#endif
    return sched_getcpu();
}

/* Inside a loop that waits for another processor's store: lets this one rest a moment. */
static inline void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

/* How many processors this process may keep busy at once, at least 1: the least of those online, its affinity mask's
 * and its CPU quota's, rounded up. Reads files: ask once. */
int cpu_usable(void);

/* The number of the processor that is `index`-th, from 0 and round again, of those that this thread may run on; -1: the
 * system does not tell. */
int cpu_allowed(unsigned index);

/* Whether a CPU quota may stop this process before its processors are busy. Reads files: ask once. */
bool cpu_has_quota(void);

#endif
