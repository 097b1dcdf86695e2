/* pool/trace_line.c: events as JSON objects of Chrome's trace event format. */
#include "os/module.h"
#include "pool/function.h"
#include "pool/pool.h"
#include "pool/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_SIZE 160

/* Spans are written for every task: by hand, at a fifth of what printf(3) takes. Each returns where the text ends. */
static char *put(char *at, const char *text)
{
    while (*text)
        *at++ = *text++;
    return at;
}

static char *put_number(char *at, uint64_t number)
{
    char digits[20];
    int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

/* Microseconds, as the format wants them. */
static char *put_time(char *at, int64_t ns)
{
    uint64_t time = ns > 0 ? (uint64_t)ns : 0, part = time % 1000;
    at = put_number(at, time / 1000);
    *at++ = '.';
    *at++ = (char)('0' + part / 100);
    *at++ = (char)('0' + part / 10 % 10);
    *at++ = (char)('0' + part % 10);
    return at;
}

/* What needs an escape, or is no ASCII, goes out as '?'. */
static const char *clean(char *name)
{
    for (char *at = name; *at; at++)
        if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\')
            *at = '?';
    return name;
}

/* A task's name is in a struct function. */
static const char *name_of(const struct module_function *task, char name[static NAME_SIZE])
{
    const struct function *function = (const struct function *)(const void *)task;
    if (!task)
        *put(name, "item") = 0;
    else if (function->symbol[0])
        *put(name, function->symbol) = 0;
    else
        module_describe(task, name, NAME_SIZE);
    return clean(name);
}

static char *put_how(char *at, const struct trace_event *event)
{
    const char *how = brood_how_name((brood_how)event->how);
    const char *signal = event->signal ? brood_signal_name(event->signal) : NULL;
    at = put(put(put(at, "\"how\":\""), how ? how : "?"), "\"");
    if (event->signal)
        at = put(put(put(at, ",\"signal\":\""), signal ? signal : "?"), "\"");
    else if (event->code)
        at += sprintf(at, ",\"code\":%d", event->code);
    return at;
}

static char *put_place(char *at, int32_t pid, int32_t tid)
{
    at = put_number(put(at, ",\"pid\":"), (uint64_t)pid);
    return put(put_number(put(at, ",\"tid\":"), (uint64_t)tid), ",\"args\":{");
}

static char *put_span(char *at, const struct trace_event *event)
{
    char name[NAME_SIZE];
    at = put(put(at, "{\"name\":\""), name_of(event->task, name));
    at = put(put(at, "\",\"cat\":\""), event->kind == TRACE_NESTED ? "nested" : "task");
    at = put_time(put(at, "\",\"ph\":\"X\",\"ts\":"), event->begin);
    at = put_time(put(at, ",\"dur\":"), event->end - event->begin);
    at = put_number(put(put_place(at, event->pid, event->pid), "\"index\":"), event->index);
    return put(put_how(put(at, ","), event), "}}");
}

/* Maps of one thread may overlap, so each has a number instead of a depth. */
static char *put_map(char *at, const struct trace_event *event)
{
    char name[NAME_SIZE];
    bool begins = event->kind == TRACE_MAP_BEGIN;
    at = put(put(at, "{\"name\":\"map of "), name_of(event->task, name));
    at = put(put(at, "\",\"cat\":\"map\",\"ph\":\""), begins ? "b" : "e");
    at = put_number(put(at, "\",\"id\":"), event->index);
    at = put_place(put_time(put(at, ",\"ts\":"), event->begin), event->pid, event->tid);
    if (begins)
        return put(put_number(put(at, "\"items\":"), event->count), "}}");
    return at + sprintf(at, "\"result\":%d}}", event->code);
}

static char *put_instant(char *at, const struct trace_event *event, const char *name)
{
    at = put(put(put(at, "{\"name\":\""), name), "\",\"cat\":\"pool\",\"ph\":\"i\",\"s\":\"p\",\"ts\":");
    return put_place(put_time(at, event->begin), event->pid, event->pid);
}

/* The process gets a name, and it is told that it began. */
static char *put_birth(char *at, const struct trace_event *event, const char *pool)
{
    char name[NAME_SIZE];
    const char *what = event->kind == TRACE_CREATOR  ? "created"
                       : event->kind == TRACE_KEEPER ? "keeper started"
                                                     : "worker started";
    if (event->kind == TRACE_WORKER)
        snprintf(name, sizeof name, "%.31s %" PRIu64, pool, event->index);
    else
        snprintf(name, sizeof name, "%.31s %s", pool, event->kind == TRACE_KEEPER ? "keeper" : "caller");
    at = put_place(put(at, "{\"name\":\"process_name\",\"ph\":\"M\""), event->pid, event->pid);
    at = put(put(put(at, "\"name\":\""), clean(name)), "\"}},\n");
    return put(put_instant(at, event, what), "}}");
}

static char *put_event(char *at, const struct brood_pool *pool, const struct trace_event *event)
{
    switch ((enum trace_kind)event->kind) {
    case TRACE_TASK:
    case TRACE_NESTED:
        return put_span(at, event);
    case TRACE_MAP_BEGIN:
    case TRACE_MAP_END:
        return put_map(at, event);
    case TRACE_CREATOR:
    case TRACE_WORKER:
    case TRACE_KEEPER:
        return put_birth(at, event, pool->name);
    case TRACE_DIED:
        at = put_instant(at, event, event->how == BROOD_RETURNED ? "worker left" : "worker died");
        return put(put_how(at, event), "}}");
    case TRACE_RESIZED:
        at = put_instant(at, event, "resized");
        return put(put_number(put(at, "\"workers\":"), event->index), "}}");
    case TRACE_LOST:
        break;
    }
    at = put_instant(at, event, "events lost");
    return put(put_number(put(at, "\"events\":"), event->index), "}}");
}

int trace_line(const struct brood_pool *pool, const struct trace_event *event, char *text)
{
    return (int)(put_event(text, pool, event) - text);
}
