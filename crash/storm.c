/* storm.c: SIGKILL at random times, which steps cannot replace: they see no death inside the kernel, and no other
 * process at work meanwhile.
 *
 * Eight storms, each in a family of its own: over lockers, allocators, all sync nouns together (storm_sync.c), queues
 * (storm_queue.c, and storm_stream.c for a great number of messages), a pool (and storm_tasks.c for a great number of
 * tasks), and a manager (storm_manager.c). In each everything is on account, so that at any moment, and to the last
 * unit at the end, what is must be what was done, short of what a killed process was at.
 */
#include "storm.h"
#include "step.h"

#include <brood.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    GAP_US = 1500,      /* at most so long between two kills */
    AGAIN_US = 1000000, /* what is left of a storm's time is worth another */
    GRACE_S = 15,       /* a storm that lasts so much longer than it should is stuck */
    PLACES = 48,        /* blocks that an allocator has at most */
    HEAP_LIMIT = 64 << 20,
    SMALL_LIMIT = 8 << 20,
    ITEMS = 64,
    PIDS = 16,
};

static unsigned long long random_state;

void storm_seed(unsigned long long value)
{
    random_state = value * 2654435761ULL + 88172645463325252ULL;
}

unsigned storm_below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % limit;
}

void storm_gap(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = storm_below(GAP_US) * 1000L }, NULL);
}

void crew_start(struct crew *crew, int member)
{
    crew->pid[member] = point_child(crew->body, crew->contexts[member]);
}

void crew_kill(struct crew *crew, int member)
{
    if (crew->pid[member] <= 0)
        return;
    kill(crew->pid[member], SIGKILL);
    waitpid(crew->pid[member], NULL, 0);
    crew->pid[member] = 0;
    crew->kills++;
}

/* ---- lockers ---- */

/* In the region. Each entry is counted three times, one after the other; who is told that he inherited makes them
 * equal, and may find a difference of one. */
struct books {
    brood_lock lock;
    volatile long first, second;
    volatile int inside;         /* the member + 1 who is at it */
    volatile long done[MEMBERS]; /* third, by member */
    _Atomic long inherited;
};

struct locker {
    struct storm *storm;
    struct books *books;
    int member;
};

static long sum_of(const struct books *books)
{
    long sum = 0;
    for (int i = 0; i < MEMBERS; i++)
        sum += books->done[i];
    return sum;
}

static void audit(struct storm *storm, struct books *books, int told)
{
    long first = books->first, second = books->second, sum = sum_of(books);
    if (told == 0 && books->inside)
        point_fault(storm->report, POINT_DOUBLED, "two at once in the lock");
    if (told == 0 ? first != second || second != sum
                  : first - second > 1 || second > first || first - sum > 1 || sum > second)
        point_fault(storm->report, POINT_TORN, "after acquire gave %d the books say %ld, %ld, %ld", told, first, second,
                    sum);
    if (told != BROOD_INHERITED)
        return;
    atomic_fetch_add(&books->inherited, 1);
    books->second = first;
    if (first != sum && books->inside)
        books->done[books->inside - 1] += first - sum;
    books->inside = 0;
}

static void lock_and_count(void *context)
{
    const struct locker *locker = context;
    struct books *books = locker->books;
    int member = locker->member;
    storm_seed((unsigned long long)point_us() + (unsigned)member);
    for (;;) {
        bool patient = storm_below(4) > 0;
        int told = brood_lock_acquire(&books->lock, patient ? SURVIVOR_MS : (int)storm_below(2));
        if (told == -ETIMEDOUT && !patient)
            continue;
        if (told < 0) {
            point_fault(locker->storm->report, told == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "acquire: %s",
                        brood_error());
            continue;
        }
        audit(locker->storm, books, told);
        books->inside = member + 1;
        books->first++;
        books->second++;
        books->done[member]++;
        if (books->inside != member + 1)
            point_fault(locker->storm->report, POINT_DOUBLED, "somebody else came into the lock");
        books->inside = 0;
        if ((storm_below(50) ? brood_lock_release(&books->lock) : brood_lock_abandon(&books->lock)) < 0)
            point_fault(locker->storm->report, POINT_TORN, "release: %s", brood_error());
    }
}

