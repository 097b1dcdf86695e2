/* manager/reply.h: what the server writes into a reply.
 */
#ifndef MANAGER_REPLY_H
#define MANAGER_REPLY_H

#include "manager/channel.h"
#include "manager/mapping.h"

/* Bytes that an answer may have; SIZE_MAX until there is a limit. What was taken in one message fits into one. */
extern size_t reply_most;

/* Why not, as a sentence; `failed`, or what it is below 0. */
int reply_fail(struct parcel *reply, int failed, const char *sentence, ...) __attribute__((format(printf, 3, 4)));

/* The value, and what it refers to is lent; `result`, or -ENOMEM. Of these and those below also -EMSGSIZE, with a
 * sentence. */
int reply_item(struct parcel *reply, int result, const struct item *item);
int reply_datum(struct parcel *reply, int result, const struct datum *datum);

/* A list (or with both: a map) of the mapping's keys, or of its values. */
int reply_mapping(struct parcel *reply, const struct mapping *mapping, bool keys, bool values);

/* A list of so many. */
int reply_data(struct parcel *reply, const struct datum *data, size_t count);

/* Adds the amount to the number, and replies with the sum; or says why not. */
int reply_sum(struct parcel *reply, struct datum *number, const struct item *amount);

/* What replies are made of: a value whose bytes may lie elsewhere. What does not fit is only counted. */
void write_item(struct out *out, const struct item *item);

/* "an int", "nil": for sentences. */
const char *item_is_what(const struct item *item);

#endif
