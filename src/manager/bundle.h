/* manager/bundle.h: the calls of a batch (brood/batch.h), which come in one request and are answered in one reply.
 *
 * Each call is a list, [operation, object, argument...], with the operation by its name, and is answered by a list,
 * [result, value], as a message would be. One after the other is done, also after one that failed; how one fares is
 * told in the reply's list, and that list's result is 0.
 */
#ifndef MANAGER_BUNDLE_H
#define MANAGER_BUNDLE_H

#include "manager/objects.h"

/* Counts the calls that it does. 0, or -errno with a sentence: those before that which could not be read are done. */
int bundle_call(struct objects *objects, struct client *client, struct cursor *calls, unsigned count,
                struct parcel *reply, uint64_t *done);

#endif
