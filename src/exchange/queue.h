/* exchange/queue.h: a queue's memory, and what its parts share.
 *
 * A queue is a line of records in segments that hang together in a circle. It has two sides, one for those who put and
 * one for those who get, each with a latch, and a mark: where in the line it stands, and how many messages and bytes
 * have passed there in all. Nothing that one side changes is changed by the other.
 *
 *   put: the record is written behind the last one, with no head, and a 0 where the next head will be; then its head is
 *        stored. That is the commit. A getter looks at heads, and not at the putters' mark, which follows.
 *   get: what the record holds is copied, or taken over by a loan; then the mark is turned on: that is the commit.
 *
 * A mark changes by one store: there are two of them, and `turn` says which one counts. The putters' mark may be one
 * commit behind the heads when its holder has died; the heir makes it follow.
 *
 * Who waits: of those who find nothing to get one is the front, who holds the side's turnstile in its robust list, as
 * of an owned semaphore. The front sleeps on the *other* side's latch, as if it wanted to take it: so whoever has put
 * something wakes it by dropping the latch, and if it dies before it does, the kernel does (wait/latch.h); and so does
 * the next in any line. What the front must not miss changes under that latch, and `turn` with it before it is
 * dropped; the kernel compares `turn` last of all as the front falls asleep. Those who wait for room do the same with
 * the sides exchanged. If the front dies, the turnstile passes on, and the next one looks before it sleeps. The front
 * may be woken in the place of one who wants the latch: so it wakes another, and until then the latch is pending.
 *
 * Where both latches are held, the getters' is the first.
 *
 * Who waits for many things at once takes nothing, and may be slow to act, so no wake that somebody needs may go to it.
 * It has a word of its own on each side, `watch`: under the side's latch it says that it watches; whoever takes the
 * latch after that wakes all who do, before it changes anything. They look, which for one who finds nothing means to
 * take the latch: so they see what came of it, and no death can come between a change and its news.
 */
#ifndef EXCHANGE_QUEUE_H
#define EXCHANGE_QUEUE_H

#include "os/futex.h"
#include "process/table.h"
#include "region/heap.h"
#include "sync/noun.h"
#include "wait/bell.h"

#include <brood/queue.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE_MOST ((size_t)4096)    /* bytes of a message that lies in the line; larger ones are blocks of the heap */
#define SEGMENT_LEAST ((size_t)8192)  /* bytes of the first segment */
#define SEGMENT_MOST ((size_t)16384)  /* ... and of the largest */
#define SEGMENTS_KEPT ((size_t)40960) /* bytes of segments that an empty queue keeps at most */
#define PATIENCE INT64_C(20000000)    /* ns to wait for others in the middle of a call, whatever the timeout */

/* ---- the line ---- */

/* head: 0: there is none, the line ends here. Else a kind, and the message's size. Stored last, by a putter that holds
 * the latch; read by getters that hold theirs, and by those who look. */
struct record {
    _Atomic uint64_t head;
    union {
        char bytes[8];
        void *block;
        uint64_t parcel; /* exchange/parcel.h */
    };
};

/* A descriptor's size is not 0, so that its head is not. */
enum { RECORD_DESCRIPTOR, RECORD_INLINE, RECORD_BLOCK, RECORD_JUMP, RECORD_KIND = 3 };

static inline uint64_t record_head(size_t size, unsigned kind)
{
    return (uint64_t)size << 2 | kind;
}

static inline size_t record_size(uint64_t head)
{
    return (size_t)(head >> 2);
}

/* How far behind it the next one lies. */
static inline size_t record_length(uint64_t head)
{
    size_t inside = (head & RECORD_KIND) == RECORD_INLINE ? record_size(head) : sizeof(void *);
    return sizeof(uint64_t) + ((inside + 7) & ~(size_t)7);
}

/* next: of the circle; the putters' to change, in the segment that they are in. A segment between theirs and the
 * getters' is free, and theirs too. There is always room left for a jump's head. */
struct segment {
    struct segment *_Atomic next;
    size_t size; /* of all of it */
    char bytes[];
};

static inline char *segment_end(const struct segment *segment)
{
    return (char *)segment + segment->size - sizeof(uint64_t);
}

/* ---- loans ---- */

/* What a loan's block is, to those who find its holder dead. FREE: nobody's: to be given back. LENT: a message that
 * comes back. MOVING: one that is on its way to the dead letters: it is in that queue, or still here, and whoever has
 * taken that queue's putters' latch since can tell: then it is FREE, or not. KEPT: reserved: to be given back once no
 * thread can write to it any more. */
