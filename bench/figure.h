/* bench/figure.h: what the speed lab measures.
 *
 * A figure is one kind of work, done by brood and, in the same run and the same process, by the bare machine (its
 * limit): raw system calls, or what libc has for it. A source a noun does the measuring; figure.c has the table.
 */
#ifndef BENCH_FIGURE_H
#define BENCH_FIGURE_H

#include <stdbool.h>
#include <stddef.h>

/* Does the work once, often enough for the clock, and returns what one piece of it cost, in the figure's unit.
 * Negative: it went wrong, and trouble() has said how. */
typedef double measure(void);

struct figure {
    const char *name;
    const char *unit; /* "ns", "us", "ms", "msg/s", or "KiB" */
    const char *what;
    measure *brood;
    measure *limit;         /* NULL: the limit is a peer's figure, or there is none */
    const char *limit_peer; /* the peer whose figure is the limit; NULL: none is */
    const char *limit_is;   /* for a reader; NULL: no limit */
    double goal_ratio;      /* goal: at most so many times the limit, and */
    double goal;            /* so much more, in `unit`; without a ratio that alone */
    bool worst;             /* the largest of all samples is the figure, not their median */
    bool rate;              /* higher is better: the goal is at least so much */
};

extern const struct figure figures[];
extern const size_t figure_count;

measure process_fork_brood, process_fork_limit;
measure process_spawn_brood, process_spawn_limit;
measure process_forkserver_brood;
measure process_forkserver_1gib_brood, process_forkserver_1gib_limit;
measure process_live_1_brood, process_live_1_limit;
measure process_live_10_brood, process_live_10_limit;
measure process_live_100_brood, process_live_100_limit;
measure process_live_1000_brood, process_live_1000_limit;
measure lock_uncontended_brood, lock_uncontended_limit;
measure lock_contended_brood, lock_contended_limit;
measure semaphore_uncontended_brood, semaphore_uncontended_limit;
measure semaphore_signal_brood, semaphore_signal_limit;
measure semaphore_owned_brood, semaphore_owned_limit;
measure event_uncontended_brood, event_uncontended_limit;
measure event_signal_brood, event_signal_limit;
measure value_add_brood, value_add_limit;
measure value_add_contended_brood, value_add_contended_limit;
measure value_lock_brood, value_lock_limit;
measure value_lock_contended_brood, value_lock_contended_limit;
measure array_slice_brood, array_slice_limit;
measure rwlock_read_brood, rwlock_read_limit;
measure rwlock_read_2_brood, rwlock_read_2_limit;
measure rwlock_write_brood, rwlock_write_limit;
measure rwlock_mixed_2_brood, rwlock_mixed_2_limit;
measure condition_notify_brood, condition_notify_limit;
measure condition_turns_brood, condition_turns_limit;
measure barrier_alone_brood, barrier_alone_limit;
measure barrier_rounds_brood, barrier_rounds_limit;
measure death_notice_brood, death_notice_limit;
measure death_notice_worst_brood, death_notice_worst_limit;
measure alloc_free_brood;
measure alloc_free_2_brood;
measure queue_1p1c_64_brood, queue_1p1c_64_limit;
measure queue_2p2c_64_brood, queue_many_64_brood, queue_loan_64_brood;
measure queue_1p1c_64k_brood, queue_1p1c_64k_limit, queue_loan_64k_brood;
measure queue_pingpong_64_brood, queue_pingpong_64_limit, pipe_pingpong_64_brood;
measure queue_wake_64_brood, queue_wake_64_limit;
measure queue_empty_brood;
measure manager_get_brood, manager_set_brood, manager_append_brood;
measure manager_wake_brood, manager_memory_1m_brood, manager_get_2_brood, manager_batch_brood;
measure manager_batch_64_brood, manager_beside_100m_brood;
measure manager_remote_get_brood, manager_remote_get_limit, manager_remote_tcp_brood, manager_remote_batch_brood;
measure pool_map_auto_brood, pool_map_chunk1_brood, pool_map_traced_brood;
measure pool_balance_brood, pool_balance_limit;
measure pool_apply_brood, pool_apply_limit;
measure pool_apply_async_brood;
measure pool_open_4_brood, pool_open_4_limit;
measure pool_map_100m_brood;
measure imap_backed_brood, imap_backed_limit;
measure worker_idle_brood, worker_idle_limit;

/* The argument with which main ends at once, before brood_init: what process_spawn_limit starts. */
#define RETURN_AT_ONCE "--return-at-once"

#endif