static void storm_over_locks(struct storm *storm)
{
    struct crew crew = { .body = lock_and_count };
    struct locker lockers[MEMBERS];
    if (brood_init(&(brood_init_options){ .limit = SMALL_LIMIT }) < 0) {
        point_fault(storm->report, POINT_TORN, "no family: %s", brood_error());
        return;
    }
    struct books *books = brood_alloc(sizeof *books);
    for (int i = 0; i < MEMBERS; i++) {
        lockers[i] = (struct locker){ storm, books, i };
        crew.contexts[i] = &lockers[i];
        crew_start(&crew, i);
    }
    while (point_us() < storm->end) {
        int member = (int)storm_below(MEMBERS);
        storm_gap();
        crew_kill(&crew, member);
        crew_start(&crew, member);
    }
    for (int i = 0; i < MEMBERS; i++)
        crew_kill(&crew, i);
    int told = brood_lock_acquire(&books->lock, SURVIVOR_MS);
    if (told < 0)
        point_fault(storm->report, POINT_STUCK, "at the end: %s", brood_error());
    audit(storm, books, told);
    if (books->first != books->second || books->second != sum_of(books))
        point_fault(storm->report, POINT_TORN, "at the end the books say %ld, %ld, %ld", books->first, books->second,
                    sum_of(books));
    if (books->first == 0 || books->inherited == 0)
        point_fault(storm->report, POINT_STUCK, "%ld entries, %ld inherited: nothing was tried", books->first,
                    books->inherited);
    if (storm->verbose)
        printf("  lockers: %u kills, %ld entries, %ld inherited\n", crew.kills, books->first, books->inherited);
}

/* ---- allocators ---- */

/* In the region. A block holds zeroes, then its member's byte; whoever follows a killed member may find both. */
struct larder {
    void *place[PLACES];
    size_t size[PLACES];  /* of the block there; written before the block is taken */
    _Atomic int may_lose; /* in a call, or between two, where a kill may lose one block */
    _Atomic long turns;
};

struct allocator {
    struct storm *storm;
    struct larder *larder;
    int byte;
    bool exact; /* calls that lose no block, and only those */
};

static size_t random_size(void)
{
    unsigned kind = storm_below(100);
    return kind < 85 ? storm_below(600) : kind < 97 ? storm_below(30000) : 40000 + storm_below(100000);
}

static void check_block(const struct allocator *allocator, const char *block, size_t size, bool fresh)
{
    for (size_t i = 0; i < size; i++)
        if (block[i] && (fresh || block[i] != (char)allocator->byte)) {
            point_fault(allocator->storm->report, POINT_DOUBLED, "a block of %zu bytes has another's contents", size);
            return;
        }
}

static void take_or_give(const struct allocator *allocator)
{
    struct larder *larder = allocator->larder;
    unsigned at = storm_below(PLACES);
    bool taken = larder->place[at] != NULL;
    if (taken)
        check_block(allocator, larder->place[at], larder->size[at], false);
    else
        larder->size[at] = random_size();
    errno = 0;
    if (taken)
        brood_free_from(&larder->place[at]);
    else
        brood_alloc_into(&larder->place[at], larder->size[at]);
    /* A free tells of failure by errno alone. */
    if ((taken && errno == EINVAL) || !larder->place[at] != taken)
        point_fault(allocator->storm->report, POINT_TORN, "%s: %s", taken ? "free_from" : "alloc_into", brood_error());
    if (!taken && larder->place[at]) {
        check_block(allocator, larder->place[at], larder->size[at], true);
        memset(larder->place[at], allocator->byte, larder->size[at]);
    }
}