enum loan_state { LOAN_FREE, LOAN_LENT, LOAN_MOVING, LOAN_KEPT };

struct queue;

/* word: a seat (sync/seat.h), held by the thread that has the loan, always with FUTEX_WAITERS, so that the kernel wakes
 * the front when it dies. All else is the holder's, but for a loan that a side's `intent` names: that one is the heir's
 * of that side's latch first. A loan is one of the getters' side (LENT, MOVING) or of the putters' (KEPT). */
struct loan {
    _Alignas(64) struct robust_word word;
    void *block; /* a block of the heap, or NULL */
    size_t size;
    uint64_t number; /* LENT: the how manieth message of the queue it is */
    uint32_t deliveries;
    _Atomic uint32_t state;
    struct queue *queue;
};

#define LOANS 15

/* Chained, and only ever added to, under the side's latch. */
struct loan_page {
    struct loan_page *_Atomic more;
    struct loan loan[LOANS];
};

/* ---- who owes ---- */

/* Added under the side's latch; `obituary` is written last: without one it is none. Constant from then on, but for
 * `how`, by whoever finds out, always the same. */
struct debt {
    struct debt *_Atomic next;
    struct obituary *_Atomic obituary;
    slot_id id;
    int32_t pid;
    _Atomic int32_t how; /* a brood_how + 1; 0: it has not ended */
    char name[SLOT_NAME];
};

/* ---- a queue ---- */

/* By the side's holders, before they turn it on; read by others between two looks at `turn`. */
struct mark {
    _Atomic(char *) at;
    _Atomic(struct segment *) in;
    _Atomic uint64_t count, bytes;
};

/* A plain copy of one. */
struct place {
    char *at;
    struct segment *in;
    uint64_t count, bytes;
};

/* latch: guards the side. turn: by its holders; the lowest bit says which mark counts, and whenever something changes
 * that those who sleep on the latch may wait for, it changes. top: loans from here on were never used; only grows.
 * turnstile: held by the front of those who wait. intent: a loan whose block is about to go into the line, or out of
 * it, as message `intent_count`; set and cleared under the latch, and judged by its heir. fresh: the putters': a
 * segment that is not in the circle, or about to leave it. room: the putters': bytes of all segments; derived. seen:
 * the putters': what the getters' mark was when they last had to look. watch: by the latch's holders. */
struct side {
    _Alignas(64) struct robust_word latch;
    _Atomic uint32_t turn;
    _Atomic uint32_t top;
    struct loan_page *_Atomic loans;
    _Alignas(64) struct mark marks[2];
    _Alignas(64) struct robust_word turnstile;
    struct debt *_Atomic debts; /* of the processes that owe what this side does */
    struct loan *intent;
    uint64_t intent_count;
    struct segment *fresh;
    _Atomic size_t room;
    uint64_t seen_count, seen_bytes;
    _Atomic uint32_t watch;
};

#define WATCHED 1u

/* noun: its mark makes the memory a queue; its word is not used. closed: 1 from close on; under both latches. idle: a
 * bell: for those who wait until the queue is empty and nothing lent. parcels: of its pair of sockets, 0: it has none;
 * by a putter with the latch. The rest is constant. */
struct queue {
    struct noun noun;
    _Alignas(64) uint64_t max_messages, max_bytes; /* 0: none */
    uint32_t max_deliveries;
    bool is_of_pipe; /* it takes a message larger than max_bytes, too, if there is no other */
    _Atomic uint32_t closed;
    struct bell idle;
    struct queue *dead_letters;
    _Atomic uint64_t parcels;
    struct side puts, gets;
    char name[];
};

/* The queue behind the user's pointer; NULL: then queue_refuse. */
static inline struct queue *queue_in(const void *memory)
{
    const struct queue *queue = memory;
    bool is = region_holds(memory, sizeof *queue) && (uintptr_t)memory % 64 == 0 &&
              atomic_load_explicit(&queue->noun.word.mark, memory_order_relaxed) == queue_kind.mark;
    return is ? (struct queue *)(uintptr_t)memory : NULL;
}

int queue_refuse(const void *memory, const char *call);

/* As noun_describe; of a queue in a pipe the user knows the pipe alone. */
const char *queue_describe(const struct queue *queue, char text[static NOUN_TEXT]);

/* Whether a living thread is in a call on it, or has something of it. */
bool queue_is_in_use(struct thread *self, struct queue *queue);

