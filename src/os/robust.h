/* os/robust.h: a word that a thread can hold for the kernel to mark at its death, and the list of those it holds.
 *
 * The list is libc's, shared with the program's own robust mutexes: entries are laid out as libc's pthread_mutex_t is,
 * and linked as libc links them, which is all that differs between C libraries and machines.
 */
#ifndef OS_ROBUST_H
#define OS_ROBUST_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* word: 0, or the holder's thread id, FUTEX_WAITERS, FUTEX_OWNER_DIED: by CAS, and by the kernel at the holder's death.
 * version: and turns: wait/latch.c. cell: both at once; by robust_cell and robust_swap, for which of them comes first
 * differs. cpu: the holder's when it took it, + 1; a hint: wait/spin.h. mark: whoever embeds this may use it, and
 * `owner` or `turn`. prev, next: of the holder's list; the holder's only. */
#if defined(__GLIBC__) && __SIZEOF_POINTER__ == 8
#define ROBUST_NEXT_AT 32
#define ROBUST_WORD_FIRST 1
#define ROBUST_HEAD_HAS_PREV 1
struct robust_word {
    union {
        struct {
            _Atomic uint32_t word;
            _Atomic uint32_t version;
        };
        _Alignas(8) _Atomic uint64_t cell;
    };
    _Atomic uint32_t cpu;
    _Atomic uint32_t mark;
    union {
        _Alignas(8) _Atomic uint64_t owner;
        _Atomic uint32_t turn;
    };
    void *prev, *next;
};
#elif __SIZEOF_POINTER__ == 8 /* musl */
#define ROBUST_NEXT_AT 32
#define ROBUST_WORD_FIRST 0
#define ROBUST_HEAD_HAS_PREV 0
struct robust_word {
    union {
        struct {
            _Atomic uint32_t version;
            _Atomic uint32_t word;
        };
        _Alignas(8) _Atomic uint64_t cell;
    };
    _Atomic uint32_t cpu;
    _Atomic uint32_t mark;
    union {
        _Alignas(8) _Atomic uint64_t owner;
        _Atomic uint32_t turn;
    };
    void *prev, *next;
};
#elif defined(__GLIBC__) /* 32 bits: no entry points back */
#define ROBUST_NEXT_AT 20
#define ROBUST_WORD_FIRST 1
#define ROBUST_SINGLE
struct robust_word {
    union {
        struct {
            _Atomic uint32_t word;
            _Atomic uint32_t version;
        };
        _Alignas(8) _Atomic uint64_t cell;
    };
    _Atomic uint32_t cpu;
    _Atomic uint32_t mark;
    uint32_t room;
    void *next;
    union {
        _Alignas(8) _Atomic uint64_t owner;
        _Atomic uint32_t turn;
    };
    uint64_t more_room; /* so that it is as long as elsewhere */
};
#else
#error "os/robust.h: how this libc lays out a robust mutex is not known"
#endif

_Static_assert(offsetof(struct robust_word, next) == ROBUST_NEXT_AT, "as in libc's pthread_mutex_t");
_Static_assert(sizeof(struct robust_word) == 40, "as the nouns count on");

/* From `next` to the word, as the kernel is told it. */
#define ROBUST_OFFSET ((long)offsetof(struct robust_word, word) - (long)offsetof(struct robust_word, next))

static inline uint64_t robust_turned(uint64_t cell)
{
    return ROBUST_WORD_FIRST ? cell : cell << 32 | cell >> 32;
}

/* Word and version at once: the word is the low half. */
static inline uint64_t robust_cell(const struct robust_word *word)
{
    return robust_turned(atomic_load(&word->cell));
}

/* True: the cell was *seen, and is `wanted` now; else *seen is what it is. */
static inline bool robust_swap(struct robust_word *word, uint64_t *seen, uint64_t wanted)
{
    uint64_t expected = robust_turned(*seen);
    bool swapped = atomic_compare_exchange_strong(&word->cell, &expected, robust_turned(wanted));
    if (!swapped)
        *seen = robust_turned(expected);
    return swapped;
}

/* The entry that a pointer of the list names: of a mutex of another kind its lowest bit is set. */
static inline void **robust_entry(const void *pointer)
{
    return (void **)((uintptr_t)pointer & ~(uintptr_t)1);
}

/* Puts a held word into the list, or takes it out. The word must be the pending one meanwhile. Single stores: someone
 * may be looking at the memory as a whole, to see whether it is a lock. */
#ifdef ROBUST_SINGLE
static inline void robust_enlist(struct robust_list_head *head, struct robust_word *held)
{
    __atomic_store_n(&held->next, (void *)head->list.next, __ATOMIC_RELAXED);
    atomic_signal_fence(memory_order_seq_cst);
    *(void *volatile *)&head->list.next = &held->next;
}

static inline void robust_delist(struct robust_list_head *head, struct robust_word *held)
{
    void **before = (void **)(void *)&head->list;
    while (robust_entry(*before) != &held->next)
        before = robust_entry(*before);
    __atomic_store_n(before, held->next, __ATOMIC_RELAXED);
    atomic_signal_fence(memory_order_seq_cst);
}
#else
static inline void robust_enlist(struct robust_list_head *head, struct robust_word *held)
{
    struct robust_list *first = head->list.next;
    __atomic_store_n(&held->next, (void *)first, __ATOMIC_RELAXED);
    __atomic_store_n(&held->prev, (void *)&head->list, __ATOMIC_RELAXED);
    void **entry = robust_entry(first); /* never NULL: of an empty list its head */
    if (ROBUST_HEAD_HAS_PREV || entry != (void **)(void *)&head->list)
        __atomic_store_n(&entry[-1], (void *)&held->next, __ATOMIC_RELAXED);
    atomic_signal_fence(memory_order_seq_cst);
    *(void *volatile *)&head->list.next = &held->next;
}

static inline void robust_delist(struct robust_list_head *head, struct robust_word *held)
{
    void **next = robust_entry(held->next);
    if (ROBUST_HEAD_HAS_PREV || next != (void **)(void *)&head->list)
        __atomic_store_n(&next[-1], held->prev, __ATOMIC_RELAXED);
    __atomic_store_n(robust_entry(held->prev), held->next, __ATOMIC_RELAXED);
    atomic_signal_fence(memory_order_seq_cst);
}
#endif

/* In memory that is to be zeroes again. */
static inline void robust_forget_list(struct robust_word *word)
{
    word->next = NULL;
#ifndef ROBUST_SINGLE
    word->prev = NULL;
#endif
}

/* The words in the list, the latest first: the one after `held`, with NULL the first; NULL: no more. The program's own
 * robust mutexes are among them, so it is the address that says whether one is what is looked for. */
static inline struct robust_word *robust_listed(const struct robust_list_head *head, const struct robust_word *held)
{
    void **entry = robust_entry(held ? held->next : (const void *)head->list.next);
    if (entry == (void **)(void *)(uintptr_t)&head->list)
        return NULL;
    return (struct robust_word *)(void *)((char *)entry - offsetof(struct robust_word, next));
}

#endif
