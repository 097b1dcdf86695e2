/* manager_reference.c: objects of a manager in its other objects: where they may stand, how long they live, who holds
 * them, cycles; by the region and by address.
 */
#include "manager_waiting.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { CHAIN = 100000, PARTIES = 6, EACH = 100, MANY = 1000100, DEEP = 63, NOTICE_MS = 10000 };

static brood_manager *start(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(manager != NULL);
    return manager;
}

static size_t objects(brood_manager *manager)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    return stats.objects;
}

/* All handles are closed: there is nothing left. */
static void finish(brood_manager *manager)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.handles, 0);
    CHECK_EQ(stats.memory, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* A list without a name that has that number, and no handle but what the caller makes of it. */
static brood_list *list_with(brood_manager *manager, int number)
{
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    NEED(list != NULL);
    CHECK_RESULT(brood_list_append(list, number), 0);
    return list;
}

/* The reference is to a list that has that number. */
static void check_list(brood_manager *manager, const brood_any *reference, int number)
{
    CHECK_EQ(reference->kind, BROOD_REFERENCE);
    brood_list *list = CHECK_POINTER(brood_reference_list(manager, reference));
    if (!CHECK(list != NULL))
        return;
    brood_any item;
    CHECK_RESULT(brood_list_get(list, 0, &item), 0);
    CHECK_EQ(item.integer, number);
    CHECK_RESULT(brood_list_close(list), 0);
}

/* ---- where they may stand ---- */

static void in_each_container(void)
{
    brood_manager *manager = start();
    brood_list *fruit = list_with(manager, 7);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    brood_namespace *names = CHECK_POINTER(brood_manager_namespace(manager, NULL));
    brood_managed_value *value = CHECK_POINTER(brood_manager_value(manager, NULL, fruit));
    const brood_any two[] = { brood_any_reference(fruit), brood_any_int(2) };
    brood_managed_array *array = CHECK_POINTER(brood_manager_array(manager, NULL, brood_any_list(two, 2)));
    brood_managed_queue *queue = CHECK_POINTER(brood_manager_queue(manager, NULL, 0));
    CHECK_RESULT(brood_dict_set(dict, "fruit", fruit), 0);
    CHECK_RESULT(brood_list_append(list, fruit), 0);
    CHECK_RESULT(brood_namespace_set(names, "fruit", fruit), 0);
    CHECK_RESULT(brood_managed_queue_put(queue, fruit, 0), 0);
    CHECK_RESULT(brood_list_index(list, fruit), 0);
    CHECK_RESULT(brood_list_count(list, fruit), 1);
    CHECK_RESULT(brood_list_close(fruit), 0);
    CHECK_EQ(objects(manager), 7);

    brood_any found;
    CHECK_RESULT(brood_dict_get(dict, "fruit", &found), 0);
    check_list(manager, &found, 7);
    CHECK_RESULT(brood_dict_compare(dict, "fruit", found, 1), 0);
    CHECK_RESULT(brood_dict_get(dict, "fruit", &found), 0);
    CHECK_EQ(found.integer, 1);
    CHECK_RESULT(brood_list_get(list, 0, &found), 0);
    check_list(manager, &found, 7);
    CHECK_RESULT(brood_namespace_get(names, "fruit", &found), 0);
    check_list(manager, &found, 7);
    CHECK_RESULT(brood_managed_value_get(value, &found), 0);
    check_list(manager, &found, 7);
    CHECK_RESULT(brood_managed_array_get(array, 0, &found), 0);
    check_list(manager, &found, 7);
    CHECK_RESULT(brood_managed_queue_get(queue, &found, 0), 0);
    check_list(manager, &found, 7);

    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_list_close(list), 0);
    CHECK_RESULT(brood_namespace_close(names), 0);
    CHECK_RESULT(brood_managed_value_close(value), 0);
    CHECK_RESULT(brood_managed_queue_close(queue), 0);
    CHECK_EQ(objects(manager), 2);
    CHECK_RESULT(brood_managed_array_close(array), 0);
    finish(manager);
}

/* As deep as a value may be, beside others, and more than once. */
static void deep_in_values(void)
{
    brood_manager *manager = start();
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_list *one = list_with(manager, 1), *other = list_with(manager, 2);
    const brood_any inner[] = { brood_any_string("a"),      brood_any_reference(one), brood_any_string("b"),
                                brood_any_reference(other), brood_any_int(3),         brood_any_reference(one) };
    brood_any deep[DEEP + 1];
    deep[DEEP] = brood_any_map(inner, 3);
    for (int i = DEEP - 1; i >= 0; i--)
        deep[i] = brood_any_list(&deep[i + 1], 1);
    CHECK_RESULT(brood_dict_set(dict, "deep", deep[0]), 0);
    CHECK_RESULT(brood_dict_set(dict, "flat", deep[DEEP]), 0);
    CHECK_RESULT(brood_list_close(one), 0);
    CHECK_RESULT(brood_list_close(other), 0);
    CHECK_EQ(objects(manager), 3);
    brood_any found;
    CHECK_RESULT(brood_dict_get(dict, "deep", &found), 0);
    const brood_any *at = &found;
    for (int i = 0; i < DEEP; i++)
        at = at->items;
    CHECK_EQ(at->size, 3);
    brood_list *first = CHECK_POINTER(brood_reference_list(manager, &at->items[1]));
    brood_list *second = CHECK_POINTER(brood_reference_list(manager, &at->items[3]));
    CHECK_EQ(brood_any_equal(&at->items[1], &at->items[5]), 1);
    CHECK_EQ(brood_any_equal(&at->items[1], &at->items[3]), 0);
    CHECK_RESULT(brood_dict_clear(dict), 0);
    CHECK_EQ(objects(manager), 3);
    check_list(manager, &at->items[1], 1);
    CHECK_RESULT(brood_list_close(first), 0);
    CHECK_RESULT(brood_list_close(second), 0);
    brood_any_clear(&found);
    CHECK_RESULT(brood_dict_close(dict), 0);
    finish(manager);
}