static inline bool queue_is_closed(const struct queue *queue)
{
    return atomic_load_explicit(&queue->closed, memory_order_acquire);
}

/* ---- a side ---- */

static inline struct side *other_side(struct queue *queue, const struct side *side)
{
    return side == &queue->puts ? &queue->gets : &queue->puts;
}

/* What counts, to those who hold the latch. Acquire: with the releases of a mark in side_turn: who reads what is to
 * come finds another turn after it. */
static inline struct place side_place(const struct side *side)
{
    const struct mark *mark = &side->marks[atomic_load_explicit(&side->turn, memory_order_relaxed) & 1];
    return (struct place){ atomic_load_explicit(&mark->at, memory_order_acquire),
                           atomic_load_explicit(&mark->in, memory_order_acquire),
                           atomic_load_explicit(&mark->count, memory_order_acquire),
                           atomic_load_explicit(&mark->bytes, memory_order_acquire) };
}

/* Turns the mark on, as one store. */
static inline void side_turn(struct side *side, const struct place *place)
{
    uint32_t turn = atomic_load_explicit(&side->turn, memory_order_relaxed) + 1;
    struct mark *mark = &side->marks[turn & 1];
    atomic_store_explicit(&mark->at, place->at, memory_order_release);
    atomic_store_explicit(&mark->in, place->in, memory_order_release);
    atomic_store_explicit(&mark->count, place->count, memory_order_release);
    atomic_store_explicit(&mark->bytes, place->bytes, memory_order_release);
    /* Release: with the acquire in side_look. */
    atomic_store_explicit(&side->turn, turn, memory_order_release);
}

/* Something else has changed that those who sleep on the latch must see. */
static inline void side_stir(struct side *side)
{
    struct place place = side_place(side);
    side_turn(side, &place);
}

/* What counted at one moment, to anyone. */
struct place side_look(const struct side *side);

/* Takes the latch, and mends what a dead holder left: it is pending then. 0, or -ETIMEDOUT: others were in the way for
 * too long: to the deadline, and PATIENCE at least. */
