/* manager/session.h: who a server's clients outside the family are: one session has as many lines as its program has
 * threads that call, and ends with the last of them; what it has handles of is given back then.
 *
 * A session is known to its program by a secret, by which further lines join it, and to the server by a number. The
 * thread that has the lines makes and ends sessions; the server's thread asks whether one lives.
 */
#ifndef MANAGER_SESSION_H
#define MANAGER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_SECRET 16

struct session {
    int32_t number; /* above 0; no two of a server have the same */
    unsigned lines;
    uint8_t secret[SESSION_SECRET];
    struct session *next;
};

/* One line more: of a new session, or (`secret`, of `size` bytes) of one that lives. NULL: there is none with that
 * secret; or no memory, or no random bytes. */
struct session *session_begin(void);
struct session *session_join(const void *secret, size_t size);

/* One less. */
void session_leave(struct session *session);

bool session_lives(int32_t number);

#endif
