/* bench/pipe.c: what a message over a pipe costs, there and back.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "trouble.h"

#include <brood.h>

enum { TURNS = 20000, SIZE = 64 };

static int send_back(void *arg)
{
    brood_connection *end = arg;
    char bytes[SIZE];
    for (int i = 0; i < TURNS; i++)
        if (brood_connection_recv(end, bytes, SIZE, NULL, BROOD_FOREVER) < 0 ||
            brood_connection_send(end, bytes, SIZE, BROOD_FOREVER) < 0)
            return 1;
    return 0;
}

static int there_and_back(brood_connection *end)
{
    char bytes[SIZE] = "";
    return brood_connection_send(end, bytes, SIZE, BROOD_FOREVER) < 0 ||
           brood_connection_recv(end, bytes, SIZE, NULL, BROOD_FOREVER) < 0;
}

double pipe_pingpong_64_brood(void)
{
    brood_connection *ends[2];
    struct hand hand;
    if (brood_pipe_create(ends, NULL) < 0)
        return trouble("%s", brood_error());
    if (hand_start(&hand, false, send_back, ends[1]) < 0)
        return -1;
    int failed = 0;
    uint64_t began = clock_ns();
    for (int i = 0; i < TURNS && !failed; i++)
        failed = there_and_back(ends[0]);
    double each = (double)(clock_ns() - began) / NS_PER_US / TURNS;
    failed |= hand_join(&hand) != 0;
    failed |= brood_connection_close(ends[0]) < 0;
    return failed ? trouble("to and fro failed: %s", brood_error()) : each;
}
