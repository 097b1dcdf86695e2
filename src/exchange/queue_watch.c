/* exchange/queue_watch.c: a queue among many things that are waited for. */
#include "error/error.h"
#include "exchange/queue.h"
#include "exchange/waitable.h"

#include <errno.h>

static bool debts_are_over(const struct side *side)
{
    const struct debt *debt;
    struct slot *life;
    bool naps;
    return debts_state(side, &debt, &life, &naps) < 0;
}

/* Whether the call would not wait. */
static bool is_ready(struct queue *queue, int want)
{
    size_t bytes;
    if (queue_is_closed(queue))
        return true;
    if (want == BROOD_PUTS)
        return puts_ready(queue, 1) || debts_are_over(&queue->gets);
    return gets_ready(queue) || loans_returned(queue, &bytes) > 0 || debts_are_over(&queue->puts);
}

int queue_announce(brood_queue *memory, int want, const char *call, struct waitable_news *news)
{
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, call);
    if (want != BROOD_GETS && want != BROOD_PUTS)
        return error_set(EINVAL, "%s: of a queue %d is wanted, not BROOD_GETS or BROOD_PUTS", call, want);
    struct side *side = want == BROOD_PUTS ? &queue->gets : &queue->puts;
    bool told = is_ready(queue, want) || side_watch(thread_self(), queue, side, &news->word);
    if (is_ready(queue, want))
        return 1;
    news->naps = !told || (want == BROOD_GETS && loans_are_out(queue));
    news->process = debts_debtor(side);
    return 0;
}