/* Each type says what it is, and is opened as that alone. */
static void each_type(void)
{
    brood_manager *manager = start();
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_set *set = CHECK_POINTER(brood_manager_set(manager, NULL));
    brood_namespace *names = CHECK_POINTER(brood_manager_namespace(manager, NULL));
    brood_managed_value *value = CHECK_POINTER(brood_manager_value(manager, NULL, 1));
    brood_managed_array *array = CHECK_POINTER(brood_manager_array(manager, NULL, brood_any_list(NULL, 0)));
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(manager, NULL));
    brood_managed_lock *rlock = CHECK_POINTER(brood_manager_rlock(manager, NULL));
    brood_managed_condition *condition = CHECK_POINTER(brood_manager_condition(manager, NULL));
    brood_managed_event *event = CHECK_POINTER(brood_manager_event(manager, NULL));
    brood_managed_semaphore *semaphore = CHECK_POINTER(brood_manager_semaphore(manager, NULL, 1));
    brood_managed_semaphore *bounded = CHECK_POINTER(brood_manager_bounded_semaphore(manager, NULL, 1));
    brood_managed_barrier *barrier = CHECK_POINTER(brood_manager_barrier(manager, NULL, 2));
    brood_managed_queue *queue = CHECK_POINTER(brood_manager_queue(manager, NULL, 0));
    brood_managed_queue *joinable = CHECK_POINTER(brood_manager_joinable_queue(manager, NULL, 0));
    const brood_any *all[] = { BROOD_ANY(dict),    BROOD_ANY(set),     BROOD_ANY(names),     BROOD_ANY(value),
                               BROOD_ANY(array),   BROOD_ANY(lock),    BROOD_ANY(rlock),     BROOD_ANY(condition),
                               BROOD_ANY(event),   BROOD_ANY(queue),   BROOD_ANY(semaphore), BROOD_ANY(bounded),
                               BROOD_ANY(barrier), BROOD_ANY(joinable) };
    static const char *const words[] = { "dict",    "set",           "namespace", "value",
                                         "array",   "lock",          "rlock",     "condition",
                                         "event",   "queue",         "semaphore", "bounded_semaphore",
                                         "barrier", "joinable_queue" };
    enum { ALL = sizeof all / sizeof *all };
    for (int i = 0; i < ALL; i++)
        CHECK_RESULT((brood_list_append)(list, all[i]), 0);
    brood_any found;
    CHECK_RESULT(brood_list_items(list, &found), 0);
    CHECK_EQ(found.size, ALL);
    for (int i = 0; i < ALL; i++) {
        CHECK_STR(brood_reference_type(manager, &found.items[i]), words[i]);
        CHECK_NULL(brood_reference_list(manager, &found.items[i]), EINVAL);
    }
    CHECK_HAS(brood_error(), "refers to a joinable queue");
    CHECK_RESULT(brood_dict_close(CHECK_POINTER(brood_reference_dict(manager, &found.items[0]))), 0);
    CHECK_RESULT(brood_set_close(CHECK_POINTER(brood_reference_set(manager, &found.items[1]))), 0);
    CHECK_RESULT(brood_namespace_close(CHECK_POINTER(brood_reference_namespace(manager, &found.items[2]))), 0);
    CHECK_RESULT(brood_managed_value_close(CHECK_POINTER(brood_reference_value(manager, &found.items[3]))), 0);
    CHECK_RESULT(brood_managed_array_close(CHECK_POINTER(brood_reference_array(manager, &found.items[4]))), 0);
    CHECK_RESULT(brood_managed_condition_close(CHECK_POINTER(brood_reference_condition(manager, &found.items[7]))), 0);
    CHECK_RESULT(brood_managed_event_close(CHECK_POINTER(brood_reference_event(manager, &found.items[8]))), 0);
    CHECK_RESULT(brood_managed_queue_close(CHECK_POINTER(brood_reference_queue(manager, &found.items[9]))), 0);
    CHECK_RESULT(brood_managed_semaphore_close(CHECK_POINTER(brood_reference_semaphore(manager, &found.items[11]))), 0);
    CHECK_RESULT(brood_managed_barrier_close(CHECK_POINTER(brood_reference_barrier(manager, &found.items[12]))), 0);
    brood_managed_lock *same = CHECK_POINTER(brood_reference_lock(manager, &found.items[6]));
    CHECK_RESULT(brood_managed_lock_acquire(rlock, 0), 0);
    CHECK_RESULT(brood_managed_lock_acquire(same, 0), 0);
    CHECK_RESULT(brood_managed_lock_close(same), 0);
    CHECK_NULL(brood_reference_lock(manager, &found.items[7]), EINVAL);
    brood_any_clear(&found);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* ---- how long what they are to lives ---- */

