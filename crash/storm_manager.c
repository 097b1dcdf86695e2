/* storm_manager.c: millions of calls to a manager's server, while its clients are killed every few milliseconds.
 *
 * Each client keeps books in the region: what it is about to do, and what it has done. When one has been killed, and
 * the server has seen it, what is there must be what was done, and of the one call that it was at all or nothing (of a
 * batch: the calls up to some one). A lock that a dead one held is told to be inherited, an item of the queue is got
 * once, or comes back with its count; and at the end the server has nothing more, and the region no block.
 */
#include "storm.h"

#include <brood.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    BATCH = 64,           /* additions in one */
    ITEMS_MOST = 1 << 18, /* that one member puts, in all its lives */
    LIST_MOST = 4096,     /* items in a list; then it is cleared */
    TURNS = 12,           /* of so many one takes the lock, one puts, one gets, ... */
    MANAGER_LIMIT = 96 << 20,
    PATIENT_MS = 20000,
};

/* In the region. begun, done: additions that were asked for, and answered; of lists the same. Only the member writes,
 * while it lives. */
struct book {
    _Atomic long adds_begun, adds_done;       /* to the member's entry in "counts" */
    _Atomic long batched_begun, batched_done; /* likewise in "batched" */
    _Atomic long appends_begun, appends_done; /* to the member's list */
    _Atomic long puts_begun, puts_done;       /* items, which are numbered */
    _Atomic int ready;                        /* it has a channel */
    _Atomic unsigned char got[ITEMS_MOST];    /* by whomever: 1: once; 2: it came back, too */
    unsigned char put[ITEMS_MOST];            /* that much is sure: by the member */
};

struct bank {
    brood_manager *manager;
    brood_dict *counts, *batched;
    brood_list *lists[MEMBERS];
    brood_managed_lock *lock;
    brood_managed_queue *queue;
    volatile long first, second; /* equal, outside of the lock */
    _Atomic int inside;
    _Atomic long inherited, came_back, calls;
    struct book books[MEMBERS];
};

struct teller {
    struct storm *storm;
    struct bank *bank;
    int member;
};

/* ---- clients ---- */

static void fault(const struct teller *teller, const char *what)
{
    point_fault(teller->storm->report, POINT_TORN, "%s: %s", what, brood_error());
}

static void add_one(const struct teller *teller, struct book *book)
{
    atomic_fetch_add(&book->adds_begun, 1);
    if (brood_dict_add(teller->bank->counts, teller->member, 1) < 0)
        fault(teller, "add");
    atomic_fetch_add(&book->adds_done, 1);
}

static void add_batch(const struct teller *teller, struct book *book)
{
    static brood_batch *batch;
    const brood_any values[] = { brood_any_int(teller->member), brood_any_int(1) };
    if (!batch && !(batch = brood_batch_create(teller->bank->manager)))
        fault(teller, "batch");
    for (int i = 0; i < BATCH; i++)
        if (brood_batch_call(batch, teller->bank->batched, "add", values, 2) != i)
            fault(teller, "batch, call");
    atomic_fetch_add(&book->batched_begun, BATCH);
    if (brood_batch_run(batch) != 0)
        fault(teller, "batch, run");
    atomic_fetch_add(&book->batched_done, BATCH);
    atomic_fetch_add(&teller->bank->calls, BATCH - 1);
}

/* A list that is long is cleared by its member: before it counts from 0 again it is known to be empty. */
static void append_one(const struct teller *teller, struct book *book)
{
    brood_list *list = teller->bank->lists[teller->member];
    if (book->appends_begun >= LIST_MOST) {
        if (brood_list_clear(list) < 0)
            fault(teller, "clear");
        atomic_store(&book->appends_done, 0);
        atomic_store(&book->appends_begun, 0);
    }
    atomic_fetch_add(&book->appends_begun, 1);
    if (brood_list_append(list, "an item of a list, with a block of its own") < 0)
        fault(teller, "append");
    atomic_fetch_add(&book->appends_done, 1);
}

/* book: NULL: nothing is added in it. */
static void take_lock(const struct teller *teller, struct book *book)
{
    struct bank *bank = teller->bank;
    int told = brood_managed_lock_acquire(bank->lock, PATIENT_MS);
    if (told < 0) {
        fault(teller, "acquire");
        return;
    }
    if (told == 0 && (bank->inside || bank->first != bank->second))
        point_fault(teller->storm->report, POINT_DOUBLED, "in a lock that is clean: %ld, %ld, and %d is in it",
                    bank->first, bank->second, bank->inside);
    bank->inherited += told == BROOD_INHERITED;
    bank->second = bank->first;
    bank->inside = teller->member + 1;
    bank->first++;
    if (book)
        add_one(teller, book);
    bank->second++;
    bank->inside = 0;
    if (brood_managed_lock_release(bank->lock) < 0)
        fault(teller, "release");
}