int side_take_slowly(struct thread *self, struct queue *queue, struct side *side, int64_t deadline);
static inline int side_take_silently(struct thread *self, struct queue *queue, struct side *side, int64_t deadline)
{
    uint32_t nobody = 0;
    thread_expects(self, &side->latch.word);
    if (!atomic_compare_exchange_strong_explicit(&side->latch.word, &nobody, self->id, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return side_take_slowly(self, queue, side, deadline);
    return 0;
}

/* Wakes all who watch the side. By the latch's holder. */
void side_tell(struct side *side);

static inline bool side_is_watched(const struct side *side)
{
    return atomic_load_explicit(&side->watch, memory_order_relaxed) & WATCHED;
}

/* The same, by one who may change something. */
static inline int side_take(struct thread *self, struct queue *queue, struct side *side, int64_t deadline)
{
    int taken = side_take_silently(self, queue, side, deadline);
    if (taken == 0 && side_is_watched(side))
        side_tell(side);
    return taken;
}

static inline void side_drop(struct thread *self, struct side *side)
{
    spin_publish(&side->latch.cpu);
    latch_drop(self, &side->latch);
}

/* Whoever sleeps on *word from now on is woken when something changes on the side. False: others are in the middle of
 * a call, for too long. */
bool side_watch(struct thread *self, struct queue *queue, struct side *side, struct futex_watch *word);

/* Mends it, if a dead one holds it, so that what is read off it is true. */
void side_settle(struct thread *self, struct queue *queue, struct side *side);

/* One wait of the front's: holds the turnstile from the first to the last. -ETIMEDOUT: another is the front. */
int side_front(struct thread *self, struct side *side, int64_t deadline);
void side_retire(struct thread *self, struct side *side);

/* One sleep of the front's: until woken, or the other side's turn is not `seen`, or the life word of that slot, if
 * there is one, is marked. Whether the deadline has not come yet. `naps`: for 5 ms at most. */
bool side_doze(struct thread *self, struct queue *queue, struct side *side, uint32_t seen, struct slot *life, bool naps,
               int64_t deadline);

/* ---- loans (exchange/queue_loan.c) ---- */

/* A free loan of that side, held by this thread. NULL: *failed is -ENOMEM, or -ETIMEDOUT: others were in the way. */
struct loan *loan_take(struct thread *self, struct queue *queue, struct side *side, int64_t deadline, int *failed);

/* Its message, if it has one, is gone: FREE, and whoever waits for that is told. Its block is as it was. */
void loan_end(struct thread *self, struct loan *loan);

/* Gives block and loan back. FREE by now. */
void loan_give(struct thread *self, struct loan *loan);

/* The loan of that side by which this thread has the block; NULL: it has not. */
struct loan *loan_find(struct thread *self, const struct queue *queue, const struct side *side, const void *block);

/* The message that is first among those that came back, in a loan that this thread holds from now on. NULL: none. */
struct loan *loan_returned(struct thread *self, struct queue *queue, int64_t deadline);

/* Leaves it as one who dies does. */
void loan_abandon(struct thread *self, struct loan *loan);

/* How many messages have come back and wait, and their bytes; how many are lent, those included. */
size_t loans_returned(struct queue *queue, size_t *bytes);
bool loans_are_out(const struct queue *queue);

/* For destroy: whether a living thread has one; and gives all back. */
bool loans_are_held(const struct side *side);
void loans_free(struct side *side);

/* The words of a side's loans, for a sleep on all of them, `most` at most; or that a message has come back. */
enum loans_seen { LOANS_ALL, LOANS_TOO_MANY, LOANS_RETURNED };
enum loans_seen loans_watch(const struct side *side, struct futex_watch *watch, unsigned most, unsigned *count);

/* ---- putting (exchange/queue_put.c) ---- */

/* Puts a loan's block, whatever the bounds; the loan is FREE then, and without a block. 0; -EPIPE: closed; -ENOMEM;
 * -ETIMEDOUT: others are in the way. */
int put_loan(struct thread *self, struct queue *queue, struct loan *loan, bool bounded, int64_t deadline);

/* brood_queue_put, for another call: `call` is for sentences. */
int queue_put(brood_queue *memory, const void *message, size_t size, const char *call, int timeout_ms);

/* As brood_queue_put: a message that is a descriptor, a copy of which goes along (exchange/parcel.h). `call`: for
 * sentences. Besides: EBADF, ENOTSUP, ETOOMANYREFS, EMFILE, ENFILE. */
int queue_put_descriptor(struct queue *queue, int fd, const char *call, int timeout_ms);

/* ---- getting (exchange/queue_get.c) ---- */

/* brood_queue_get and _get_block, for another call. */
int queue_get(brood_queue *memory, void *buffer, size_t size, size_t *got, const char *call, int timeout_ms);
int queue_get_block(brood_queue *memory, brood_block *message, const char *call, int timeout_ms);

/* The descriptor that is next. -errno, with a sentence: as brood_queue_get; EPROTO: a message is next; EBADF, EMFILE,
 * ENFILE. It stays there. EIO: it is lost. */
int queue_get_descriptor(struct queue *queue, const char *call, int timeout_ms);

void gets_mend(struct thread *self, struct queue *queue);

/* Whether a message of `size` bytes seems to have room, to anyone at this moment. */
bool puts_ready(struct queue *queue, size_t size);

/* Whether there is a record to get, to anyone. */
bool gets_ready(const struct queue *queue);

/* Whether the queue is empty, and nothing lent. */
bool queue_is_idle(const struct queue *queue);

/* ---- who owes (exchange/queue_debt.c) ---- */

/* This process owes what the side does from now on. 0, also if it does already; -EPIPE: it has done with it;
 * -ENOMEM; -ETIMEDOUT: others are in the way. */
int debts_join(struct thread *self, struct queue *queue, struct side *side, int64_t deadline);

/* Likewise a process that this one has started. */
int debts_lay(struct thread *self, struct queue *queue, struct side *side, brood_process *process, const char *call);

/* It does not any more, as if it had returned. */
void debts_leave(struct thread *self, struct queue *queue, struct side *side);

/* Whether the process of that slot does; whether any other does. */
bool debts_owes(const struct side *side, slot_id id);
bool debts_ever(const struct side *side, slot_id id); /* ... or has done */
bool debts_others(const struct side *side, slot_id self);

/* One of those who owe what a side does, and lives; 0: none does. */
int32_t debts_debtor(const struct side *side);

/* What becomes of those who owe what a side does. 0: nobody does, or one of them lives; *life is then the slot whose
 * life word its death marks, or NULL, and *naps says that the mark may not be enough. -EPIPE, -EOWNERDEAD: all have
 * ended; *debt: who badly. */
int debts_state(const struct side *side, const struct debt **debt, struct slot **life, bool *naps);

/* -EPIPE or -EOWNERDEAD, with a sentence. */
int debts_tell(const struct queue *queue, int code, const struct debt *debt, const char *what);

void debts_free(struct side *side);

#endif