static void take_and_give(const struct allocator *allocator)
{
    size_t size = random_size();
    atomic_store(&allocator->larder->may_lose, 1);
    char *block = brood_alloc(size);
    if (block) {
        check_block(allocator, block, size, true);
        memset(block, allocator->byte, size);
        brood_free(block);
    } else {
        point_fault(allocator->storm->report, POINT_LOST, "alloc: %s", brood_error());
    }
    atomic_store(&allocator->larder->may_lose, 0);
}

static void allocate(void *context)
{
    const struct allocator *allocator = context;
    storm_seed((unsigned long long)point_us() + (unsigned)allocator->byte);
    for (;;) {
        if (allocator->exact || storm_below(5))
            take_or_give(allocator);
        else
            take_and_give(allocator);
        atomic_fetch_add(&allocator->larder->turns, 1);
    }
}

/* What the killed had allocated and not yet kept anywhere is lost, and in time that would be all there is. */
static bool is_half_lost(void)
{
    brood_heap_stats now;
    return brood_heap_stat(&now) < 0 || now.used > HEAP_LIMIT / 2;
}

static void allocators_until(struct storm *storm, long long end, bool exact)
{
    struct crew crew = { .body = allocate };
    struct allocator allocators[MEMBERS];
    struct larder *larders[MEMBERS];
    brood_heap_stats before, after;
    unsigned may_lose = 0;
    for (int i = 0; i < MEMBERS; i++) {
        larders[i] = brood_alloc(sizeof *larders[i]);
        allocators[i] = (struct allocator){ storm, larders[i], i + 1, exact };
        crew.contexts[i] = &allocators[i];
    }
    brood_heap_stat(&before);
    for (int i = 0; i < MEMBERS; i++)
        crew_start(&crew, i);
    while (point_us() < end && (exact || !is_half_lost())) {
        int member = (int)storm_below(MEMBERS);
        storm_gap();
        crew_kill(&crew, member);
        may_lose += (unsigned)atomic_exchange(&larders[member]->may_lose, 0);
        if (crew.kills % 64 == 0 && brood_heap_check() < 0)
            point_fault(storm->report, POINT_TORN, "%s", brood_error());
        crew_start(&crew, member);
    }
    long turns = 0;
    for (int i = 0; i < MEMBERS; i++) {
        crew_kill(&crew, i);
        may_lose += (unsigned)atomic_exchange(&larders[i]->may_lose, 0);
        turns += larders[i]->turns;
        for (int at = 0; at < PLACES; at++) {
            if (larders[i]->place[at])
                check_block(&allocators[i], larders[i]->place[at], larders[i]->size[at], false);
            errno = 0;
            brood_free_from(&larders[i]->place[at]);
            if (errno == EINVAL)
                point_fault(storm->report, POINT_TORN, "at the end: %s", brood_error());
        }
    }
    if (brood_heap_check() < 0 || brood_heap_stat(&after) < 0)
        point_fault(storm->report, POINT_TORN, "%s", brood_error());
    else if (after.blocks < before.blocks || after.blocks > before.blocks + may_lose)
        point_fault(storm->report, POINT_LOST, "%zu blocks too many at the end, and %u may have been lost",
                    after.blocks - before.blocks, may_lose);
    if (turns == 0)
        point_fault(storm->report, POINT_STUCK, "nothing was tried");
    if (storm->verbose)
        printf("  allocators%s: %u kills, %ld turns, %zu blocks lost of %u that may have been\n",
               exact ? ", into places" : "", crew.kills, turns, after.blocks - before.blocks, may_lose);
    for (int i = 0; i < MEMBERS; i++)
        brood_free(larders[i]);
}

static void storm_over_heap(struct storm *storm)
{
    if (brood_init(&(brood_init_options){ .limit = HEAP_LIMIT }) < 0) {
        point_fault(storm->report, POINT_TORN, "no family: %s", brood_error());
        return;
    }
    allocators_until(storm, point_us() + (storm->end - point_us()) / 2, false);
    allocators_until(storm, storm->end, true);
}

/* ---- a pool ---- */

