/* A doubly linked list in the region, built with plain pointers by processes of each start method, under a lock. One of
 * them is killed in the middle of an insertion, and the next one mends what it left.
 *
 *     list [fork | spawn | forkserver]
 */
#include <brood.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

struct node {
    struct node *next, *prev;
    int value;
};

/* True at all times is the chain of `next` from `first`; the rest can be had from it. */
struct list {
    brood_lock lock;
    struct node *volatile first;
    struct node *last;
    struct node *adding; /* allocated, perhaps not in the chain yet */
    int count;
};

/* By whoever gets the lock from a dead holder; killed in here it leaves the same to the next. */
static void list_mend(struct list *list)
{
    struct node *prev = NULL;
    bool added = false;
    list->count = 0;
    for (struct node *node = list->first; node; prev = node, node = node->next) {
        node->prev = prev;
        list->count++;
        added = added || node == list->adding;
    }
    list->last = prev;
    if (added)
        list->adding = NULL;
    else
        brood_free_from(&list->adding); /* frees and clears as one */
}

static int list_lock(struct list *list)
{
    int taken = brood_lock_acquire(&list->lock, BROOD_FOREVER);
    if (taken == BROOD_INHERITED)
        list_mend(list);
    return taken;
}

static int list_prepend(struct list *list, int value, bool die)
{
    if (list_lock(list) < 0)
        return -1;
    struct node *node = brood_alloc_into(&list->adding, sizeof *node); /* block and pointer as one */
    if (node) {
        node->next = list->first;
        node->value = value;
        list->first = node; /* in, from here on */
        if (die)
            raise(SIGKILL);
        if (node->next)
            node->next->prev = node;
        else
            list->last = node;
        list->count++;
        list->adding = NULL;
    }
    brood_lock_release(&list->lock);
    return node ? 0 : -1;
}

static int add_two_and_die(void *arg)
{
    struct list *list = arg;
    return list_prepend(list, 1, false) < 0 || list_prepend(list, 2, true) < 0;
}

static int add_three(void *arg)
{
    struct list *list = arg;
    return list_prepend(list, 3, false) < 0;
}

static int fail(const char *why)
{
    fprintf(stderr, "list: %s\n", why);
    return 1;
}

/* Runs it in a child and says how that ended. */
static int run(brood_target *target, struct list *list, brood_start start, brood_end *end)
{
    brood_process *process = brood_process_start(target, list, 0, &(brood_process_options){ .start = start });
    int result = brood_process_join(process, end, BROOD_FOREVER); /* of NULL: fails with the sentence of the start */
    brood_process_close(process);
    return result;
}

int main(int argc, char **argv)
{
    if (brood_init(NULL) < 0)
        return fail(brood_error());
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--help") == 0)) {
        fputs("usage: list [fork | spawn | forkserver]\n", argc > 2 ? stderr : stdout);
        return argc > 2 ? 2 : 0;
    }
    int method = argc == 2 ? brood_start_find(argv[1]) : BROOD_DEFAULT;
    struct list *list = brood_alloc(sizeof *list);
    brood_end end;
    if (method < 0 || !list || run(add_two_and_die, list, (brood_start)method, &end) < 0)
        return fail(brood_error());
    printf("child: %s\n", end.why);
    if (run(add_three, list, (brood_start)method, &end) < 0 || list_lock(list) < 0)
        return fail(brood_error());
    for (struct node *node = list->first; node; node = node->next)
        printf("%d ", node->value);
    printf("count %d, last %d\n", list->count, list->last ? list->last->value : 0);
    while (list->first) {
        struct node *second = list->first->next;
        brood_free(list->first);
        list->first = second;
    }
    brood_lock_release(&list->lock);
    brood_free(list);
    return end.how == BROOD_RETURNED ? 0 : fail(end.why);
}
