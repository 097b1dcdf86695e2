/* manager/claimant.h: a client as objects see it that others wait at: what it waits for, and what it holds.
 *
 * A thread waits for one thing at a time, so the claimant is its own place in a line. Lines are fair: first come, first
 * served. What it holds of an object (a lock, units of a semaphore, items that it has got) is a hold, which hangs from
 * both. What its last call gave it is fresh until it has said that it took it: if it dies before, or asks for something
 * else without having said so, the object gets that back as if it had never been given. (Of one behind a line that was
 * cut nobody knows: then it is as one that died with it, but for what is lost by such a death.)
 *
 * All of it is private memory of the server, and goes with the client.
 */
#ifndef MANAGER_CLAIMANT_H
#define MANAGER_CLAIMANT_H

#include "manager/belt.h"
#include "manager/server.h"

struct object;

/* next: of the same claimant; next_of_object: of the same object. count: how often, or how many; of a queue: those
 * messages, the oldest first. */
struct hold {
    struct claimant *claimant;
    struct object *object;
    struct hold *next, *next_of_object;
    uint64_t count;
    struct belt lent;
};

/* How units of a hold end. DONE: passing ones, of which the claimant had its use. UNTAKEN: it has never had them.
 * UNSURE: it is gone, and may have had them, or not. DIED: it had them, and is gone. */
enum hold_end { HOLD_DONE, HOLD_UNTAKEN, HOLD_UNSURE, HOLD_DIED };

struct line {
    struct claimant *first, *last;
    size_t count;
};

/* object: which it waits at, in `line`; NULL: it does not wait. What it waits for is the object's to say and to read:
 * message: to be put there; count: how much it wants; again: it is to get back what it had; notified: another's notify
 * has brought it into this line.
 * spare: a hold for what it may get, so that nothing fails when its turn has come. fresh: of which hold it has `given`
 * since its last request, of that number; told: with news of a holder that had died. passing: it does
 * not hold that any more when it asks for something else.
 * loans: the objects that its last answers refer to (manager/reference.h). */
struct claimant {
    struct client *client;
    struct object *object;
    struct line *line;
    struct claimant *before, *behind;
    struct message *message;
    uint64_t count;
    bool again, notified;
    struct hold *holds, *spare, *fresh;
    uint64_t given;
    uint32_t number;
    bool told, passing;
    uint64_t *loans;
    size_t loan_count, loan_room;
};

/* How many stand in some line. One server a process. */
extern size_t claimants_waiting;

/* The client's; NULL: it has none, or there is no memory for one. */
struct claimant *claimant_of(struct client *client, bool may_make);

/* A new request of its: what the last one gave it is its own, or is given back. */
void claimant_settle(struct claimant *claimant);

/* It is gone: it leaves its line, what it holds is given back, and it is no more. */
void claimant_end(struct claimant *claimant);

/* At the end of the line, or out of it again, wherever it stands. */
void claimant_join(struct claimant *claimant, struct object *object, struct line *line);
void claimant_leave(struct claimant *claimant);

/* Out of the line, with an answer; or one that says why not. */
void claimant_answer(struct claimant *claimant, int result);
void claimant_refuse(struct claimant *claimant, int failed, const char *sentence);

/* Its process, for sentences. */
int32_t claimant_process(const struct claimant *claimant);

/* ---- holds ---- */

/* That it can be given something. 0 or -ENOMEM. */
int claimant_prepare(struct claimant *claimant);

/* What it holds of the object; NULL: nothing. */
struct hold *claimant_hold(const struct claimant *claimant, const struct object *object);

/* So many more, fresh; it has been prepared. told, passing: see above. */
struct hold *claimant_give(struct claimant *claimant, struct object *object, uint64_t count, bool told, bool passing);

/* It holds so many less; with none left the hold is no more. */
void hold_reduce(struct hold *hold, uint64_t count);

#endif