/* In the region. */
struct board {
    _Atomic int runs[ITEMS];
    _Atomic int worker[PIDS], keeper; /* who lately ran an item; they may be gone */
    _Atomic unsigned next, kills, keeper_kills;
};

static struct board *board;

static int work(const void *in, void *out)
{
    int item = *(const int *)in;
    atomic_fetch_add(&board->runs[item], 1);
    atomic_store(&board->worker[atomic_fetch_add(&board->next, 1) % PIDS], getpid());
    atomic_store(&board->keeper, getppid());
    for (long long end = point_us() + item % 7 * 20; point_us() < end;)
        continue;
    *(int *)out = item * 3 + 1;
    return 0;
}

static int parent_of(int pid)
{
    char path[32], line[512];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    const char *name_end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (!name_end || sscanf(name_end, ") %*c %d", &parent) != 1)
        parent = 0;
    fclose(file);
    return parent;
}

/* The pid may be a stranger's by now: the pidfd holds on to whoever it is while his parent is looked at. */
bool storm_kill_child_of(int parent, int pid)
{
    int fd = pid > 0 && parent > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (fd < 0)
        return false;
    bool ours = parent_of(pid) == parent;
    bool killed = ours && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
    close(fd);
    return killed;
}

static void kill_in_pool(void *context)
{
    const struct storm *storm = context;
    int caller = getppid();
    storm_seed((unsigned long long)point_us());
    while (point_us() < storm->end) {
        storm_gap();
        storm_gap();
        int keeper = atomic_load(&board->keeper);
        if (storm_below(8) == 0)
            board->keeper_kills += storm_kill_child_of(caller, keeper);
        else
            board->kills += storm_kill_child_of(keeper, atomic_load(&board->worker[storm_below(PIDS)]));
    }
}

/* One item: whether it failed, as it may where there are no retries. */
static bool check_item(struct storm *storm, int item, const brood_end *end, int out, bool retried)
{
    int runs = atomic_load(&board->runs[item]);
    if (end->how == BROOD_RETURNED) {
        if (out != item * 3 + 1)
            point_fault(storm->report, POINT_TORN, "item %d returned %d", item, out);
        if (runs < 1 || (runs > 1 && !retried))
            point_fault(storm->report, POINT_DOUBLED, "item %d returned and ran %d times", item, runs);
        return false;
    }
    if (!(end->how == BROOD_CRASHED && end->signal == SIGKILL) && end->how != BROOD_LOST)
        point_fault(storm->report, POINT_TORN, "item %d: %d \"%s\"", item, (int)end->how, end->why);
    if (runs > 1 || out != -1)
        point_fault(storm->report, POINT_DOUBLED, "item %d failed, ran %d times and left %d", item, runs, out);
    return true;
}

static void map_once(struct storm *storm, brood_pool *pool, bool retried, long *failures)
{
    int in[ITEMS], out[ITEMS], seen = 0;
    unsigned kills = atomic_load(&board->kills), keeper_kills = atomic_load(&board->keeper_kills);
    brood_end ends[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        in[i] = i;
        out[i] = -1;
        atomic_store(&board->runs[i], 0);
    }
    brood_task_options options = { .chunk = storm_below(6), .retries = retried ? 1000 : 0, .ends = ends };
    int failed = brood_pool_map(pool, work, in, sizeof *in, out, sizeof *out, ITEMS, &options);
    if (failed < 0) {
        point_fault(storm->report, POINT_TORN, "map: %s", brood_error());
        return;
    }
    for (int i = 0; i < ITEMS; i++)
        seen += check_item(storm, i, &ends[i], out[i], retried);
    /* A keeper's death ends what all workers were at; one that was killed just before may be found out in this map. */
    unsigned most =
        atomic_load(&board->kills) - kills + (atomic_load(&board->keeper_kills) - keeper_kills + 1) * MEMBERS;
    if (seen != failed || (retried && failed) || (unsigned)failed > most)
        point_fault(storm->report, POINT_LOST, "map returned %d, %d items failed, %u may have", failed, seen, most);
    *failures += failed;
}