static void put_one(const struct teller *teller, struct book *book)
{
    long number = book->puts_begun;
    if (number >= ITEMS_MOST)
        return;
    atomic_fetch_add(&book->puts_begun, 1);
    if (brood_managed_queue_put(teller->bank->queue, number * MEMBERS + teller->member, PATIENT_MS) < 0)
        fault(teller, "put");
    book->put[number] = 1;
    atomic_fetch_add(&book->puts_done, 1);
}

/* told: how often it had been got by one who died with it. */
static void note_got(const struct teller *teller, const brood_any *item, int told)
{
    struct bank *bank = teller->bank;
    long number = item->integer / MEMBERS;
    _Atomic unsigned char *got = &bank->books[item->integer % MEMBERS].got[number];
    if (item->kind != BROOD_INT || number >= ITEMS_MOST)
        point_fault(teller->storm->report, POINT_TORN, "an item that nobody has put");
    else if (atomic_load(got) && told == 0)
        point_fault(teller->storm->report, POINT_DOUBLED, "item %ld was got already", number);
    else
        atomic_store(got, told ? 2 : 1);
    bank->came_back += told > 0;
}

static void get_one(const struct teller *teller, struct book *book)
{
    brood_any item;
    int told = brood_managed_queue_get(teller->bank->queue, &item, 0);
    if (told == -ETIMEDOUT)
        return;
    if (told < 0) {
        fault(teller, "get");
        return;
    }
    note_got(teller, &item, told);
    add_one(teller, book);
    if (brood_managed_queue_done(teller->bank->queue) < 0)
        fault(teller, "done");
}

static void call_often(void *context)
{
    const struct teller *teller = context;
    struct book *book = &teller->bank->books[teller->member];
    storm_seed((unsigned long long)point_us() + (unsigned)teller->member);
    for (;;) {
        switch (storm_below(TURNS)) {
        case 0:
            take_lock(teller, book);
            break;
        case 1:
            put_one(teller, book);
            break;
        case 2:
            get_one(teller, book);
            break;
        case 3:
            add_batch(teller, book);
            break;
        case 4:
        case 5:
        case 6:
            append_one(teller, book);
            break;
        default:
            add_one(teller, book);
        }
        atomic_fetch_add(&teller->bank->calls, 1);
        atomic_store(&book->ready, 1);
    }
}

/* ---- the account ---- */

/* The server has seen that all are dead but `clients`. */
static void await_burial(const struct teller *teller, size_t clients)
{
    brood_manager_stats stats = { .clients = 0 };
    long long until = point_us() + SURVIVOR_MS * 1000LL;
    do
        if (brood_manager_stat(teller->bank->manager, &stats) < 0)
            fault(teller, "stat");
    while (stats.clients != clients && point_us() < until && usleep(100) == 0);
    if (stats.clients != clients)
        point_fault(teller->storm->report, POINT_STUCK, "%zu clients, not %zu", stats.clients, clients);
}

static void check_sum(const struct teller *teller, const char *what, long now, _Atomic long *begun, _Atomic long *done)
{
    if (now < *done || now > *begun)
        point_fault(teller->storm->report, now < *done ? POINT_LOST : POINT_DOUBLED,
                    "%s of member %d: %ld are there, %ld were done, %ld begun", what, teller->member, now,
                    atomic_load(done), atomic_load(begun));
    atomic_store(done, now);
    atomic_store(begun, now);
}

static long entry_of(const struct teller *teller, brood_dict *dict)
{
    brood_any value;
    if (brood_dict_get(dict, teller->member, &value) < 0)
        fault(teller, "get of a sum");
    return (long)value.integer;
}

/* Of one who is dead and buried. */
static void settle(const struct teller *teller)
{
    struct bank *bank = teller->bank;
    struct book *book = &bank->books[teller->member];
    check_sum(teller, "additions", entry_of(teller, bank->counts), &book->adds_begun, &book->adds_done);
    check_sum(teller, "additions in batches", entry_of(teller, bank->batched), &book->batched_begun,
              &book->batched_done);
    int length = brood_list_length(bank->lists[teller->member]);
    if (length == 0 && book->appends_begun >= LIST_MOST) /* cleared, and not yet noted */
        book->appends_done = 0;
    check_sum(teller, "appended items", length, &book->appends_begun, &book->appends_done);
}

