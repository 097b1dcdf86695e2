/* exchange/queue_debt.c: who owes a queue its messages, or their getting.
 *
 * A debt is over when its process is gone. How it ended is in the process' slot, and in its obituary once the slot is
 * given back (process/table.h). The front of those who wait sleeps on the life word of one debtor that lives: all must
 * end, so one is enough to know that they have not. Where that process owes to others too, one of their fronts
 * sleeps on the same word and wakes the rest, who nap, since he may be dying (side_doze).
 */
#include "error/error.h"
#include "exchange/queue.h"
#include "os/clock.h"
#include "process/process.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* How the debtor ended: a brood_how, BROOD_RUNNING if it said nothing before; -1: it lives. *life: whose
 * life word its death marks, if that is sure. */
static int look(const struct debt *debt, struct obituary *obituary, struct slot **life, bool *naps)
{
    int how = atomic_load(&obituary->how);
    if (how != OBITUARY_NONE)
        return how;
    struct slot *slot = slot_of(debt->id);
    int said = atomic_load(&slot->note.how);
    uint32_t word = atomic_load(&slot->life.word);
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    bool lives = word & FUTEX_TID_MASK && told;
    int note = lives || !thread_is_gone((uint32_t)debt->pid) ? -1 : atomic_load(&slot->note.how);
    if (!slot_is(slot, debt->id)) { /* it is another's, or about to be: the obituary is written before the note goes */
        how = atomic_load(&obituary->how);
        return how != OBITUARY_NONE ? how : said;
    }
    *life = lives ? slot : NULL;
    *naps = !lives;
    return note;
}

int debts_state(const struct side *side, const struct debt **debt, struct slot **life, bool *naps)
{
    int state = 0;
    *debt = NULL;
    *life = NULL;
    *naps = false;
    for (struct debt *one = atomic_load(&side->debts); one; one = atomic_load(&one->next)) {
        struct obituary *obituary = atomic_load_explicit(&one->obituary, memory_order_acquire);
        int how = atomic_load(&one->how) - 1;
        if (!obituary)
            continue;
        if (how < 0) {
            how = look(one, obituary, life, naps);
            if (how < 0)
                return 0;
            atomic_store(&one->how, how + 1);
        }
        if (how != BROOD_RETURNED && state != -EOWNERDEAD) {
            state = -EOWNERDEAD;
            *debt = one;
        }
        state = state ? state : -EPIPE;
    }
    return state;
}

int32_t debts_debtor(const struct side *side)
{
    for (struct debt *debt = atomic_load(&side->debts); debt; debt = atomic_load(&debt->next))
        if (atomic_load_explicit(&debt->obituary, memory_order_acquire) && atomic_load(&debt->how) == 0)
            return debt->pid;
    return 0;
}

int debts_tell(const struct queue *queue, int code, const struct debt *debt, const char *what)
{
    char text[NOUN_TEXT];
    queue_describe(queue, text);
    if (code == -EPIPE)
        return error_set(EPIPE, "all who owed %s its %s have returned", text, what);
    heap_settle();
    const char *how = atomic_load(&debt->how) - 1 == BROOD_FAILED ? "failed" : "ended without returning";
    return error_set(EOWNERDEAD, "all who owed %s its %s have ended: process '%s' (%d) %s", text, what, debt->name,
                     debt->pid, how);
}

/* Hangs a debt into the side's list: NULL: no memory. The latch is in the list. */
static struct debt *hang(struct side *side)
{
    struct debt *_Atomic *link = &side->debts;
    for (struct debt *debt; (debt = atomic_load(link)) != NULL;)
        link = &debt->next;
    return heap_take_into((void **)(uintptr_t)link, sizeof(struct debt));
}

/* Whose debt: constant parts of it. */
struct debtor {
    slot_id id;
    int32_t pid;
    const char *name;
};

static struct debt *find(const struct side *side, slot_id id)
{
    struct debt *debt = atomic_load(&side->debts);
    while (debt && (debt->id != id || !atomic_load_explicit(&debt->obituary, memory_order_acquire)))
        debt = atomic_load(&debt->next);
    return debt;
}

/* Who sleeps because of what that side does sleeps on its latch, and must look anew. Takes over a reference. Another
 * thread, or whoever started the process, may be at the same thing: who is second under the latch adds nothing, or the
 * process would owe still after debts_leave. *known: that of the first. */
