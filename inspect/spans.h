/* spans.h: what was seen of workers and waits, look after look, as spans of Chrome's trace event format.
 *
 * A worker that is at the same item in two looks was at it in between; one that is at another each time is busy, with
 * items that nobody saw the ends of: these looks become one span.
 */
#ifndef INSPECT_SPANS_H
#define INSPECT_SPANS_H

#include "json.h"
#include "sight.h"

#define SPANS_NAME 96

struct spans {
    struct json json;
    const struct window *window;
    struct seat_of *places; /* of the workers that were seen */
    size_t place_count;
    struct waiting *waits; /* that go on */
    size_t wait_count;
    struct known_name *names; /* of functions */
    size_t name_count;
    unsigned long count; /* of spans that were written */
    unsigned long marks; /* numbers given out */
    bool failed;         /* no memory: some are missing */
};

void spans_begin(struct spans *spans, FILE *out, const struct window *window);

/* A process has a name: told once. */
void spans_name(struct spans *spans, int pid, const char *name);

/* A look at one worker. */
void spans_worker(struct spans *spans, const struct seen_pool *pool, unsigned index, int64_t now);

/* A look at all waits. */
void spans_waits(struct spans *spans, const struct sight *sight, int64_t now);

/* A number that changes. */
void spans_counter(struct spans *spans, int pid, const char *name, const char *what, uint64_t number, int64_t now);

/* What goes on is cut there; the end of the text; and frees all. */
void spans_end(struct spans *spans, int64_t now);

#endif
