/* exchange/queue_loan.c: loans: blocks that a thread has for a while: a message that it reads in place or copies out,
 * or one that it is writing.
 *
 * A loan is a seat that the kernel marks when its holder dies, and the holder's last state says what is to become of
 * the block. Where a latch's `intent` names the loan too, that latch is taken and dropped before the state is believed:
 * the holder died with it, and its heir knows whether the commit had happened. A dead thread's list is marked before
 * its pending word, so that latch is waited for.
 */
#include "error/error.h"
#include "error/log.h"
#include "exchange/queue.h"
#include "os/clock.h"
#include "os/futex.h"

#include <errno.h>

#define LOAN_MARK 0x6e616f6cu /* "loan" */

static struct loan *loan_at(const struct side *side, uint32_t index)
{
    struct loan_page *page = atomic_load_explicit(&side->loans, memory_order_acquire);
    for (; page && index >= LOANS; index -= LOANS)
        page = atomic_load_explicit(&page->more, memory_order_acquire);
    return page ? &page->loan[index] : NULL;
}

static uint32_t loans_used(const struct side *side)
{
    return atomic_load_explicit(&side->top, memory_order_acquire);
}

static uint32_t state_of(const struct loan *loan)
{
    return atomic_load_explicit(&loan->state, memory_order_acquire);
}

static bool is_dead(uint32_t word)
{
    return word & FUTEX_OWNER_DIED && !(word & FUTEX_TID_MASK);
}

/* Its word; where the kernel marks no dead, we do. */
static uint32_t look(struct loan *loan)
{
    uint32_t word = atomic_load(&loan->word.word);
    if (word & FUTEX_TID_MASK && !atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed)) {
        latch_mark_if_gone(&loan->word, word);
        word = atomic_load(&loan->word.word);
    }
    return word;
}

/* ---- holding ---- */

/* LATCH_CLEAN; LATCH_INHERITED: the dead one's process, `owner`, stands there still, since its block may be kept for
 * that, until own; -ETIMEDOUT: it is another's. */
static int hold(struct thread *self, struct loan *loan)
{
    int taken = latch_take_noting(self, &loan->word, FUTEX_WAITERS, LATCH_TRY);
    if (taken == LATCH_CLEAN)
        noun_hold(self, &loan->word);
    if (taken == LATCH_INHERITED) {
        latch_hold(self, &loan->word);
        self->held++;
    }
    return taken;
}

static void own(const struct thread *self, struct loan *loan)
{
    atomic_store_explicit(&loan->word.owner, (uint64_t)self->process, memory_order_relaxed);
}

/* Nobody need be woken: nobody waits for a loan to be given back. */
static void let_go(struct thread *self, struct loan *loan)
{
    noun_unhold(self, &loan->word);
    atomic_store(&loan->word.word, 0);
    thread_expects(self, NULL);
}

void loan_abandon(struct thread *self, struct loan *loan)
{
    noun_unhold(self, &loan->word);
    latch_abandon(self, &loan->word);
}

