/* ps.c: families and their processes. */
#include "command.h"
#include "words.h"

#include <inttypes.h>
#include <string.h>

const struct seen_process *first_of(const struct sight *sight)
{
    const struct seen_process *first = NULL;
    for (size_t i = 0; i < sight->process_count; i++) {
        const struct seen_process *process = &sight->processes[i];
        if (process->is_member && process->state && process->starter == 0)
            return process;
        if (!first && process->state)
            first = process;
    }
    return first;
}

void say_wait(const struct sight *sight, const struct seen_wait *wait, char *text, size_t size)
{
    char time[WORDS_SIZE], holder[96] = "";
    if (wait->holder)
        snprintf(holder, sizeof holder, ", held by '%s' (%d)", sight_name(sight, wait->holder), wait->holder);
    snprintf(text, size, "%s%s, for %s", wait->what, holder, words_time(time, wait->waited_ms));
}

/* What its threads wait for: the first, and how many more. */
static void say_waits(const struct sight *sight, int pid, char *text, size_t size)
{
    unsigned more = 0;
    text[0] = 0;
    for (size_t i = 0; i < sight->wait_count; i++) {
        if (sight->waits[i].pid != pid)
            continue;
        if (text[0])
            more++;
        else
            say_wait(sight, &sight->waits[i], text, size);
    }
    size_t length = strlen(text);
    if (more)
        snprintf(text + length, size - length, " (and %u more threads wait)", more);
}

static void print_process(const struct sight *sight, const struct seen_process *process)
{
    char age[WORDS_SIZE], cpu[WORDS_SIZE], resident[WORDS_SIZE], own[WORDS_SIZE], waits[320];
    say_waits(sight, process->pid, waits, sizeof waits);
    printf("%7d  %-20.31s  %-13s  %8s  %8s  %8s  %8s  %s\n", process->pid, process->name, words_state(process->state),
           words_time(age, process->age_ms), words_time(cpu, process->cpu_ms),
           words_bytes(resident, (uint64_t)process->resident), words_bytes(own, (uint64_t)process->own),
           !process->is_member ? "(has not called brood yet)" : waits);
}

static void print_family(const struct sight *sight, const struct window *window)
{
    char size[WORDS_SIZE];
    const struct seen_process *first = first_of(sight);
    if (sight->has_ended || !first) {
        printf("family: it has just ended\n");
        return;
    }
    printf("family of '%s' (%d): %zu process%s, a region of %s, brood %s\n", first->name, first->pid,
           sight->process_count, sight->process_count == 1 ? "" : "es", words_bytes(size, window->size),
           window->head.version);
    printf("%7s  %-20s  %-13s  %8s  %8s  %8s  %8s  %s\n", "PID", "NAME", "STATE", "AGE", "CPU", "RESIDENT", "OWN",
           "WAITS FOR");
    for (size_t i = 0; i < sight->process_count; i++)
        print_process(sight, &sight->processes[i]);
}

static void tell_family(struct json *json, const struct sight *sight, const struct window *window)
{
    const struct seen_process *first = first_of(sight);
    json_open(json, NULL, '{');
    json_number(json, "pid", first ? first->pid : 0);
    json_text(json, "name", first ? first->name : "");
    json_text(json, "version", window->head.version);
    json_number(json, "region", (int64_t)window->size);
    json_bool(json, "ended", sight->has_ended);
    json_open(json, "processes", '[');
    for (size_t i = 0; i < sight->process_count; i++)
        tell_process(json, sight, &sight->processes[i]);
    json_close(json, ']');
    json_close(json, '}');
}

/* STATUS_FINE, or STATUS_FAILED: it cannot be looked at, and that was said. Of many, one may begin or end meanwhile. */
static int show(const struct family *family, struct json *json, bool again, bool alone)
{
    struct window window;
    struct sight sight;
    char why[WINDOW_WHY];
    if (!window_open(&window, family, why))
        return alone || !(window.is_new || family_has_ended(family)) ? command_fail(why) : STATUS_FINE;
    if (!sight_take(&sight, &window, family, SIGHT_PROCESSES)) {
        window_close(&window);
        return command_fail("no memory");
    }
    if (json) {
        tell_family(json, &sight, &window);
    } else {
        printf("%s", again ? "\n" : "");
        print_family(&sight, &window);
    }
    sight_free(&sight);
    window_close(&window);
    return STATUS_FINE;
}

int command_ps(const struct request *request)
{
    struct families families;
    struct json json = { .out = stdout };
    char why[WINDOW_WHY];
    int status = STATUS_FINE;
    families_find(&families, request->pid);
    if (request->pid && families.count == 0) {
        family_missing(request->pid, why, sizeof why);
        return command_fail(why);
    }
    if (request->json)
        json_open(&json, NULL, '[');
    for (size_t i = 0; i < families.count; i++)
        if (show(&families.all[i], request->json ? &json : NULL, i > 0, request->pid != 0) == STATUS_FAILED)
            status = STATUS_FAILED;
    if (request->json) {
        json_close(&json, ']');
        putchar('\n');
    } else if (families.count == 0 && !families.failed) {
        puts("There is no family here that you may look at. Other users' are root's to see.");
    }
    if (families.failed) {
        snprintf(why, sizeof why, "not all families could be found: %s", strerror(families.failed));
        status = command_fail(why);
    }
    families_free(&families);
    return status;
}