static void drain(const struct teller *teller)
{
    struct bank *bank = teller->bank;
    for (brood_any item;;) {
        int told = brood_managed_queue_get(bank->queue, &item, 0);
        if (told < 0)
            break;
        note_got(teller, &item, told);
        if (brood_managed_queue_done(bank->queue) < 0)
            fault(teller, "done");
    }
    if (brood_managed_queue_join(bank->queue, 0) < 0)
        fault(teller, "an item is lent still");
    for (int member = 0; member < MEMBERS; member++)
        for (long i = 0; i < bank->books[member].puts_begun; i++)
            if (bank->books[member].put[i] && !bank->books[member].got[i])
                point_fault(teller->storm->report, POINT_LOST, "item %ld of member %d", i, member);
}

static bool open_bank(struct storm *storm, struct bank *bank)
{
    bank->manager = brood_manager_start(NULL);
    bank->counts = brood_manager_dict(bank->manager, NULL);
    bank->batched = brood_manager_dict(bank->manager, NULL);
    bank->lock = brood_manager_lock(bank->manager, NULL);
    bank->queue = brood_manager_joinable_queue(bank->manager, NULL, 0);
    bool open = bank->counts && bank->batched && bank->lock && bank->queue;
    for (int i = 0; i < MEMBERS && open; i++)
        open = (bank->lists[i] = brood_manager_list(bank->manager, NULL)) && brood_dict_set(bank->counts, i, 0) == 0 &&
               brood_dict_set(bank->batched, i, 0) == 0;
    if (!open)
        point_fault(storm->report, POINT_TORN, "no manager: %s", brood_error());
    return open;
}

static void close_bank(const struct teller *teller)
{
    struct bank *bank = teller->bank;
    brood_manager_stats stats;
    brood_dict_close(bank->counts);
    brood_dict_close(bank->batched);
    brood_managed_lock_close(bank->lock);
    brood_managed_queue_close(bank->queue);
    for (int i = 0; i < MEMBERS; i++)
        brood_list_close(bank->lists[i]);
    if (brood_manager_stat(bank->manager, &stats) < 0 || stats.objects || stats.memory || stats.waiting)
        point_fault(teller->storm->report, POINT_LOST, "the server keeps %zu objects, %zu bytes, and %zu wait",
                    stats.objects, stats.memory, stats.waiting);
    if (brood_manager_destroy(bank->manager) < 0)
        fault(teller, "destroy");
}

void storm_over_manager(struct storm *storm)
{
    brood_heap_stats before, after;
    struct crew crew = { .body = call_often };
    struct teller tellers[MEMBERS];
    struct bank *bank = NULL;
    if (brood_init(&(brood_init_options){ .limit = MANAGER_LIMIT }) < 0 || !(bank = brood_alloc(sizeof *bank))) {
        point_fault(storm->report, POINT_TORN, "no family: %s", brood_error());
        return;
    }
    brood_heap_stat(&before);
    if (!open_bank(storm, bank))
        return;
    for (int i = 0; i < MEMBERS; i++) {
        tellers[i] = (struct teller){ storm, bank, i };
        crew.contexts[i] = &tellers[i];
        crew_start(&crew, i);
    }
    while (point_us() < storm->end) {
        int member = (int)storm_below(MEMBERS);
        storm_gap();
        for (int i = 0; i < MEMBERS; i++) /* or it might get its channel while the dead one's is counted */
            while (!atomic_load(&bank->books[i].ready) && point_us() < storm->end + SURVIVOR_MS * 1000LL)
                usleep(50);
        crew_kill(&crew, member);
        await_burial(&tellers[member], MEMBERS);
        settle(&tellers[member]);
        atomic_store(&bank->books[member].ready, 0);
        crew_start(&crew, member);
    }
    for (int i = 0; i < MEMBERS; i++)
        crew_kill(&crew, i);
    await_burial(&tellers[0], 1);
    for (int i = 0; i < MEMBERS; i++)
        settle(&tellers[i]);
    take_lock(&tellers[0], NULL);
    if (bank->first != bank->second)
        point_fault(storm->report, POINT_TORN, "at the end the lock's books say %ld, %ld", bank->first, bank->second);
    drain(&tellers[0]);
    close_bank(&tellers[0]);
    if (brood_heap_check() < 0 || brood_heap_stat(&after) < 0)
        point_fault(storm->report, POINT_TORN, "%s", brood_error());
    else if (after.blocks != before.blocks)
        point_fault(storm->report, POINT_LOST, "%zu blocks before the manager, %zu after it", before.blocks,
                    after.blocks);
    if (bank->calls == 0 || bank->first == 0 || crew.kills <= MEMBERS)
        point_fault(storm->report, POINT_STUCK, "%ld calls, %u kills: nothing was tried", bank->calls, crew.kills);
    if (storm->verbose)
        printf("  manager: %u kills, %ld calls, %ld locks inherited, %ld items came back\n", crew.kills, bank->calls,
               bank->inherited, bank->came_back);
}