static void last_reference(void)
{
    brood_manager *manager = start();
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL)), *other;
    brood_any found;
    const brood_any nothing = brood_any_list(NULL, 0);

    CHECK_RESULT(brood_dict_set(dict, "x", other = list_with(manager, 1)), 0);
    CHECK_RESULT(brood_list_close(other), 0);
    CHECK_RESULT(brood_dict_set(dict, "x", 1), 0);
    CHECK_EQ(objects(manager), 2);
    CHECK_RESULT(brood_dict_swap(dict, "x", other = list_with(manager, 2), NULL), 0);
    CHECK_RESULT(brood_list_close(other), 0);
    CHECK_EQ(objects(manager), 3);
    CHECK_RESULT(brood_dict_delete(dict, "x"), 0);
    CHECK_EQ(objects(manager), 2);
    CHECK_RESULT(brood_dict_setdefault(dict, "x", other = list_with(manager, 3), &found), 1);
    CHECK_RESULT(brood_list_close(other), 0);
    CHECK_RESULT(brood_dict_pop(dict, "x", &found), 0);
    check_list(manager, &found, 3);
    CHECK_EQ(objects(manager), 2);

    const brood_any pair[] = { brood_any_reference(other = list_with(manager, 4)), brood_any_int(1) };
    CHECK_RESULT(brood_list_extend(list, brood_any_list(pair, 2)), 0);
    CHECK_RESULT(brood_list_extend(list, brood_any_list(pair, 2)), 0);
    CHECK_RESULT(brood_list_close(other), 0);
    CHECK_RESULT(brood_list_reverse(list), 0);
    CHECK_RESULT(brood_list_remove(list, pair[0]), 0);
    CHECK_EQ(objects(manager), 3);
    CHECK_RESULT(brood_list_set_slice(list, 0, 2, nothing), 0);
    CHECK_EQ(objects(manager), 3);
    CHECK_RESULT(brood_list_set_slice(list, 0, 1, nothing), 0);
    CHECK_EQ(objects(manager), 2);

    /* with a name besides, and without it */
    other = CHECK_POINTER(brood_manager_list(manager, "named"));
    CHECK_RESULT(brood_list_append(list, other), 0);
    CHECK_RESULT(brood_list_close(other), 0);
    CHECK_RESULT(brood_list_clear(list), 0);
    CHECK_EQ(objects(manager), 3);
    CHECK_RESULT(brood_list_append(list, other = CHECK_POINTER(brood_manager_list(manager, "named"))), 0);
    CHECK_RESULT(brood_list_close(other), 0);
    CHECK_RESULT(brood_manager_forget(manager, "named"), 0);
    CHECK_EQ(objects(manager), 3);
    CHECK_RESULT(brood_list_close(list), 0);
    CHECK_EQ(objects(manager), 1);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_EQ(objects(manager), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void copies(void)
{
    brood_manager *manager = start();
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_list *fruit = list_with(manager, 5);
    const brood_any inside[] = { brood_any_reference(fruit) };
    CHECK_RESULT(brood_dict_set(dict, "plain", fruit), 0);
    CHECK_RESULT(brood_dict_set(dict, "in a list", brood_any_list(inside, 1)), 0);
    CHECK_RESULT(brood_list_close(fruit), 0);
    brood_dict *copy = CHECK_POINTER(brood_dict_copy(dict));
    const brood_any pairs[] = { brood_any_int(1), brood_any_int(2) };
    CHECK_RESULT(brood_dict_update(dict, brood_any_map(pairs, 1)), 0); /* by way of a copy */
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_EQ(objects(manager), 2);
    CHECK_RESULT(brood_dict_delete(copy, "plain"), 0);
    CHECK_EQ(objects(manager), 2);
    brood_any found;
    CHECK_RESULT(brood_dict_get(copy, "in a list", &found), 0);
    check_list(manager, &found.items[0], 5);
    brood_any_clear(&found);
    CHECK_RESULT(brood_dict_delete(copy, "in a list"), 0);
    CHECK_EQ(objects(manager), 1);
    CHECK_RESULT(brood_dict_close(copy), 0);
    finish(manager);
}

/* However long it is, all of it goes with its first. */
static void long_chain(void)
{
    brood_manager *manager = start();
    int length = harness_times(CHAIN);
    brood_managed_value *first = CHECK_POINTER(brood_manager_value(manager, NULL, 0));
    for (int i = 1; i < length; i++) {
        brood_managed_value *next = CHECK_POINTER(brood_manager_value(manager, NULL, first));
        NEED(next != NULL);
        CHECK_RESULT(brood_managed_value_close(first), 0);
        first = next;
    }
    CHECK_EQ(objects(manager), length);
    CHECK_RESULT(brood_managed_value_close(first), 0);
    finish(manager);
}

/* ---- what has been read ---- */

static void read_and_gone(void)
{
    brood_manager *manager = start();
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL)), *other;
    brood_any one, two, all;
    for (int i = 0; i < 4; i++) {
        CHECK_RESULT(brood_list_append(list, other = list_with(manager, i)), 0);
        CHECK_RESULT(brood_list_close(other), 0);
    }
    /* taken out: it is the reader's until it asks for something else */
    CHECK_RESULT(brood_list_pop(list, 0, &one), 0);
    CHECK_STR(brood_reference_type(manager, &one), "list");
    brood_list *first = CHECK_POINTER(brood_reference_list(manager, &one));
    brood_list *again = CHECK_POINTER(brood_reference_list(manager, &one));
    CHECK_EQ(objects(manager), 5);
    CHECK_RESULT(brood_list_close(first), 0);
    check_list(manager, &one, 0);
    CHECK_RESULT(brood_list_close(again), 0);
    CHECK_NULL(brood_reference_list(manager, &one), EINVAL);
    CHECK_HAS(brood_error(), "gone");
    CHECK_NULL(brood_reference_type(manager, &one), EINVAL);
    CHECK_RESULT(brood_list_append(list, one), -EINVAL);
    CHECK_HAS(brood_error(), "gone");
    CHECK_RESULT(brood_list_length(list), 3);

    /* what is stored again at once is kept */
    CHECK_RESULT(brood_list_pop(list, 0, &one), 0);
    CHECK_RESULT(brood_list_append(list, one), 0);
    CHECK_EQ(objects(manager), 4);
    check_list(manager, &one, 1);
    CHECK_RESULT(brood_list_pop(list, -1, &two), 0);
    CHECK_EQ(objects(manager), 3); /* that it asks is something else */
    CHECK_NULL(brood_reference_list(manager, &two), EINVAL);

    /* all of a list, of which each is opened before anything else is asked */
    CHECK_RESULT(brood_list_items(list, &all), 0);
    brood_list *lists[2];
    for (int i = 0; i < 2; i++)
        lists[i] = CHECK_POINTER(brood_reference_list(manager, &all.items[i]));
    CHECK_RESULT(brood_list_clear(list), 0);
    for (int i = 0; i < 2; i++) {
        check_list(manager, &all.items[i], 2 + i);
        CHECK_RESULT(brood_list_close(lists[i]), 0);
    }
    brood_any_clear(&all);
    CHECK_RESULT(brood_list_close(list), 0);
    finish(manager);
}