static int add(struct thread *self, struct queue *queue, struct side *side, const struct debtor *debtor,
               struct obituary *obituary, int64_t deadline, const struct debt **known)
{
    *known = NULL;
    if (side_take(self, queue, side, deadline) < 0) {
        obituary_release(obituary);
        return -ETIMEDOUT;
    }
    latch_hold(self, &side->latch);
    *known = find(side, debtor->id);
    struct debt *debt = *known ? NULL : hang(side);
    if (debt) {
        debt->id = debtor->id;
        debt->pid = debtor->pid;
        memcpy(debt->name, debtor->name, strnlen(debtor->name, SLOT_NAME - 1));
        atomic_store_explicit(&debt->obituary, obituary, memory_order_release);
        side_stir(side);
    }
    latch_unhold(self, &side->latch);
    side_drop(self, side);
    if (!debt)
        obituary_release(obituary);
    return debt || *known ? 0 : -ENOMEM;
}

int debts_join(struct thread *self, struct queue *queue, struct side *side, int64_t deadline)
{
    slot_id id = table_self("process");
    const struct debt *known = find(side, id);
    if (known)
        return atomic_load(&known->how) ? -EPIPE : 0;
    struct obituary *obituary = id ? obituary_ask(id) : NULL;
    if (!obituary)
        return -ENOMEM;
    int failed =
        add(self, queue, side, &(struct debtor){ id, getpid(), slot_of(id)->name }, obituary, deadline, &known);
    return known && atomic_load(&known->how) ? -EPIPE : failed;
}

int debts_lay(struct thread *self, struct queue *queue, struct side *side, brood_process *process, const char *call)
{
    slot_id id;
    struct obituary *obituary = process_obituary(process, call, &id);
    if (!obituary)
        return -errno;
    struct debtor debtor = { id, brood_process_pid(process), brood_process_name(process) };
    const struct debt *known;
    return find(side, id) ? (obituary_release(obituary), 0)
                          : add(self, queue, side, &debtor, obituary, CLOCK_NEVER, &known);
}

void debts_leave(struct thread *self, struct queue *queue, struct side *side)
{
    struct debt *debt = find(side, table_self("process"));
    if (!debt || side_take(self, queue, side, CLOCK_NEVER) < 0)
        return;
    atomic_store(&debt->how, BROOD_RETURNED + 1);
    side_stir(side);
    side_drop(self, side);
}

bool debts_owes(const struct side *side, slot_id id)
{
    const struct debt *debt = find(side, id);
    return debt && atomic_load(&debt->how) == 0;
}

bool debts_ever(const struct side *side, slot_id id)
{
    return find(side, id) != NULL;
}

bool debts_others(const struct side *side, slot_id self)
{
    for (struct debt *debt = atomic_load(&side->debts); debt; debt = atomic_load(&debt->next)) {
        struct obituary *obituary = atomic_load_explicit(&debt->obituary, memory_order_acquire);
        struct slot *life;
        bool naps;
        if (obituary && debt->id != self && atomic_load(&debt->how) == 0 && look(debt, obituary, &life, &naps) < 0)
            return true;
    }
    return false;
}

int brood_process_owes(brood_process *process, brood_queue *memory, int what)
{
    char text[NOUN_TEXT];
    static const char call[] = "brood_process_owes";
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, call);
    if (what < BROOD_GETS || what > (BROOD_GETS | BROOD_PUTS))
        return error_set(EINVAL, "%s: %d is neither BROOD_GETS nor BROOD_PUTS, nor both", call, what);
    struct thread *self = thread_self();
    for (int one = BROOD_GETS; one <= BROOD_PUTS; one++) {
        if (!(what & one))
            continue;
        int failed = debts_lay(self, queue, one == BROOD_PUTS ? &queue->puts : &queue->gets, process, call);
        if (failed == -ENOMEM)
            error_set(ENOMEM, "%s: no memory in the region to say so in %s", call, queue_describe(queue, text));
        if (failed < 0)
            return failed;
    }
    return 0;
}

void debts_free(struct side *side)
{
    for (struct debt *debt = atomic_load(&side->debts), *next; debt; debt = next) {
        next = atomic_load(&debt->next);
        if (atomic_load(&debt->obituary))
            obituary_release(atomic_load(&debt->obituary));
        heap_give(debt, NULL);
    }
    atomic_store(&side->debts, NULL);
}
