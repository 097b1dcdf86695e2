/* top.c: what families are at, anew and anew. */
#include "command.h"
#include "report.h"
#include "screen.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SCAN_CHEAP ((uint64_t)16 << 20) /* bytes of blocks that are looked through for locks each time */

/* A family as it was seen last. */
struct known {
    uint64_t inode, start;
    struct sight sight;
};

/* Of all families that are shown; `pid` 0: all that there are, else that one's, by its region once it is found. */
struct display {
    struct known *known;
    size_t count;
    int pid;
    uint64_t inode, start;
    bool json, failed;
};

static const struct known *known_of(const struct display *display, const struct family *family)
{
    for (size_t i = 0; i < display->count; i++)
        if (display->known[i].inode == family->inode && display->known[i].start == family->start)
            return &display->known[i];
    return NULL;
}

static void tell(FILE *out, const struct sight *sight, const struct sight *before)
{
    struct json json = { .out = out };
    const struct seen_process *first = first_of(sight);
    json_open(&json, NULL, '{');
    json_number(&json, "pid", first ? first->pid : 0);
    json_text(&json, "name", first ? first->name : "");
    json_number(&json, "at_ms", sight->at / 1000000);
    json_open(&json, "rates", '[');
    for (size_t i = 0; i < sight->pool_count; i++)
        for (unsigned k = 0; k < sight->pools[i].works; k++)
            json_number(&json, NULL, (int64_t)report_rate(sight, before, &sight->pools[i].work[k]));
    json_close(&json, ']');
    tell_pools(&json, sight);
    tell_queues(&json, sight);
    tell_locks(&json, sight);
    tell_heap(&json, &sight->heap);
    json_open(&json, "processes", '[');
    for (size_t i = 0; i < sight->process_count; i++)
        tell_process(&json, sight, &sight->processes[i]);
    json_close(&json, ']');
    json_close(&json, '}');
    putc('\n', out);
}

/* One family; what was seen is in `now`. */
static void look_at(struct display *display, const struct family *family, struct known *now, FILE *out)
{
    struct window window;
    char why[WINDOW_WHY];
    const struct known *then = known_of(display, family);
    const struct sight *before = then && then->sight.at ? &then->sight : NULL;
    enum sight_depth depth = !before || before->heap.used <= SCAN_CHEAP ? SIGHT_SCAN : SIGHT_OBJECTS;
    *now = (struct known){ .inode = family->inode, .start = family->start };
    if (!before)
        depth = SIGHT_OBJECTS; /* how much there is to scan is not known yet */
    if (!window_open(&window, family, why)) {
        fprintf(display->json ? stderr : out, "brood: %s\n", why);
        display->failed |= !window.is_new && !family_has_ended(family);
        return;
    }
    if (!sight_take(&now->sight, &window, family, depth))
        fprintf(display->json ? stderr : out, "brood: no memory\n");
    else if (display->json)
        tell(out, &now->sight, before);
    else
        report_print(out, &now->sight, before);
    window_close(&window);
}

static void forget(struct display *display)
{
    for (size_t i = 0; i < display->count; i++)
        sight_free(&display->known[i].sight);
    free(display->known);
    display->known = NULL;
    display->count = 0;
}

static bool is_wanted(struct display *display, const struct family *family)
{
    if (!display->pid)
        return true;
    if (!display->inode) {
        display->inode = family->inode;
        display->start = family->start;
    }
    return family->inode == display->inode && family->start == display->start;
}

/* How many families were there; -1: no memory. */
static int look(struct display *display, FILE *out)
{
    struct families families;
    families_find(&families, display->inode ? 0 : display->pid); /* until it is found: by any thread's id, too */
    display->failed |= families.failed != 0;
    struct known *known = calloc(families.count + 1, sizeof *known);
    size_t count = 0;
    for (size_t i = 0; known && i < families.count; i++)
        if (is_wanted(display, &families.all[i])) {
            if (count && !display->json)
                putc('\n', out);
            look_at(display, &families.all[i], &known[count++], out);
        }
    families_free(&families);
    forget(display);
    display->known = known;
    display->count = count;
    return known ? (int)count : -1;
}

/* Shows one look for a while. False: the reader wants to end, or nothing can be shown. */
static bool show(const struct request *request, const char *text, bool on_screen, bool last)
{
    if (on_screen)
        return screen_show(text, request->pause_ms);
    bool good = fputs(text, stdout) >= 0 && fflush(stdout) == 0;
    if (!last)
        nanosleep(&(struct timespec){ request->pause_ms / 1000, request->pause_ms % 1000 * 1000000 }, NULL);
    return good;
}

int command_top(const struct request *request)
{
    struct display display = { .pid = request->pid, .json = request->json };
    char why[WINDOW_WHY] = "";
    bool on_screen = false, goes_on = true, has_ended = false;
    for (int times = 1; goes_on; times++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        int count = out ? look(&display, out) : -1;
        if (count == 0 && request->pid && !display.inode)
            family_missing(request->pid, why, sizeof why);
        else if (count == 0 && request->pid && times == 1)
            snprintf(why, sizeof why, "the family of process %d has just ended", request->pid);
        else if (count == 0 && !request->json)
            fputs(request->pid ? "The family has ended.\n" : "There is no family here that you may look at.\n", out);
        has_ended = request->pid && count == 0;
        bool last = times == request->times || has_ended;
        if (!out || fclose(out) != 0 || count < 0)
            snprintf(why, sizeof why, "no memory");
        if (!why[0] && times == 1 && !request->json && !request->times)
            on_screen = screen_open();
        goes_on = !why[0] && show(request, text, on_screen, last) && !last;
        free(text);
        if (goes_on && !on_screen && !request->json)
            putchar('\n');
    }
    if (on_screen) {
        screen_close();
        if (has_ended)
            puts("The family has ended.");
    }
    forget(&display);
    return why[0] ? command_fail(why) : display.failed ? STATUS_FAILED : STATUS_FINE;
}
