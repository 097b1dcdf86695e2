/* spans.c */
#include "spans.h"

#include "pool/function.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A worker's place, and the span that it is in. */
struct seat_of {
    const void *pool;
    unsigned index;
    int pid;
    struct seen_task at; /* `work` NULL: it is in none */
    char name[SPANS_NAME];
    int64_t begin, seen; /* of the span; when it was first seen at `at` */
    int64_t last;        /* when it was looked at last */
    uint64_t first;      /* busy: its first item */
    bool busy, again;    /* it was at more than one; it was seen twice at `at` */
};

struct waiting {
    struct seen_wait wait;
    unsigned long mark;
    bool there;
};

struct known_name {
    const void *function;
    char text[SPANS_NAME];
};

/* ---- writing ---- */

/* An event up to its arguments. */
static void open_event(struct spans *spans, const char *name, const char *kind, const char *phase, int pid, int tid,
                       int64_t at)
{
    struct json *json = &spans->json;
    fputs(spans->json.follows ? ",\n" : "", json->out);
    json->follows = false;
    json_open(json, NULL, '{');
    json_text(json, "name", name);
    json_text(json, "cat", kind);
    json_text(json, "ph", phase);
    json_number(json, "pid", pid);
    json_number(json, "tid", tid);
    if (at)
        json_number(json, "ts", at / 1000);
}

static void open_arguments(struct spans *spans)
{
    json_open(&spans->json, "args", '{');
}

static void close_event(struct spans *spans)
{
    json_close(&spans->json, '}');
    json_close(&spans->json, '}');
}

void spans_name(struct spans *spans, int pid, const char *name)
{
    open_event(spans, "process_name", "", "M", pid, pid, 0);
    open_arguments(spans);
    json_text(&spans->json, "name", name[0] ? name : "?");
    close_event(spans);
}

void spans_counter(struct spans *spans, int pid, const char *name, const char *what, uint64_t number, int64_t now)
{
    open_event(spans, name, "depth", "C", pid, pid, now);
    open_arguments(spans);
    json_number(&spans->json, what, number < INT64_MAX ? (int64_t)number : INT64_MAX);
    close_event(spans);
}

void spans_begin(struct spans *spans, FILE *out, const struct window *window)
{
    *spans = (struct spans){ .json.out = out, .window = window };
    fputs("[\n", out);
    fflush(out);
}

/* ---- names ---- */

/* From the program's or the library's own file. The library's path is what the family says it is, and this may be root:
 * to open a device or a fifo does something, so it is a plain file before it is opened. */
