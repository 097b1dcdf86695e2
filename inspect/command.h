/* command.h: the tool's commands, and what they share. */
#ifndef INSPECT_COMMAND_H
#define INSPECT_COMMAND_H

#include "json.h"
#include "sight.h"

/* What a command was asked for. */
struct request {
    int pid; /* 0: all families */
    bool json;
    int64_t pause_ms;   /* between looks */
    int times;          /* 0: until it is interrupted */
    const char *output; /* a file; NULL: standard output */
};

/* Exit statuses: of doctor, as of grep(1). */
enum { STATUS_FINE = 0, STATUS_FOUND = 1, STATUS_FAILED = 2 };

int command_ps(const struct request *request);
int command_doctor(const struct request *request);
int command_top(const struct request *request);
int command_trace(const struct request *request);

/* Parts of the JSON that several commands write. */
void tell_process(struct json *json, const struct sight *sight, const struct seen_process *process);
void tell_waits(struct json *json, const struct sight *sight);
void tell_heap(struct json *json, const struct seen_heap *heap);
void tell_queues(struct json *json, const struct sight *sight);
void tell_pools(struct json *json, const struct sight *sight);
void tell_locks(struct json *json, const struct sight *sight);

/* The family's first process: its founder, if that is there. */
const struct seen_process *first_of(const struct sight *sight);

/* "lock 'jobs', held by 'writer' (4122), for 2.1 s". */
void say_wait(const struct sight *sight, const struct seen_wait *wait, char *text, size_t size);

/* Says on standard error why there is nothing to see; STATUS_FAILED. */
int command_fail(const char *why);

#endif