struct shelf {
    brood_manager *manager;
    brood_list *list;
    brood_managed_queue *queue;
    atomic_int ready;
};

/* Has popped a reference, and opened another, and dies. */
static int take_and_die(void *arg)
{
    struct shelf *shelf = arg;
    brood_any opened, read;
    CHECK_RESULT(brood_list_pop(shelf->list, 0, &opened), 0);
    CHECK_POINTER(brood_reference_list(shelf->manager, &opened));
    CHECK_RESULT(brood_list_pop(shelf->list, 0, &read), 0);
    CHECK_EQ(read.kind, BROOD_REFERENCE);
    atomic_store(&shelf->ready, 1);
    while (pause() < 0)
        continue;
    return 0;
}

static bool no_object(void *context)
{
    return objects(context) == 0;
}

static bool one_object(void *context)
{
    return objects(context) == 1;
}

static void reader_killed(void)
{
    brood_manager *manager = start();
    struct shelf *shelf = CHECK_POINTER(brood_alloc(sizeof *shelf));
    NEED(shelf != NULL);
    for (int method = BROOD_FORK; method <= BROOD_FORKSERVER; method++) {
        *shelf = (struct shelf){ .manager = manager, .list = CHECK_POINTER(brood_manager_list(manager, NULL)) };
        for (int i = 0; i < 2; i++) {
            brood_list *other = list_with(manager, i);
            CHECK_RESULT(brood_list_append(shelf->list, other), 0);
            CHECK_RESULT(brood_list_close(other), 0);
        }
        const brood_process_options options = { .start = (brood_start)method };
        brood_process *process = CHECK_POINTER(brood_process_start(take_and_die, shelf, 0, &options));
        CHECK(wait_word((_Atomic int *)&shelf->ready, 1, NOTICE_MS));
        CHECK_EQ(objects(manager), 3);
        CHECK_RESULT(brood_process_signal(process, SIGKILL), 0);
        CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
        CHECK(wait_until(one_object, manager, NOTICE_MS));
        CHECK_RESULT(brood_list_close(shelf->list), 0);
    }
    brood_free(shelf);
    finish(manager);
}

static void *read_and_end(void *arg)
{
    struct shelf *shelf = arg;
    brood_any read;
    CHECK_RESULT(brood_list_pop(shelf->list, 0, &read), 0);
    return NULL;
}

/* A thread's end is enough: what it has read was its own. */
static void thread_ends(void)
{
    brood_manager *manager = start();
    struct shelf shelf = { .manager = manager, .list = CHECK_POINTER(brood_manager_list(manager, NULL)) };
    brood_list *other = list_with(manager, 1);
    CHECK_RESULT(brood_list_append(shelf.list, other), 0);
    CHECK_RESULT(brood_list_close(other), 0);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, read_and_end, &shelf), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(wait_until(one_object, manager, NOTICE_MS));
    CHECK_RESULT(brood_list_close(shelf.list), 0);
    finish(manager);
}

/* ---- queues ---- */

static int get_and_die(void *arg)
{
    struct shelf *shelf = arg;
    brood_any job;
    CHECK_RESULT(brood_managed_queue_get(shelf->queue, &job, BROOD_FOREVER), 0);
    check_list(shelf->manager, &job, 9);
    raise(SIGKILL);
    return 0;
}