static void read_symbol(const struct module_function *name, int pid, char symbol[static SYMBOL_SIZE])
{
    char path[64];
    struct stat file;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    int place = open(name->kind == MODULE_PROGRAM ? path : name->path, O_PATH | O_CLOEXEC), fd = -1;
    symbol[0] = 0;
    if (place < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", place);
    if (fstat(place, &file) == 0 && S_ISREG(file.st_mode))
        fd = open(path, O_RDONLY | O_CLOEXEC);
    close(place);
    if (fd < 0)
        return;
    symbol_read(fd, name->offset, symbol);
    close(fd);
}

static void find_name(const struct spans *spans, const struct seen_task *task, char text[static SPANS_NAME])
{
    struct function function;
    char symbol[SYMBOL_SIZE];
    snprintf(text, SPANS_NAME, "task");
    if (!window_read(spans->window, task->function, &function, sizeof function))
        return;
    function.name.path[MODULE_PATH_MAX - 1] = 0;
    window_clean(symbol, sizeof symbol, function.symbol, sizeof function.symbol);
    if (!symbol[0])
        read_symbol(&function.name, task->pid, symbol);
    if (symbol[0])
        snprintf(text, SPANS_NAME, "%s", symbol);
    else
        module_describe(&function.name, text, SPANS_NAME);
}

static const char *name_of(struct spans *spans, const struct seen_task *task)
{
    for (size_t i = 0; i < spans->name_count; i++)
        if (spans->names[i].function == task->function)
            return spans->names[i].text;
    struct known_name *all = sight_grow(spans->names, spans->name_count, sizeof *all);
    if (!all) {
        spans->failed = true;
        return "task";
    }
    spans->names = all;
    all[spans->name_count].function = task->function;
    find_name(spans, task, all[spans->name_count].text);
    return all[spans->name_count++].text;
}

#define GAP_NS INT64_C(4000000) /* without a look: what was between is not known */

/* ---- workers ---- */

static struct seat_of *place_of(struct spans *spans, const struct seen_pool *pool, unsigned index)
{
    for (size_t i = 0; i < spans->place_count; i++)
        if (spans->places[i].pool == pool->object && spans->places[i].index == index)
            return &spans->places[i];
    struct seat_of *all = sight_grow(spans->places, spans->place_count, sizeof *all);
    if (!all) {
        spans->failed = true;
        return NULL;
    }
    spans->places = all;
    all[spans->place_count] = (struct seat_of){ .pool = pool->object, .index = index };
    return &all[spans->place_count++];
}

static void write_span(struct spans *spans, const struct seat_of *place, int64_t now, const char *why)
{
    int64_t end = now - place->last > GAP_NS && place->last ? place->last : now;
    char name[SPANS_NAME + 8];
    int64_t length = end > place->begin ? end - place->begin : 0;
    snprintf(name, sizeof name, "%s%s", place->busy ? "busy: " : "", place->name);
    open_event(spans, name, place->busy ? "busy" : "task", "X", place->pid, place->pid, place->begin);
    json_number(&spans->json, "dur", length / 1000);
    open_arguments(spans);
    if (place->busy) {
        json_number(&spans->json, "from", (int64_t)place->first);
        json_number(&spans->json, "to", (int64_t)place->at.item);
    } else {
        json_number(&spans->json, "index", (int64_t)place->at.item);
    }
    if (why)
        json_text(&spans->json, "end", why);
    close_event(spans);
    spans->count++;
}

static void open_span(struct spans *spans, struct seat_of *place, const struct seen_task *task, int64_t now)
{
    int64_t before = place->last;
    place->at = *task;
    place->busy = place->again = false;
    place->first = task->item;
    place->seen = now;
    place->begin = task->began > before && task->began <= now ? task->began : now;
    snprintf(place->name, sizeof place->name, "%s", name_of(spans, task));
}

/* It is at another item than in the look before, of the same map, or of calls. */
static void go_on(struct spans *spans, struct seat_of *place, const struct seen_task *task, int64_t now)
{
    bool alike = place->at.function == task->function && place->at.is_map == task->is_map &&
                 (!task->is_map || place->at.work == task->work);
    if (place->again || !alike) {
        write_span(spans, place, now, NULL);
        open_span(spans, place, task, now);
    } else {
        place->busy = true;
        place->at = *task;
        place->seen = now;
    }
}

/* It is at the same: if it was busy before, that ended when this was seen first. */
static void stay(struct spans *spans, struct seat_of *place)
{
    if (place->busy) {
        place->last = place->seen;
        write_span(spans, place, place->seen, NULL);
        place->begin = place->seen;
        place->first = place->at.item;
        place->busy = false;
    }
    place->again = true;
}

static void meet(struct spans *spans, struct seat_of *place, const struct seen_pool *pool, int pid, int64_t now)
{
    char name[SIGHT_NAME + 16];
    bool replaced = place->pid != 0;
    place->pid = pid;
    snprintf(name, sizeof name, "%s %u", pool->name, place->index);
    spans_name(spans, pid, name);
    if (!replaced)
        return;
    open_event(spans, "worker replaced", "pool", "i", pid, pid, now);
    json_text(&spans->json, "s", "p");
    open_arguments(spans);
    close_event(spans);
}

void spans_worker(struct spans *spans, const struct seen_pool *pool, unsigned index, int64_t now)
{
    struct seen_task task;
    struct seat_of *place = place_of(spans, pool, index);
    if (!place || !sight_task(spans->window, pool, index, &task))
        return;
    if (place->at.work && task.pid != place->pid) {
        write_span(spans, place, now, "its worker ended");
        place->at.work = NULL;
    }
    if (task.pid && task.pid != place->pid)
        meet(spans, place, pool, task.pid, now);
    if (!place->at.work && task.work) {
        open_span(spans, place, &task, now);
    } else if (place->at.work && !task.work) {
        write_span(spans, place, now, NULL);
        place->at.work = NULL;
    } else if (task.work && (task.work != place->at.work || task.item != place->at.item)) {
        go_on(spans, place, &task, now);
    } else if (task.work) {
        stay(spans, place);
    }
    place->last = now;
}

/* ---- waits ---- */

/* Both ends at once; the number says which belong together, for they may overlap others. */
static void write_range(struct spans *spans, const char *name, const char *kind, int pid, int tid, int64_t begin,
                        int64_t end)
{
    spans->marks++;
    for (int i = 0; i < 2; i++) {
        open_event(spans, name, kind, i ? "e" : "b", pid, tid, i ? end : begin);
        json_number(&spans->json, "id", (int64_t)spans->marks);
        open_arguments(spans);
        close_event(spans);
    }
    spans->count++;
}

static void write_wait(struct spans *spans, const struct seen_wait *wait, int64_t end)
{
    char name[SIGHT_WHAT + 16];
    snprintf(name, sizeof name, "waits for %s", wait->what);
    write_range(spans, name, "wait", wait->pid, wait->tid, wait->since, end);
    snprintf(name, sizeof name, "holds %s", wait->what);
    if (wait->holder)
        write_range(spans, name, "hold", wait->holder, wait->holder_tid, wait->since, end);
}

static bool is_same(const struct seen_wait *one, const struct seen_wait *other)
{
    return one->pid == other->pid && one->tid == other->tid && one->object == other->object &&
           one->since == other->since && one->holder_tid == other->holder_tid;
}

static void add_wait(struct spans *spans, const struct seen_wait *wait)
{
    for (size_t i = 0; i < spans->wait_count; i++)
        if (is_same(&spans->waits[i].wait, wait)) {
            spans->waits[i].there = true;
            return;
        }
    struct waiting *all = sight_grow(spans->waits, spans->wait_count, sizeof *all);
    if (!all) {
        spans->failed = true;
        return;
    }
    spans->waits = all;
    all[spans->wait_count++] = (struct waiting){ .wait = *wait, .there = true };
}

void spans_waits(struct spans *spans, const struct sight *sight, int64_t now)
{
    size_t kept = 0;
    for (size_t i = 0; i < spans->wait_count; i++)
        spans->waits[i].there = false;
    for (size_t i = 0; i < sight->wait_count; i++)
        add_wait(spans, &sight->waits[i]);
    size_t room = spans->wait_count; /* of the array, as sight_grow knows it: it only becomes less */
    for (size_t i = 0; i < room; i++) {
        if (spans->waits[i].there)
            spans->waits[kept++] = spans->waits[i];
        else
            write_wait(spans, &spans->waits[i].wait, now);
    }
    spans->wait_count = kept;
}

void spans_end(struct spans *spans, int64_t now)
{
    for (size_t i = 0; i < spans->place_count; i++)
        if (spans->places[i].at.work)
            write_span(spans, &spans->places[i], now, "goes on");
    for (size_t i = 0; i < spans->wait_count; i++)
        write_wait(spans, &spans->waits[i].wait, now);
    fputs("\n]\n", spans->json.out);
    free(spans->places);
    free(spans->waits);
    free(spans->names);
}