static void storm_over_pool(struct storm *storm)
{
    brood_heap_stats before, after;
    long maps = 0, failures = 0;
    if (brood_init(&(brood_init_options){ .limit = SMALL_LIMIT }) < 0 || !(board = brood_alloc(sizeof *board))) {
        point_fault(storm->report, POINT_TORN, "no family: %s", brood_error());
        return;
    }
    brood_heap_stat(&before);
    brood_pool *pool = brood_pool_create(MEMBERS, NULL);
    pid_t killer = point_child(kill_in_pool, storm);
    for (; point_us() < storm->end && pool; maps++)
        map_once(storm, pool, maps % 2, &failures);
    if (killer > 0)
        waitpid(killer, NULL, 0);
    if (pool)
        map_once(storm, pool, true, &failures);
    if (!pool || brood_pool_destroy(pool) < 0)
        point_fault(storm->report, POINT_TORN, "pool: %s", brood_error());
    /* What a dead keeper had prepared for a worker is freed when the family's table comes to its place again. */
    if (brood_heap_check() < 0 || brood_heap_stat(&after) < 0)
        point_fault(storm->report, POINT_TORN, "%s", brood_error());
    else if (after.blocks < before.blocks || after.blocks > before.blocks + board->keeper_kills)
        point_fault(storm->report, POINT_LOST, "%zu blocks before the pool, %zu after it and %u killed keepers",
                    before.blocks, after.blocks, board->keeper_kills);
    if (maps == 0 || board->kills == 0)
        point_fault(storm->report, POINT_STUCK, "%ld maps, %u kills: nothing was tried", maps, board->kills);
    if (storm->verbose)
        printf("  pool: %u workers and %u keepers killed, %ld maps, %ld items failed\n", board->kills,
               board->keeper_kills, maps, failures);
}

/* ---- all of them ---- */

/* Once; 0, or 1 if it could not be started. */
static unsigned run_once(void (*body)(struct storm *storm), struct storm *storm)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        step_follow();
        body(storm);
        fflush(stdout);
        _exit(0);
    }
    if (pid > 0)
        point_join(storm->report, pid, "the storm", (int)((storm->end - point_us()) / 1000) + GRACE_S * 1000);
    return pid <= 0;
}

/* One that has used up its numbers before the time is over begins anew. */
static unsigned run(const char *name, void (*body)(struct storm *storm), struct point *report, int ms, bool verbose)
{
    struct storm storm = { .report = report, .end = point_us() + ms * 1000LL, .verbose = verbose };
    unsigned faults = 0;
    memset(report, 0, sizeof *report);
    do {
        faults += run_once(body, &storm);
        for (int i = 0; i < POINT_KINDS; i++)
            faults += report->faults[i];
    } while (faults == 0 && point_us() < storm.end - AGAIN_US);
    if (faults)
        fprintf(stderr, "  storm over %s: %u faults (stuck %u, lost %u, torn %u, doubled %u), the first: %s\n", name,
                faults, report->faults[POINT_STUCK], report->faults[POINT_LOST], report->faults[POINT_TORN],
                report->faults[POINT_DOUBLED], report->why);
    return faults;
}

unsigned storm_run(int seconds, bool verbose)
{
    struct point *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return 1;
    storm_seed((unsigned long long)point_us());
    int ms = seconds * 1000 / 8;
    return run("locks", storm_over_locks, report, ms, verbose) + run("the heap", storm_over_heap, report, ms, verbose) +
           run("sync", storm_over_sync, report, ms, verbose) + run("queues", storm_over_queues, report, ms, verbose) +
           run("a stream", storm_over_stream, report, ms, verbose) +
           run("a pool", storm_over_pool, report, ms, verbose) + run("tasks", storm_over_tasks, report, ms, verbose) +
           run("a manager", storm_over_manager, report, ms, verbose);
}