/* An item that comes back from a dead getter has its object still. */
static void item_comes_back(void)
{
    brood_manager *manager = start();
    struct shelf *shelf = CHECK_POINTER(brood_alloc(sizeof *shelf));
    NEED(shelf != NULL);
    *shelf =
        (struct shelf){ .manager = manager, .queue = CHECK_POINTER(brood_manager_joinable_queue(manager, NULL, 0)) };
    brood_process *process = CHECK_POINTER(brood_process_start(get_and_die, shelf, 0, NULL)); /* it may wait for it */
    brood_list *list = list_with(manager, 9);
    CHECK_RESULT(brood_managed_queue_put(shelf->queue, list, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_list_close(list), 0);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    brood_any job;
    CHECK_RESULT(brood_managed_queue_get(shelf->queue, &job, BROOD_FOREVER), 1);
    check_list(manager, &job, 9);
    CHECK_EQ(objects(manager), 2); /* it is not done with */
    check_list(manager, &job, 9);
    CHECK_RESULT(brood_managed_queue_done(shelf->queue), 0);
    CHECK_EQ(objects(manager), 1);
    CHECK_RESULT(brood_managed_queue_close(shelf->queue), 0);
    brood_free(shelf);
    finish(manager);
}

static int put_when_there_is_room(void *arg)
{
    struct shelf *shelf = arg;
    brood_list *list = list_with(shelf->manager, 2);
    CHECK_RESULT(brood_managed_queue_put(shelf->queue, list, BROOD_FOREVER), 0);
    return 0;
}

/* What waits for room has been counted, and closes no cycle either. */
static void putter_waits(void)
{
    brood_manager *manager = start();
    struct shelf *shelf = CHECK_POINTER(brood_alloc(sizeof *shelf));
    NEED(shelf != NULL);
    *shelf = (struct shelf){ .manager = manager, .queue = CHECK_POINTER(brood_manager_queue(manager, NULL, 1)) };
    CHECK_RESULT(brood_managed_queue_put(shelf->queue, 1, 0), 0);
    brood_process *process = CHECK_POINTER(brood_process_start(put_when_there_is_room, shelf, 0, NULL));
    await_waiting(manager, 1);
    CHECK_EQ(objects(manager), 2);
    CHECK_RESULT(brood_managed_queue_put(shelf->queue, shelf->queue, 0), -ELOOP);
    brood_any item;
    CHECK_RESULT(brood_managed_queue_get(shelf->queue, &item, 0), 0);
    CHECK_EQ(item.integer, 1);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_queue_get(shelf->queue, &item, 0), 0);
    check_list(manager, &item, 2);
    CHECK_RESULT(brood_managed_queue_close(shelf->queue), 0);
    brood_free(shelf);
    CHECK(wait_until(no_object, manager, NOTICE_MS)); /* the putter had a handle */
    finish(manager);
}

/* ---- cycles ---- */

static void cycles(void)
{
    brood_manager *manager = start();
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    brood_managed_value *value = CHECK_POINTER(brood_manager_value(manager, NULL, 0));
    brood_managed_queue *queue = CHECK_POINTER(brood_manager_joinable_queue(manager, NULL, 0));
    brood_any found;
    CHECK_RESULT(brood_dict_set(dict, "me", dict), -ELOOP);
    CHECK_HAS(brood_error(), "a dictionary, which would refer to itself");
    CHECK_RESULT(brood_managed_value_set(value, value), -ELOOP);
    CHECK_RESULT(brood_list_append(list, list), -ELOOP);
    CHECK_RESULT(brood_managed_queue_put(queue, queue, 0), -ELOOP);
    const brood_any self[] = { brood_any_int(1), brood_any_reference(dict) };
    CHECK_RESULT(brood_dict_set(dict, "me", brood_any_list(self, 2)), -ELOOP);
    CHECK_RESULT(brood_dict_update(dict, brood_any_map(self, 1)), -ELOOP);
    CHECK_RESULT(brood_dict_length(dict), 0);

    /* dict -> list -> value -> queue */
    CHECK_RESULT(brood_dict_set(dict, "list", brood_any_list(BROOD_ANY(list), 1)), 0);
    CHECK_RESULT(brood_list_append(list, value), 0);
    CHECK_RESULT(brood_managed_value_set(value, queue), 0);
    CHECK_RESULT(brood_managed_queue_put(queue, dict, 0), -ELOOP);
    CHECK_RESULT(brood_managed_queue_put(queue, list, 0), -ELOOP);
    CHECK_RESULT(brood_managed_queue_put(queue, value, 0), -ELOOP);
    CHECK_RESULT(brood_list_append(list, dict), -ELOOP);
    CHECK_RESULT(brood_list_append(list, queue), 0); /* no cycle: two ways to one */
    CHECK_RESULT(brood_list_index(list, list), -ENOENT);
    CHECK_RESULT(brood_list_count(list, dict), 0);
    CHECK_RESULT(brood_list_remove(list, list), -ENOENT);
    CHECK_RESULT(brood_managed_value_get(value, &found), 0);
    CHECK_STR(brood_reference_type(manager, &found), "joinable_queue");

    /* where the way is cut there is no cycle any more */
    CHECK_RESULT(brood_managed_value_set(value, 1), 0);
    CHECK_RESULT(brood_managed_queue_put(queue, value, 0), 0);
    CHECK_RESULT(brood_managed_value_set(value, queue), -ELOOP);
    CHECK_RESULT(brood_managed_queue_get(queue, &found, 0), 0);
    CHECK_RESULT(brood_managed_value_set(value, queue), -ELOOP); /* it may come back */
    CHECK_RESULT(brood_managed_queue_done(queue), 0);
    CHECK_RESULT(brood_managed_value_set(value, queue), 0);

    brood_dict *copy = CHECK_POINTER(brood_dict_copy(dict));
    CHECK_RESULT(brood_list_append(list, copy), -ELOOP);
    CHECK_RESULT(brood_dict_close(copy), 0);
    CHECK_RESULT(brood_managed_queue_close(queue), 0);
    CHECK_RESULT(brood_managed_value_close(value), 0);
    CHECK_RESULT(brood_list_close(list), 0);
    CHECK_EQ(objects(manager), 4);
    CHECK_RESULT(brood_dict_close(dict), 0);
    finish(manager);
}

