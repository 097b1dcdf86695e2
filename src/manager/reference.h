/* manager/reference.h: references, in values, to objects of the server.
 *
 * An object lives as long as something needs it: a handle, a name, a reference in a value that the server keeps, or a
 * loan. A loan is a reference in an answer: whoever got it may ask for a handle by it, and until then nobody else need
 * keep the object. Loans are a client's; its next request but for a handle ends them, and so does its death.
 *
 * References make no cycle: what would close one is refused when it is to be stored, so that counting them is enough.
 *
 * There is one server a process, so values, which know nothing of it, come here to count.
 */
#ifndef MANAGER_REFERENCE_H
#define MANAGER_REFERENCE_H

#include "manager/datum.h"
#include "manager/objects.h"

struct client;
struct object;
struct parcel;

/* A value is kept that refers to it. False: it is gone, and not counted. And is kept no more. */
bool reference_take(uint64_t id);
void reference_drop(uint64_t id);

/* Who gets the answers from now on; NULL: nobody, and nothing is lent. Who did before. */
struct client *reference_answer_to(struct client *client);

/* What the item refers to, in an answer, is lent. False: no memory for that. */
bool reference_lend(const struct item *item);

/* How many loans it has; the first ones end. */
size_t reference_loans(const struct client *client);
void reference_end_loans(struct client *client, size_t count);

#define REFERENCE_WALK 1000000 /* values that are looked at before something is stored: some 10 ms */

/* Whether all that the item refers to is there, and may be stored in `keeper` (NULL: it is to be stored nowhere): 0;
 * -EINVAL or -ELOOP, with a sentence. To see the latter it looks at `most` values, and no more. */
int reference_check(const struct object *keeper, const struct item *item, size_t most, struct parcel *reply);

/* Visits each reference that the object has, and looks at no more than so many of its values. */
typedef void reference_visit(void *context, uint64_t id);
void reference_each(const struct object *object, size_t *values, reference_visit *visit, void *context);

/* The number of a new walk over objects, for object.walk. */
uint64_t reference_walk(void);

#endif
