/* exchange/greeting.c */
#include "exchange/greeting.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int greeting_begin(struct greeting *greeting, struct stream *stream, const struct greeting_plan *plan, bool listens)
{
    unsigned char random[HANDSHAKE_RANDOM];
    *greeting = (struct greeting){ .stream = stream, .sealed = !plan->context, .keyed = !plan->key };
    if (!plan->key)
        return 0;
    if (getentropy(random, sizeof random) < 0)
        return -EIO;
    handshake_begin(&greeting->shake, plan->seal, plan->key, plan->key_size, plan->weak, listens, random);
    return 0;
}

static int hung_up(int failed, char why[SEAL_WHY])
{
    snprintf(why, SEAL_WHY, "hung up before it was known");
    return failed == 0 || failed == -ECONNRESET ? -EPIPE : failed;
}

/* Sends what the handshake has to say. */
static int send_rest(struct greeting *greeting, short *events)
{
    struct handshake *shake = &greeting->shake;
    while (shake->sent < shake->ready) {
        ssize_t sent =
            stream_write(greeting->stream, shake->out + shake->sent, shake->ready - shake->sent, NULL, 0, events);
        if (sent < 0)
            return (int)sent;
        shake->sent += (size_t)sent;
    }
    return 0;
}

static int prove(struct greeting *greeting, short *events, char why[SEAL_WHY])
{
    struct handshake *shake = &greeting->shake;
    for (;;) {
        unsigned char *where;
        int failed = send_rest(greeting, events);
        if (failed < 0)
            return failed == -EAGAIN ? failed : hung_up(failed, why);
        size_t wanted = handshake_wants(shake, &where);
        if (wanted == 0)
            return 0;
        ssize_t got = stream_read(greeting->stream, where, wanted, events);
        if (got == -EAGAIN)
            return -EAGAIN;
        if (got <= 0)
            return hung_up((int)got, why);
        failed = handshake_took(shake, (size_t)got);
        if (failed < 0) {
            short unused;
            snprintf(why, SEAL_WHY, "%s", shake->why);
            send_rest(greeting, &unused); /* if there is no room to say that it failed, closing says so too */
            return failed;
        }
    }
}

int greeting_step(struct greeting *greeting, short *events, char why[SEAL_WHY])
{
    int failed;
    if (!greeting->sealed) {
        if ((failed = stream_agree(greeting->stream, events, why)) < 0)
            return failed;
        greeting->sealed = true;
    }
    if (!greeting->keyed) {
        if ((failed = prove(greeting, events, why)) < 0)
            return failed;
        greeting->keyed = true;
    }
    return 0;
}