/* Where too much would have to be looked through it is refused; in the other order there is nothing to look through. */
static void too_much_to_see(void)
{
    brood_manager *manager = start();
    brood_list *outer = CHECK_POINTER(brood_manager_list(manager, NULL));
    brood_list *inner = CHECK_POINTER(brood_manager_list(manager, NULL));
    brood_list *large = CHECK_POINTER(brood_manager_list(manager, NULL));
    static brood_any numbers[MANY];
    for (int i = 0; i < MANY; i++)
        numbers[i] = brood_any_int(i);
    CHECK_RESULT(brood_list_append(outer, inner), 0);
    CHECK_RESULT(brood_list_extend(large, brood_any_list(numbers, MANY)), 0);
    CHECK_RESULT(brood_list_append(inner, large), 0); /* it has no references: nothing is looked at */
    CHECK_RESULT(brood_list_clear(inner), 0);
    brood_list *leaf = list_with(manager, 1);
    CHECK_RESULT(brood_list_append(large, leaf), 0);
    CHECK_RESULT(brood_list_append(inner, large), -ELOOP);
    CHECK_HAS(brood_error(), "too many to see");
    CHECK_RESULT(brood_list_length(inner), 0);
    CHECK_RESULT(brood_list_append(large, inner), 0);
    CHECK_RESULT(brood_list_close(leaf), 0);
    CHECK_RESULT(brood_list_close(inner), 0);
    CHECK_RESULT(brood_list_close(large), 0);
    CHECK_RESULT(brood_list_close(outer), 0);
    finish(manager);
}

/* ---- what is refused ---- */

static void wrong_calls(void)
{
    brood_manager *manager = start(), *other = start();
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_set *set = CHECK_POINTER(brood_manager_set(manager, NULL));
    brood_dict *foreign = CHECK_POINTER(brood_manager_dict(other, NULL));
    brood_any reference = brood_any_reference(dict), found;
    char text[40];
    CHECK_EQ(brood_any_reference(NULL).kind, BROOD_NIL);
    CHECK_EQ(reference.kind, BROOD_REFERENCE);
    CHECK_STR(brood_kind_name(reference.kind), "reference");
    CHECK(brood_any_print(&reference, text, sizeof text) > 4);
    CHECK_HAS(text, "39(");
    CHECK_RESULT(brood_dict_set(foreign, 1, dict), -EINVAL);
    CHECK_HAS(brood_error(), "of another manager");
    CHECK_RESULT(brood_dict_set(dict, 1, brood_any_reference(text)), -EINVAL);
    CHECK_RESULT(brood_dict_set(dict, reference, 1), -EINVAL);
    CHECK_HAS(brood_error(), "a reference is no key");
    CHECK_RESULT(brood_dict_get(dict, set, &found), -EINVAL);
    CHECK_RESULT(brood_set_add(set, dict), -EINVAL);
    const brood_any keyed[] = { reference, brood_any_int(1) };
    CHECK_RESULT(brood_dict_set(dict, 1, brood_any_map(keyed, 1)), -EINVAL);
    CHECK_RESULT(brood_dict_length(dict), 0);
    const brood_any number = brood_any_int(5);
    CHECK_NULL(brood_reference_dict(NULL, &reference), EINVAL);
    CHECK_NULL(brood_reference_dict(manager, NULL), EINVAL);
    CHECK_NULL(brood_reference_dict(manager, &number), EINVAL);
    CHECK_HAS(brood_error(), "int is no reference");
    CHECK_NULL(brood_reference_dict(other, &reference), EINVAL);
    CHECK_NULL(brood_reference_list(manager, &reference), EINVAL);
    CHECK_HAS(brood_error(), "that refers to a dictionary");
    CHECK_NULL(brood_reference_type(NULL, &reference), EINVAL);
    CHECK_NULL(brood_reference_type(manager, NULL), EINVAL);
    CHECK_NULL(brood_reference_type(manager, &number), EINVAL);
    CHECK_NULL(brood_reference_type(other, &reference), EINVAL);
    CHECK_RESULT(brood_set_close(set), 0);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_NULL(brood_reference_dict(manager, &reference), EINVAL);
    CHECK_RESULT(brood_manager_shutdown(manager), 0);
    CHECK_NULL(brood_reference_dict(manager, &reference), EPIPE);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_dict_close(foreign), 0);
    finish(other);
}

