/* A binary tree in the region, with plain pointers, into which four processes count words at once. Two of them die ten
 * times each, in the middle of a change, and are started again; no word is lost, and none is counted twice.
 *
 *     tree [fork | spawn | forkserver]
 *
 * A new node is filled where nobody looks, and becomes one of the tree by one store: its parent's pointer to it. Until
 * then it hangs at `adding`, where brood_alloc_into put it, block and pointer as one: so whoever inherits the lock has
 * only to see whether it is in the tree already.
 */
#include <brood.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { PROCESSES = 4, MORTAL = 2, DEATHS = 10, ROUNDS = 500, WORDS = 8 };

static const char *const words[WORDS] = { "lock", "queue", "pool", "pipe", "event", "barrier", "value", "array" };

struct node {
    struct node *volatile left, *volatile right;
    char word[16];
    volatile int counts[PROCESSES]; /* by each process its own, by one store: so it is where its successor goes on */
};

struct tree {
    brood_lock lock;
    struct node *volatile root;
    struct node *adding; /* allocated, perhaps not in the tree yet */
};

struct share {
    struct tree *tree;
    int number;
    int steps; /* of its changes, it lives so long; 0: to the end */
};

/* Where the word's node hangs, or is to hang. */
static struct node *volatile *tree_find(struct tree *tree, const char *word)
{
    struct node *volatile *place = &tree->root;
    int order;
    while (*place && (order = strcmp(word, (*place)->word)) != 0)
        place = order < 0 ? &(*place)->left : &(*place)->right;
    return place;
}

/* By whoever gets the lock from a dead holder; killed in here it leaves the same to the next. */
static void tree_mend(struct tree *tree)
{
    if (tree->adding && *tree_find(tree, tree->adding->word) == tree->adding)
        tree->adding = NULL;
    else
        brood_free_from(&tree->adding); /* frees and clears as one */
}

/* The last step of a life. */
static void step(struct share *share)
{
    if (share->steps > 0 && --share->steps == 0)
        raise(SIGKILL);
}

/* With the lock in hand. */
static struct node *tree_add(struct share *share, const char *word)
{
    struct tree *tree = share->tree;
    struct node *volatile *place = tree_find(tree, word);
    if (*place)
        return *place;
    struct node *node = brood_alloc_into(&tree->adding, sizeof *node);
    if (!node)
        return NULL;
    step(share);
    strncpy(node->word, word, sizeof node->word - 1);
    step(share);
    *place = node; /* in, from here on */
    step(share);
    tree->adding = NULL;
    return node;
}

static int count(void *arg)
{
    struct share *share = arg;
    for (int i = 0; i < ROUNDS * WORDS; i++) {
        int taken = brood_lock_acquire(&share->tree->lock, BROOD_FOREVER);
        if (taken < 0)
            return brood_fail(1, "%s", brood_error());
        if (taken == BROOD_INHERITED)
            tree_mend(share->tree);
        struct node *node = tree_add(share, words[i % WORDS]);
        step(share);
        if (node && node->counts[share->number] <= i / WORDS) /* else one before has counted this one */
            node->counts[share->number]++;
        step(share);
        brood_lock_release(&share->tree->lock);
        if (!node)
            return brood_fail(1, "%s", brood_error());
    }
    return 0;
}

static int fail(const char *why)
{
    return fprintf(stderr, "tree: %s\n", why), 1;
}

/* The first life of each ends at its first step, the next one a step later, and so on. */
static brood_process *start(struct tree *tree, int number, int deaths, brood_start method)
{
    struct share share = { tree, number, number < MORTAL && deaths < DEATHS ? deaths + 1 : 0 };
    return brood_process_start(count, &share, sizeof share, &(brood_process_options){ .start = method });
}

/* In order; what it says is the caller's to look at. */
static void tree_print(const struct node *node, int *wrong)
{
    if (!node)
        return;
    tree_print(node->left, wrong);
    int sum = 0;
    for (int i = 0; i < PROCESSES; i++)
        sum += node->counts[i];
    printf(" %s", node->word);
    *wrong += sum != PROCESSES * ROUNDS;
    tree_print(node->right, wrong);
}

static void tree_free(struct node *node)
{
    if (!node)
        return;
    tree_free(node->left);
    tree_free(node->right);
    brood_free(node);
}

int main(int argc, char **argv)
{
    if (brood_init(NULL) < 0)
        return fail(brood_error());
    int method = argc == 2 ? brood_start_find(argv[1]) : BROOD_DEFAULT;
    if (argc > 2 || method < 0)
        return fputs("usage: tree [fork | spawn | forkserver]\n", stderr), 2;
    struct tree *tree = brood_alloc(sizeof *tree);
    if (!tree)
        return fail(brood_error());
    brood_process *processes[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        processes[i] = start(tree, i, 0, (brood_start)method);
    int died = 0, deaths[PROCESSES] = { 0 };
    for (int i = 0; i < PROCESSES;) {
        brood_end end;
        if (brood_process_join(processes[i], &end, BROOD_FOREVER) < 0) /* of NULL: the sentence of the start */
            return fail(brood_error());
        brood_process_close(processes[i]);
        if (end.how == BROOD_RETURNED) {
            i++;
            continue;
        }
        if (end.signal != SIGKILL)
            return fail(end.why);
        died++;
        processes[i] = start(tree, i, ++deaths[i], (brood_start)method);
    }
    int wrong = 0;
    printf("words:");
    tree_print(tree->root, &wrong);
    printf("\n%d died, %d words counted wrong\n", died, wrong);
    tree_free(tree->root);
    brood_free(tree);
    return wrong > 0;
}