void loan_end(struct thread *self, struct loan *loan)
{
    struct queue *queue = loan->queue;
    bell_lift(self, &queue->idle);
    atomic_store_explicit(&loan->state, LOAN_FREE, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* the state, then the bell: pairs with the or in brood_queue_join */
    if (atomic_load_explicit(&queue->idle.word, memory_order_relaxed) & FUTEX_WAITERS && queue_is_idle(queue))
        bell_ring(self, &queue->idle);
    thread_expects(self, NULL);
}

void loan_give(struct thread *self, struct loan *loan)
{
    if (loan->block)
        heap_give(loan->block, &loan->block);
    let_go(self, loan);
}

/* ---- the dead ---- */

/* Once every thread that might write to the block has ended. */
static bool may_give(const struct loan *loan)
{
    return state_of(loan) != LOAN_KEPT ||
           thread_is_gone((uint32_t)atomic_load_explicit(&loan->word.owner, memory_order_relaxed));
}

/* Takes the latches that may know more of a dead one's loan than its state. 0, or -ETIMEDOUT. The dead letters' side
 * may name it still when it is FREE again. */
static int settle(struct thread *self, struct queue *queue, struct side *side, struct loan *loan, int64_t deadline)
{
    struct queue *dead = side == &queue->gets && state_of(loan) != LOAN_LENT ? queue_in(queue->dead_letters) : NULL;
    heap_settle();
    if (dead) {
        if (side_take(self, dead, &dead->puts, deadline) < 0)
            return -ETIMEDOUT;
        side_drop(self, &dead->puts);
    }
    if (side_take(self, queue, side, deadline) < 0)
        return -ETIMEDOUT;
    side_drop(self, side);
    return 0;
}

/* Sits down on a seat that is free, or becomes it. */
static bool sit(struct thread *self, struct queue *queue, struct side *side, struct loan *loan)
{
    uint32_t word = look(loan);
    bool dead = is_dead(word), lent = state_of(loan) == LOAN_LENT || state_of(loan) == LOAN_MOVING;
    if ((word & FUTEX_TID_MASK) || (dead && lent))
        return false;
    int taken = hold(self, loan);
    if (taken < 0)
        return false;
    if (taken == LATCH_CLEAN)
        return true;
    if (settle(self, queue, side, loan, LATCH_TRY) < 0 || state_of(loan) == LOAN_LENT ||
        state_of(loan) == LOAN_MOVING || !may_give(loan)) {
        loan_abandon(self, loan);
        return false;
    }
    own(self, loan);
    atomic_store(&loan->state, LOAN_FREE);
    if (loan->block)
        heap_give(loan->block, &loan->block);
    return true;
}

/* ---- taking ---- */

/* Another page at the end. A front that sleeps must come to watch it: so of the getters' side this is done under the
 * putters' latch too, on which it sleeps. 0, -ENOMEM; -ETIMEDOUT. */
static int grow(struct thread *self, struct queue *queue, struct side *side)
{
    if (side_take(self, queue, side, LATCH_TRY) < 0)
        return -ETIMEDOUT;
    latch_hold(self, &side->latch);
    struct side *other = side == &queue->gets ? &queue->puts : NULL;
    bool taken = !other || side_take(self, queue, other, LATCH_TRY) == 0, grown = false;
    if (taken && other)
        latch_hold(self, &other->latch);
    if (taken) {
        struct loan_page *_Atomic *link = &side->loans;
        for (struct loan_page *page; (page = atomic_load(link)) != NULL;)
            link = &page->more;
        grown = heap_take_into((void **)(uintptr_t)link, sizeof(struct loan_page));
    }
    if (taken && other) {
        side_stir(other);
        latch_unhold(self, &other->latch);
        side_drop(self, other);
    }
    latch_unhold(self, &side->latch);
    side_drop(self, side);
    return !taken ? -ETIMEDOUT : grown ? 0 : -ENOMEM;
}

static void raise_top(struct side *side, uint32_t top)
{
    uint32_t before = atomic_load(&side->top);
    while (before < top && !atomic_compare_exchange_weak(&side->top, &before, top))
        continue;
}

struct loan *loan_take(struct thread *self, struct queue *queue, struct side *side, int64_t deadline, int *failed)
{
    for (;;) {
        struct loan *loan;
        for (uint32_t i = 0; (loan = loan_at(side, i)) != NULL; i++) {
            if (!sit(self, queue, side, loan))
                continue;
            atomic_store_explicit(&loan->word.mark, LOAN_MARK, memory_order_relaxed);
            loan->queue = queue;
            loan->deliveries = 0;
            if (loans_used(side) <= i)
                raise_top(side, i + 1);
            return loan;
        }
        *failed = grow(self, queue, side);
        if (*failed == -ENOMEM || (*failed < 0 && clock_now() >= deadline))
            return NULL;
    }
}

struct loan *loan_find(struct thread *self, const struct queue *queue, const struct side *side, const void *block)
{
    for (struct robust_word *word = NULL; (word = thread_listed(self, word)) != NULL;) {
        struct loan *loan = (struct loan *)word;
        if (!region_holds(loan, sizeof *loan) || atomic_load(&word->mark) != LOAN_MARK || loan->queue != queue ||
            loan->block != block)
            continue;
        if (state_of(loan) == (side == &queue->puts ? LOAN_KEPT : LOAN_LENT))
            return loan;
    }
    return NULL;
}

/* ---- what comes back ---- */

/* The first of the dead's messages; not held. */
static struct loan *first_returned(struct queue *queue)
{
    struct loan *first = NULL;
    uint32_t top = loans_used(&queue->gets);
    for (uint32_t i = 0; i < top; i++) {
        struct loan *loan = loan_at(&queue->gets, i);
        if (!loan || !is_dead(look(loan)) || (state_of(loan) != LOAN_LENT && state_of(loan) != LOAN_MOVING))
            continue;
        if (!first || (int64_t)(loan->number - first->number) < 0)
            first = loan;
    }
    return first;
}

/* To the dead letters, or thrown away: held and LENT before, and gone after. False: it cannot be moved, and stays. */
static bool bury(struct thread *self, struct queue *queue, struct loan *loan, int64_t deadline)
{
    char text[NOUN_TEXT];
    struct queue *dead = queue_in(queue->dead_letters);
    if (dead) {
        atomic_store(&loan->state, LOAN_MOVING);
        int failed = put_loan(self, dead, loan, false, deadline);
        if (failed == -ENOMEM || failed == -ETIMEDOUT) {
            atomic_store(&loan->state, LOAN_LENT);
            return false;
        }
        if (failed == 0) {
            loan_give(self, loan);
            return true;
        }
    }
    log_say(BROOD_WARNING, "a message of %zu bytes is thrown away: it was borrowed from %s by %u that died", loan->size,
            queue_describe(queue, text), loan->deliveries);
    loan_end(self, loan);
    loan_give(self, loan);
    return true;
}

struct loan *loan_returned(struct thread *self, struct queue *queue, int64_t deadline)
{
    struct loan *loan;
    while ((loan = first_returned(queue)) != NULL) {
        if (hold(self, loan) < 0)
            continue; /* another was faster */
        if (settle(self, queue, &queue->gets, loan, deadline) < 0) {
            loan_abandon(self, loan);
            return NULL;
        }
        if (state_of(loan) == LOAN_FREE) {
            loan_give(self, loan);
            continue;
        }
        own(self, loan);
        atomic_store(&loan->state, LOAN_LENT);
        if (queue->max_deliveries && loan->deliveries >= queue->max_deliveries && bury(self, queue, loan, deadline))
            continue;
        return loan;
    }
    return NULL;
}

size_t loans_returned(struct queue *queue, size_t *bytes)
{
    size_t count = 0;
    uint32_t top = loans_used(&queue->gets);
    *bytes = 0;
    for (uint32_t i = 0; i < top; i++) {
        struct loan *loan = loan_at(&queue->gets, i);
        if (!loan || !is_dead(look(loan)) || state_of(loan) != LOAN_LENT)
            continue;
        count++;
        *bytes += loan->size;
    }
    return count;
}

bool loans_are_out(const struct queue *queue)
{
    uint32_t top = loans_used(&queue->gets);
    for (uint32_t i = 0; i < top; i++) {
        const struct loan *loan = loan_at(&queue->gets, i);
        if (loan && state_of(loan) != LOAN_FREE)
            return true;
    }
    return false;
}

enum loans_seen loans_watch(const struct side *side, struct futex_watch *watch, unsigned most, unsigned *count)
{
    struct loan *loan;
    for (uint32_t i = 0; (loan = loan_at(side, i)) != NULL; i++) {
        if (i == most)
            return LOANS_TOO_MANY;
        uint32_t word = look(loan);
        if (is_dead(word) && state_of(loan) != LOAN_FREE)
            return LOANS_RETURNED;
        watch[i] = (struct futex_watch){ &loan->word.word, word };
        ++*count;
    }
    return LOANS_ALL;
}

/* ---- the end ---- */

bool loans_are_held(const struct side *side)
{
    struct loan *loan;
    for (uint32_t i = 0; (loan = loan_at(side, i)) != NULL; i++)
        if (look(loan) & FUTEX_TID_MASK || !may_give(loan))
            return true;
    return false;
}

void loans_free(struct side *side)
{
    struct loan *loan;
    for (uint32_t i = 0; (loan = loan_at(side, i)) != NULL; i++)
        if (loan->block)
            heap_give(loan->block, &loan->block);
    for (struct loan_page *page = atomic_load(&side->loans), *more; page; page = more) {
        more = atomic_load(&page->more);
        heap_give(page, NULL);
    }
    atomic_store(&side->loans, NULL);
}