/* Their bytes, by themselves and from elsewhere. */
static void encoded(void)
{
    static const unsigned char refused[][4] = { { 0xd8, 39, 0x20 }, { 0xd8, 39, 0x61, 'a' },
                                                { 0xd8, 39, 0x80 }, { 0xd8, 38, 0x01 },
                                                { 0xd8, 39 },       { 0xd8, 39, 0xd8, 39 } };
    static const size_t sizes[] = { 3, 4, 3, 3, 2, 4 };
    static const unsigned char seven[] = { 0x82, 0xd8, 39, 0x07, 0x61, 'x' };
    unsigned char bytes[40];
    size_t size;
    brood_any value;
    CHECK_RESULT(brood_any_decode(seven, sizeof seven, &value), 0);
    CHECK_EQ(value.items[0].kind, BROOD_REFERENCE);
    CHECK_EQ(value.items[0].natural, 7);
    CHECK_RESULT(brood_any_encode(&value, bytes, sizeof bytes, &size), 0);
    CHECK_EQ(size, sizeof seven);
    brood_any_clear(&value);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK_RESULT(brood_any_decode(refused[i], sizes[i], &value), -EBADMSG);
}

/* ---- many at once, under each start method, in batches, by address ---- */

struct office {
    brood_manager *manager;
    brood_dict *shop;
};

/* Each has a list of its own in the dictionary, and one for all. */
static int keep_lists(void *arg)
{
    struct office *office = arg;
    int own = (int)getpid();
    for (int i = 0; i < EACH; i++) {
        brood_list *list = list_with(office->manager, i);
        brood_any found, common;
        CHECK_RESULT(brood_dict_set(office->shop, own, list), 0);
        CHECK_RESULT(brood_list_close(list), 0);
        CHECK_RESULT(brood_dict_get(office->shop, own, &found), 0);
        check_list(office->manager, &found, i);
        CHECK_RESULT(brood_dict_get(office->shop, "common", &common), 0);
        list = CHECK_POINTER(brood_reference_list(office->manager, &common));
        CHECK_RESULT(brood_list_append(list, own), 0);
        CHECK_RESULT(brood_list_close(list), 0);
    }
    return 0;
}

static void many_at_once(void)
{
    struct office *office = CHECK_POINTER(brood_alloc(sizeof *office));
    NEED(office != NULL);
    office->manager = start();
    office->shop = CHECK_POINTER(brood_manager_dict(office->manager, NULL));
    brood_list *common = CHECK_POINTER(brood_manager_list(office->manager, NULL));
    CHECK_RESULT(brood_dict_set(office->shop, "common", common), 0);
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        const brood_process_options options = { .start = (brood_start)(BROOD_FORK + i % 3) };
        processes[i] = CHECK_POINTER(brood_process_start(keep_lists, office, 0, &options));
    }
    for (int i = 0; i < PARTIES; i++)
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_list_length(common), PARTIES * EACH);
    CHECK_EQ(objects(office->manager), 2 + PARTIES); /* what the processes stored outlives them */
    CHECK_RESULT(brood_list_close(common), 0);
    CHECK_RESULT(brood_dict_close(office->shop), 0);
    finish(office->manager);
    brood_free(office);
}

static void servers_of_each_method(void)
{
    for (int method = BROOD_FORK; method <= BROOD_FORKSERVER; method++) {
        brood_manager *manager =
            CHECK_POINTER(brood_manager_start(&(brood_manager_options){ .start = (brood_start)method }));
        NEED(manager != NULL);
        brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
        brood_list *list = list_with(manager, method);
        brood_any found;
        CHECK_RESULT(brood_dict_set(dict, "list", list), 0);
        CHECK_RESULT(brood_list_close(list), 0);
        CHECK_RESULT(brood_dict_pop(dict, "list", &found), 0);
        check_list(manager, &found, method);
        CHECK_EQ(objects(manager), 1);
        CHECK_RESULT(brood_dict_close(dict), 0);
        finish(manager);
    }
}

/* What a batch has read is there until something else is asked. */
static void in_batches(void)
{
    brood_manager *manager = start();
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_list *one = list_with(manager, 1), *two = list_with(manager, 2);
    brood_batch *batch = CHECK_POINTER(brood_batch_create(manager));
    const brood_any first[] = { brood_any_string("one"), brood_any_reference(one) };
    const brood_any second[] = { brood_any_string("two"), brood_any_reference(two) };
    const brood_any self[] = { brood_any_string("self"), brood_any_reference(dict) };
    CHECK_RESULT(brood_batch_call(batch, dict, "set", first, 2), 0);
    CHECK_RESULT(brood_batch_call(batch, dict, "set", second, 2), 1);
    CHECK_RESULT(brood_batch_call(batch, dict, "set", self, 2), 2);
    CHECK_RESULT(brood_batch_run(batch), 1);
    CHECK_RESULT(brood_batch_result(batch, 2, NULL), -ELOOP);
    CHECK_RESULT(brood_list_close(one), 0);
    CHECK_RESULT(brood_list_close(two), 0);
    CHECK_RESULT(brood_batch_call(batch, dict, "pop", first, 1), 0);
    CHECK_RESULT(brood_batch_call(batch, dict, "pop", second, 1), 1);
    CHECK_RESULT(brood_batch_call(batch, dict, "length", NULL, 0), 2);
    CHECK_RESULT(brood_batch_run(batch), 0);
    brood_any found[2];
    CHECK_RESULT(brood_batch_result(batch, 0, &found[0]), 0);
    CHECK_RESULT(brood_batch_result(batch, 1, &found[1]), 0);
    one = CHECK_POINTER(brood_reference_list(manager, &found[0]));
    two = CHECK_POINTER(brood_reference_list(manager, &found[1]));
    check_list(manager, &found[0], 1);
    check_list(manager, &found[1], 2);
    CHECK_RESULT(brood_list_close(one), 0);
    CHECK_RESULT(brood_list_close(two), 0);
    CHECK_EQ(objects(manager), 1);
    CHECK_RESULT(brood_batch_destroy(batch), 0);
    CHECK_RESULT(brood_dict_close(dict), 0);
    finish(manager);
}

