/* manager/session.c */
#include "manager/session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One server a process. */
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct session *sessions;
static int32_t last;

struct session *session_begin(void)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    if (last == INT32_MAX || getentropy(session->secret, sizeof session->secret) < 0) {
        free(session);
        return NULL;
    }
    pthread_mutex_lock(&guard);
    session->number = ++last;
    session->lines = 1;
    session->next = sessions;
    sessions = session;
    pthread_mutex_unlock(&guard);
    return session;
}

struct session *session_join(const void *secret, size_t size)
{
    struct session *session = size == SESSION_SECRET ? sessions : NULL;
    while (session) {
        unsigned differ = 0; /* in the same time, wherever they differ */
        for (size_t i = 0; i < size; i++)
            differ |= session->secret[i] ^ ((const uint8_t *)secret)[i];
        if (differ == 0)
            break;
        session = session->next;
    }
    if (session)
        session->lines++;
    return session;
}

void session_leave(struct session *session)
{
    if (--session->lines > 0)
        return;
    pthread_mutex_lock(&guard);
    struct session **place = &sessions;
    while (*place != session)
        place = &(*place)->next;
    *place = session->next;
    pthread_mutex_unlock(&guard);
    explicit_bzero(session, sizeof *session);
    free(session);
}

bool session_lives(int32_t number)
{
    pthread_mutex_lock(&guard);
    const struct session *session = sessions;
    while (session && session->number != number)
        session = session->next;
    pthread_mutex_unlock(&guard);
    return session;
}
