/* exchange/gate.c */
#include "exchange/gate.h"

#include "os/clock.h"

#include <errno.h>
#include <time.h>

#define PATIENCE 16 /* wakes in vain */

void gate_init(struct gate *gate)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&gate->guard, NULL);
    pthread_cond_init(&gate->left, &monotonic);
    pthread_condattr_destroy(&monotonic);
    gate->taken = false;
    gate->asking = 0;
}

void gate_fini(struct gate *gate)
{
    pthread_cond_destroy(&gate->left);
    pthread_mutex_destroy(&gate->guard);
}

int gate_enter(struct gate *gate, int64_t deadline)
{
    struct timespec until = { .tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000 };
    int failed = 0, vain = 0;
    pthread_mutex_lock(&gate->guard);
    while ((gate->taken || (gate->asking && vain < PATIENCE)) && failed == 0) {
        failed = deadline == CLOCK_NEVER ? pthread_cond_wait(&gate->left, &gate->guard)
                                         : pthread_cond_timedwait(&gate->left, &gate->guard, &until);
        if (++vain == PATIENCE)
            gate->asking++;
    }
    bool entered = !gate->taken; /* with a timeout too, if it is free by now: then no wake is lost with us */
    gate->taken = true;
    if (vain >= PATIENCE && --gate->asking == 0)
        pthread_cond_broadcast(&gate->left); /* those who let us pass look again */
    pthread_mutex_unlock(&gate->guard);
    return entered ? 0 : -ETIMEDOUT;
}

void gate_leave(struct gate *gate)
{
    pthread_mutex_lock(&gate->guard);
    gate->taken = false;
    if (gate->asking)
        pthread_cond_broadcast(&gate->left); /* one wake might go to one who lets others pass */
    else
        pthread_cond_signal(&gate->left);
    pthread_mutex_unlock(&gate->guard);
}