static void client_by_address(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_connect(harness_page(), NULL));
    NEED(manager != NULL);
    brood_dict *shop = CHECK_POINTER(brood_manager_dict(manager, "shop"));
    brood_any found;
    CHECK_RESULT(brood_dict_get(shop, "fruit", &found), 0);
    check_list(manager, &found, 3);
    brood_list *mine = list_with(manager, 4);
    CHECK_RESULT(brood_dict_set(shop, "mine", mine), 0);
    CHECK_RESULT(brood_list_append(mine, shop), -ELOOP);
    CHECK_HAS(brood_error(), "would refer to itself");
    CHECK_RESULT(brood_list_close(mine), 0);
    CHECK_RESULT(brood_dict_pop(shop, "gone", &found), 0);
    CHECK_STR(brood_reference_type(manager, &found), "lock");
    brood_managed_lock *lock = CHECK_POINTER(brood_reference_lock(manager, &found));
    CHECK_NULL(brood_reference_list(manager, &found), EINVAL);
    CHECK_RESULT(brood_managed_lock_acquire(lock, 0), 0);
    CHECK_RESULT(brood_managed_lock_release(lock), 0);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    CHECK_NULL(brood_reference_lock(manager, &found), EINVAL);
    CHECK_HAS(brood_error(), "gone");
    CHECK_RESULT(brood_dict_pop(shop, "lent", &found), 0); /* and dies with it */
    raise(SIGKILL);
}

static bool three_objects(void *context)
{
    return objects(context) == 3;
}

static bool no_objects(void *context)
{
    return objects(context) == 0;
}

static void by_address(void)
{
    if (harness_part()) {
        client_by_address();
        return;
    }
    char *address = harness_page();
    snprintf(address, 64, "unix:@brood-reference-%d", (int)getpid());
    brood_manager *manager = start();
    CHECK_RESULT(brood_manager_listen(manager, address, NULL), 0);
    brood_dict *shop = CHECK_POINTER(brood_manager_dict(manager, "shop"));
    brood_list *fruit = list_with(manager, 3);
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(manager, NULL));
    brood_managed_event *lent = CHECK_POINTER(brood_manager_event(manager, NULL));
    CHECK_RESULT(brood_dict_set(shop, "fruit", fruit), 0);
    CHECK_RESULT(brood_dict_set(shop, "gone", lock), 0);
    CHECK_RESULT(brood_dict_set(shop, "lent", lent), 0);
    CHECK_RESULT(brood_list_close(fruit), 0);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    CHECK_RESULT(brood_managed_event_close(lent), 0);
    CHECK_EQ(wait_child(harness_start("client")), SIGKILL);
    CHECK(wait_until(three_objects, manager, NOTICE_MS));
    brood_any found;
    CHECK_RESULT(brood_dict_get(shop, "mine", &found), 0);
    check_list(manager, &found, 4);
    CHECK_RESULT(brood_manager_forget(manager, "shop"), 0);
    CHECK_RESULT(brood_dict_close(shop), 0);
    CHECK(wait_until(no_objects, manager, NOTICE_MS)); /* the dead one's two lines end one after the other */
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* With no memory for more, what would be counted is as it was. */
static void without_memory(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(&(brood_manager_options){ .max_memory = 20000 }));
    NEED(manager != NULL);
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    brood_list *other = list_with(manager, 1);
    static brood_any many[2000];
    for (int i = 0; i < 2000; i++)
        many[i] = brood_any_reference(other);
    CHECK_RESULT(brood_list_extend(list, brood_any_list(many, 2000)), -ENOMEM);
    CHECK_RESULT(brood_list_append(list, brood_any_list(many, 2000)), -ENOMEM);
    int failed = 0;
    while (failed == 0)
        failed = brood_list_extend(list, brood_any_list(many, 20));
    CHECK_RESULT(failed, -ENOMEM);
    CHECK_RESULT(brood_list_close(other), 0);
    CHECK_EQ(objects(manager), 2);
    CHECK_RESULT(brood_list_clear(list), 0);
    CHECK_EQ(objects(manager), 1);
    CHECK_RESULT(brood_list_close(list), 0);
    finish(manager);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "in_each_container", .run = in_each_container },
        { .name = "deep_in_values", .run = deep_in_values },
        { .name = "each_type", .run = each_type },
        { .name = "last_reference", .run = last_reference },
        { .name = "copies", .run = copies },
        { .name = "long_chain", .run = long_chain, .deadline_s = 60 },
        { .name = "read_and_gone", .run = read_and_gone },
        { .name = "reader_killed", .run = reader_killed, .deadline_s = 60 },
        { .name = "thread_ends", .run = thread_ends },
        { .name = "item_comes_back", .run = item_comes_back },
        { .name = "putter_waits", .run = putter_waits },
        { .name = "cycles", .run = cycles },
        { .name = "too_much_to_see", .run = too_much_to_see, .deadline_s = 60 },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = "encoded", .run = encoded },
        { .name = "many_at_once", .run = many_at_once, .deadline_s = 60 },
        { .name = "servers_of_each_method", .run = servers_of_each_method },
        { .name = "in_batches", .run = in_batches },
        { .name = "by_address", .run = by_address, .deadline_s = 60 },
        { .name = "without_memory", .run = without_memory },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
