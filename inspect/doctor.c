/* doctor.c: who waits for whom, and what is wrong. */
#include "command.h"
#include "diagnosis.h"
#include "os/clock.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_NS 20000000 /* between looks at who works in a pool */

/* Two looks, and what happened between. */
struct visit {
    struct window window;
    struct sight before, after;
    unsigned *replaced; /* of each pool of the first look */
};

static void count_replaced(struct visit *visit, int64_t until)
{
    for (int64_t now; (now = clock_now()) < until;) {
        int64_t pause = until - now < LOOK_NS ? until - now : LOOK_NS;
        nanosleep(&(struct timespec){ .tv_sec = 0, .tv_nsec = (long)pause }, NULL);
        for (size_t i = 0; i < visit->before.pool_count; i++)
            visit->replaced[i] += sight_replaced(&visit->window, &visit->before.pools[i]);
    }
}

/* The family, looked for anew: it has other processes by now, and the one through which it was seen may be gone. */
static int look_again(struct visit *visit, const struct family *family)
{
    struct families families;
    struct family now = { .inode = family->inode, .start = family->start, .end = family->end };
    char why[WINDOW_WHY], table;
    int status = STATUS_FINE;
    families_find(&families, 0);
    for (size_t i = 0; i < families.count; i++)
        if (families.all[i].inode == family->inode && families.all[i].start == family->start)
            now = families.all[i];
    window_close(&visit->window);
    if (now.count == 0)
        status = command_fail("the family ended while it was looked at");
    else if (!window_open(&visit->window, &now, why))
        status = command_fail(why);
    else if (!sight_take(&visit->after, &visit->window, &now, SIGHT_SCAN))
        status = command_fail("no memory");
    else if (!window_read(&visit->window, visit->window.head.table, &table, sizeof table))
        status = command_fail("the process through which the family was seen ended meanwhile: try again");
    families_free(&families);
    return status;
}

static int take_looks(struct visit *visit, const struct family *family, int64_t pause_ms)
{
    if (!sight_take(&visit->before, &visit->window, family, SIGHT_SCAN) ||
        !(visit->replaced = calloc(visit->before.pool_count + 1, sizeof *visit->replaced)))
        return command_fail("no memory");
    count_replaced(visit, clock_now() + pause_ms * 1000000);
    return look_again(visit, family);
}

static void print(const struct visit *visit, const struct diagnosis *diagnosis)
{
    char text[320], time[WORDS_SIZE];
    const struct sight *sight = &visit->after;
    const struct seen_process *first = first_of(sight);
    printf("family of '%s' (%d): processes: %zu, pools: %zu, queues: %zu; looked at twice, %s apart\n",
           first ? first->name : "?", first ? first->pid : 0, sight->process_count, sight->pool_count,
           sight->queue_count, words_time(time, (sight->at - visit->before.at) / 1000000));
    for (size_t i = 0; i < sight->wait_count; i++) {
        const struct seen_wait *wait = &sight->waits[i];
        say_wait(sight, wait, text, sizeof text);
        printf("  '%s' (%d) waits for %s\n", wait->process, wait->pid, text);
    }
    for (size_t i = 0; i < diagnosis->count; i++)
        printf("\n%s\n  Advice: %s\n", diagnosis->all[i].what, diagnosis->all[i].advice);
    if (diagnosis->count == 0)
        puts("Nothing wrong was found.");
    if (sight->heap.overlooked)
        puts("Not all of the heap was looked through: there may be more queues, pools and locks.");
}

static void tell(const struct visit *visit, const struct diagnosis *diagnosis)
{
    struct json json = { .out = stdout };
    const struct seen_process *first = first_of(&visit->after);
    json_open(&json, NULL, '{');
    json_number(&json, "pid", first ? first->pid : 0);
    json_text(&json, "name", first ? first->name : "");
    json_number(&json, "looked_ms", (visit->after.at - visit->before.at) / 1000000);
    json_open(&json, "findings", '[');
    for (size_t i = 0; i < diagnosis->count; i++) {
        json_open(&json, NULL, '{');
        json_text(&json, "kind", diagnosis->all[i].kind);
        json_text(&json, "what", diagnosis->all[i].what);
        json_text(&json, "advice", diagnosis->all[i].advice);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    tell_waits(&json, &visit->after);
    tell_locks(&json, &visit->after);
    tell_queues(&json, &visit->after);
    tell_pools(&json, &visit->after);
    tell_heap(&json, &visit->after.heap);
    json_close(&json, '}');
    putchar('\n');
}

static int examine(struct visit *visit, const struct family *family, const struct request *request)
{
    struct diagnosis diagnosis;
    if (take_looks(visit, family, request->pause_ms) != STATUS_FINE)
        return STATUS_FAILED;
    if (visit->after.has_ended)
        return command_fail("the family ended while it was looked at");
    diagnose(&diagnosis, &visit->before, &visit->after, visit->replaced);
    if (request->json)
        tell(visit, &diagnosis);
    else
        print(visit, &diagnosis);
    int status = diagnosis.failed  ? command_fail("no memory: some findings are missing")
                 : diagnosis.count ? STATUS_FOUND
                                   : STATUS_FINE;
    free(diagnosis.all);
    return status;
}

int command_doctor(const struct request *request)
{
    struct families families;
    struct visit visit = { 0 };
    char why[WINDOW_WHY];
    if (!request->pid)
        return command_fail("doctor: the id of a process must be given (brood ps lists them)");
    families_find(&families, request->pid);
    int status = STATUS_FAILED;
    if (families.count == 0) {
        family_missing(request->pid, why, sizeof why);
        command_fail(why);
    } else if (!window_open(&visit.window, &families.all[0], why)) {
        command_fail(why);
    } else {
        status = examine(&visit, &families.all[0], request);
        sight_free(&visit.before);
        sight_free(&visit.after);
        free(visit.replaced);
        window_close(&visit.window);
    }
    families_free(&families);
    return status;
}
