/* manager/objects.c */
#include "manager/objects.h"

#include "manager/cell.h"
#include "manager/custom.h"
#include "manager/reference.h"
#include "manager/session.h"
#include "manager/view.h"
#include "manager/words.h"
#include "os/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MOST 3
#define PLACE_BITS 32 /* of an id: where the object is; above that, which of those that were there */

#define TURN_MOST (UINT32_MAX / 4) /* where turns begin: no other server's ids are likely to be this one's */

/* handles: an id each, of one process. */
struct holder {
    int32_t process;
    size_t count, room;
    uint64_t *handles;
    struct holder *next;
};

struct objects {
    struct object **places; /* each is a block of its own: they do not move */
    size_t count, room, living;
    struct mapping names; /* to ids */
    struct holder *holders;
    struct object *idle;
    uint32_t turn; /* of the first in each place */
    struct manager_limits limits;
};

static struct objects *here;

/* By the method that opens one. */
static const struct kind *const kinds[] = {
    [MANAGER_DICT] = &dictionary_served,
    [MANAGER_LIST] = &list_served,
    [MANAGER_NAMESPACE] = &namespace_served,
    [MANAGER_LOCK] = &lock_served,
    [MANAGER_RLOCK] = &rlock_served,
    [MANAGER_CONDITION] = &condition_served,
    [MANAGER_EVENT] = &event_served,
    [MANAGER_SEMAPHORE] = &semaphore_served,
    [MANAGER_BOUNDED_SEMAPHORE] = &bounded_semaphore_served,
    [MANAGER_BARRIER] = &barrier_served,
    [MANAGER_QUEUE] = &queue_served,
    [MANAGER_JOINABLE_QUEUE] = &joinable_queue_served,
    [MANAGER_SET] = &set_served,
    [MANAGER_VALUE] = &value_served,
    [MANAGER_ARRAY] = &array_served,
    [MANAGER_OBJECT] = &custom_served,
};

const struct kind *object_kind(const struct object *object)
{
    return kinds[object->type];
}

void object_release(struct line *line, int result)
{
    while (line->first)
        claimant_answer(line->first, result);
}

void object_dismiss(struct line *line)
{
    while (line->first)
        claimant_refuse(line->first, -EINVAL, "that object is gone");
}

struct objects *objects_create(const struct manager_limits *limits)
{
    struct objects *objects = calloc(1, sizeof *objects);
    if (!objects)
        return NULL;
    objects->limits = *limits;
    if (getentropy(&objects->turn, sizeof objects->turn) < 0)
        objects->turn = 0;
    objects->turn %= TURN_MOST;
    here = objects;
    return objects;
}

size_t objects_count(const struct objects *objects)
{
    return objects->living;
}

size_t objects_handles(const struct objects *objects)
{
    size_t count = 0;
    for (const struct holder *holder = objects->holders; holder; holder = holder->next)
        count += holder->count;
    return count;
}

static struct object *find(const struct objects *objects, uint64_t id)
{
    uint64_t place = id & ((UINT64_C(1) << PLACE_BITS) - 1);
    struct object *object = place < objects->count ? objects->places[place] : NULL;
    return id && object && object->id == id ? object : NULL;
}

struct object *objects_find(uint64_t id)
{
    return here ? find(here, id) : NULL;
}

static void clear(struct object *object)
{
    object_kind(object)->clear(object);
    while (object->holds)
        hold_reduce(object->holds, object->holds->count);
}

static bool is_needed(const struct object *object)
{
    return object->handles > 0 || object->named || object->references > 0 || object->loans > 0;
}

void objects_release(struct object *object)
{
    if (is_needed(object) || object->idle)
        return;
    object->idle = true;
    object->next_idle = here->idle;
    here->idle = object;
}

/* One after the other: what an object referred to goes after it, however long such a chain is. */
void objects_sweep(struct objects *objects)
{
    struct object *object;
    while ((object = objects->idle)) {
        objects->idle = object->next_idle;
        object->idle = false;
        if (is_needed(object))
            continue;
        clear(object);
        object->id = 0;
        objects->living--;
    }
}

static struct object *make(struct objects *objects, unsigned type)
{
    size_t place = 0;
    if (objects->living < objects->count)
        while (objects->places[place]->id)
            place++;
    else
        place = objects->count;
    if (place == objects->room) {
        size_t room = objects->room ? 2 * objects->room : 16;
        struct object **places = realloc(objects->places, room * sizeof *places);
        if (!places)
            return NULL;
        objects->places = places;
        objects->room = room;
    }
    if (place == objects->count) {
        objects->places[place] = calloc(1, sizeof **objects->places);
        if (!objects->places[place])
            return NULL;
        objects->places[place]->turn = objects->turn;
        objects->count++;
    }
    struct object *object = objects->places[place];
    uint32_t turn = object->turn % INT32_MAX + 1; /* ids are positive, and none is 0 */
    *object = (struct object){ .id = (uint64_t)turn << PLACE_BITS | place, .turn = turn, .type = type };
    objects->living++;
    return object;
}

/* ---- handles ---- */

static struct holder *holder_of(struct objects *objects, int32_t process, bool may_make)
{
    for (struct holder *holder = objects->holders; holder; holder = holder->next)
        if (holder->process == process)
            return holder;
    struct holder *holder = may_make ? calloc(1, sizeof *holder) : NULL;
    if (!holder)
        return NULL;
    holder->process = process;
    holder->next = objects->holders;
    objects->holders = holder;
    return holder;
}

static int hold(struct objects *objects, int32_t process, struct object *object)
{
    struct holder *holder = holder_of(objects, process, true);
    if (!holder)
        return -ENOMEM;
    if (holder->count == holder->room) {
        size_t room = holder->room ? 2 * holder->room : 8;
        uint64_t *handles = realloc(holder->handles, room * sizeof *handles);
        if (!handles)
            return -ENOMEM;
        holder->handles = handles;
        holder->room = room;
    }
    holder->handles[holder->count++] = object->id;
    object->handles++;
    return 0;
}

static bool let_go(struct objects *objects, int32_t process, uint64_t id)
{
    struct holder *holder = holder_of(objects, process, false);
    for (size_t i = 0; holder && i < holder->count; i++) {
        if (holder->handles[i] != id)
            continue;
        holder->handles[i] = holder->handles[--holder->count];
        struct object *object = find(objects, id);
        object->handles--;
        objects_release(object);
        return true;
    }
    return false;
}

static void free_holder(struct objects *objects, struct holder *holder)
{
    while (holder->count > 0)
        let_go(objects, holder->process, holder->handles[0]);
    struct holder **place = &objects->holders;
    while (*place != holder)
        place = &(*place)->next;
    *place = holder->next;
    free(holder->handles);
    free(holder);
}

/* Below 0: the session of that number. */
static bool is_gone(int32_t process)
{
    return process < 0 ? !session_lives(-process) : thread_is_gone((uint32_t)process);
}

void objects_look(struct objects *objects)
{
    for (struct holder *holder = objects->holders, *next; holder; holder = next) {
        next = holder->next;
        if (holder->count == 0 || is_gone(holder->process))
            free_holder(objects, holder);
    }
    objects_sweep(objects);
}

/* ---- the manager's own calls ---- */

/* Whether there may be one more: 0, or -ENOSPC with a sentence. */
static int check_count(const struct objects *objects, struct parcel *reply)
{
    if (objects->living < objects->limits.objects)
        return 0;
    return reply_fail(reply, -ENOSPC, "the server has %zu objects, as many as it is to have", objects->living);
}

/* A new one, of which the process has a handle. NULL, with *failed and perhaps a sentence. */
static struct object *begin_object(struct objects *objects, int32_t process, unsigned type, const struct item *with,
                                   struct parcel *reply, int *failed)
{
    if ((*failed = check_count(objects, reply)) < 0)
        return NULL;
    struct object *object = make(objects, type);
    *failed = object ? 0 : -ENOMEM;
    if (object && kinds[type]->begin) {
        object->refers = with->refers;
        *failed = kinds[type]->begin(object, with, reply);
    }
    if (*failed == 0)
        *failed = hold(objects, process, object);
    if (*failed == 0)
        return object;
    if (object)
        objects_release(object);
    return NULL;
}

static int give_name(struct objects *objects, struct object *object, const struct item *name)
{
    const struct item id = item_natural(object->id);
    struct datum value, before;
    datum_keep(&value, &id);
    int result = mapping_set(&objects->names, name, value, &before);
    object->named = result >= 0;
    return result < 0 ? result : 0;
}

/* args: a name, or nil, for an object without one; and what the type needs to make one. The reply is the id. */
static int open_object(struct objects *objects, int32_t process, unsigned type, const struct item *args,
                       struct parcel *reply)
{
    const struct item *name = &args[0];
    const struct pair *pair = name->kind == BROOD_NIL ? NULL : mapping_find(&objects->names, name);
    struct object *object = pair ? find(objects, pair->value.natural) : NULL;
    int failed = 0;
    if (object && (object->type != type || !custom_fits(object, &args[1])))
        return reply_fail(reply, -EINVAL, "'%.*s' is %s, no %s", item_shown(name), (const char *)name->bytes,
                          object_kind(object)->article, kinds[type]->name);
    if (object) {
        failed = hold(objects, process, object);
    } else {
        object = begin_object(objects, process, type, &args[1], reply, &failed);
        if (object && name->kind != BROOD_NIL && (failed = give_name(objects, object, name)) < 0)
            let_go(objects, process, object->id);
    }
    if (failed == -ENOMEM)
        return reply_fail(reply, failed, "the server has no memory for %s, or is not to have", kinds[type]->article);
    if (failed < 0 || !object)
        return failed;
    const struct item id = item_natural(object->id);
    return reply_item(reply, 0, &id);
}

const struct pair *objects_next(const struct objects *objects, const struct pair *after, struct object **object)
{
    const struct pair *next = mapping_next(&objects->names, after);
    *object = next ? find(objects, next->value.natural) : NULL;
    return next;
}

int objects_add(struct objects *objects, unsigned type, const struct item *name, struct object **object,
                struct parcel *reply)
{
    int failed = check_count(objects, reply);
    if (failed < 0)
        return failed;
    bool named = name->kind != BROOD_NIL;
    if (named && mapping_find(&objects->names, name))
        return reply_fail(reply, -EEXIST, "there are two objects of one name");
    *object = make(objects, type);
    failed = !*object ? -ENOMEM : named ? give_name(objects, *object, name) : 0;
    if (failed < 0 && *object)
        objects_release(*object);
    return failed < 0 ? reply_fail(reply, failed, "the server has no memory for %s", kinds[type]->article) : 0;
}

int objects_depth(const struct objects *objects)
{
    return (int)objects->limits.depth;
}

static int forget(struct objects *objects, const struct item *name, struct parcel *reply)
{
    struct pair *pair = mapping_find(&objects->names, name);
    if (!pair)
        return reply_fail(reply, -ENOENT, "no object has that name");
    struct datum id = mapping_take(&objects->names, pair);
    struct object *object = find(objects, id.natural);
    object->named = false;
    objects_release(object);
    return 0;
}

static int copy_object(struct objects *objects, int32_t process, uint64_t id, struct parcel *reply)
{
    struct object *object = find(objects, id);
    if (!object)
        return reply_fail(reply, -EINVAL, "that object is gone");
    if (!object_kind(object)->copy)
        return reply_fail(reply, -EINVAL, "%s cannot be copied", object_kind(object)->article);
    int full = check_count(objects, reply);
    if (full < 0)
        return full;
    struct object *copy = make(objects, object->type);
    if (copy)
        copy->refers = object->refers;
    int result = copy ? object_kind(object)->copy(copy, object) : -ENOMEM;
    if (result == 0)
        result = hold(objects, process, copy);
    if (result < 0) {
        if (copy)
            objects_release(copy);
        return reply_fail(reply, result, "the server has no memory for a copy, or is not to have");
    }
    const struct item number = item_natural(copy->id);
    return reply_item(reply, 0, &number);
}

/* word: of the type that it is to be of; NULL or nil: of any. The reply is the id. */
static int open_referred(struct objects *objects, int32_t process, uint64_t id, const struct item *word,
                         struct parcel *reply)
{
    struct object *object = find(objects, id);
    bool any = !word || word->kind == BROOD_NIL;
    const struct operation *wanted =
        !any && word->kind == BROOD_STRING ? operation_named((const char *)word->bytes, word->size) : NULL;
    if (!any && (!wanted || wanted->type != 0 || type_kin(wanted->method) != type_kin(object->type)))
        return reply_fail(reply, -EINVAL, "that refers to %s", object_kind(object)->article);
    if (hold(objects, process, object) < 0)
        return reply_fail(reply, -ENOMEM, "the server has no memory for a handle");
    const struct item number = item_natural(object->id);
    return reply_item(reply, 0, &number);
}

static int say_type(const struct objects *objects, uint64_t id, struct parcel *reply)
{
    const char *word = operation_of(0, find(objects, id)->type)->name;
    const struct item type = { .kind = BROOD_STRING, .bytes = (const uint8_t *)word, .size = strlen(word) };
    return reply_item(reply, 0, &type);
}

static int call_manager(struct objects *objects, int32_t process, unsigned method, const struct item *args,
                        unsigned count, struct parcel *reply)
{
    bool is_text = count >= 1 && args[0].kind == BROOD_STRING;
    bool is_id = count >= 1 && (args[0].kind == BROOD_INT || args[0].kind == BROOD_UINT);
    bool opens = method < sizeof kinds / sizeof *kinds && kinds[method];
    if (opens && count == (kinds[method]->begin ? 2 : 1) && (is_text || args[0].kind == BROOD_NIL))
        return open_object(objects, process, method, args, reply);
    if (method == MANAGER_FORGET && count == 1 && is_text)
        return forget(objects, &args[0], reply);
    if (method == MANAGER_COPY && count == 1 && is_id)
        return copy_object(objects, process, args[0].natural, reply);
    if (method == MANAGER_CLOSE && count == 2 && is_id && args[1].kind == BROOD_INT)
        return let_go(objects, (int32_t)args[1].integer, args[0].natural)
                   ? 0
                   : reply_fail(reply, -EINVAL, "that handle was given back already");
    if (method == MANAGER_OPEN && (count == 1 || count == 2) && args[0].kind == BROOD_REFERENCE)
        return open_referred(objects, process, args[0].natural, count == 2 ? &args[1] : NULL, reply);
    if (method == MANAGER_TYPE && count == 1 && args[0].kind == BROOD_REFERENCE)
        return say_type(objects, args[0].natural, reply);
    return reply_fail(reply, -EINVAL, "a manager has no method %u with these arguments", method);
}

static int read_arguments(const struct manager_limits *limits, struct cursor *arguments, unsigned count,
                          struct item *args, struct parcel *reply)
{
    size_t size = (size_t)(arguments->end - arguments->at);
    if (size > limits->message)
        return reply_fail(reply, -EMSGSIZE, "its arguments are %zu bytes: the server takes %zu at most", size,
                          limits->message);
    if (count > ARGUMENTS_MOST)
        return reply_fail(reply, -EINVAL, "%u arguments are too many", count);
    for (unsigned i = 0; i < count; i++) {
        int failed = item_read(arguments, &args[i], (int)limits->depth);
        if (failed == -EMSGSIZE)
            return reply_fail(reply, failed, "lists and maps lie more than %zu deep", limits->depth);
        if (failed == -EILSEQ)
            return reply_fail(reply, -EINVAL, "a string is no UTF-8");
        if (failed < 0)
            return reply_fail(reply, failed, "argument %u is no value", i + 1);
    }
    return 0;
}

/* Types that are asked in the same words are called by the same function. */
static bool is_kin(unsigned type, const struct kind *kind)
{
    return type < sizeof kinds / sizeof *kinds && kinds[type] && kinds[type]->call == kind->call;
}

/* Whether that argument is to be kept, not looked for or compared: a key is no reference, nor is what is in a set. */
static bool is_stored(const struct object *object, unsigned method, unsigned argument)
{
    if (method == OBJECT_RUN)
        return false;
    switch (object->type) {
    case MANAGER_DICT:
    case MANAGER_NAMESPACE:
        return (argument > 0 && (method != DICT_COMPARE || argument > 1)) || method == DICT_UPDATE;
    case MANAGER_VALUE:
        return method != VALUE_COMPARE || argument > 0;
    case MANAGER_ARRAY:
        return method != LIST_COMPARE || argument > 1;
    case MANAGER_LIST:
        return (method != LIST_COMPARE || argument > 1) && method != LIST_REMOVE && method != LIST_INDEX &&
               method != LIST_COUNT;
    default:
        return object->type != MANAGER_SET && object->type != MANAGER_OBJECT;
    }
}

int objects_check_references(struct object *object, unsigned method, const struct item *args, unsigned count,
                             struct parcel *reply)
{
    int failed = 0;
    for (unsigned i = 0; i < count && failed == 0; i++) {
        if (!args[i].refers)
            continue;
        bool stored = object && is_stored(object, method, i);
        failed = reference_check(stored ? object : NULL, &args[i], REFERENCE_WALK, reply);
        if (failed == 0 && stored)
            object->refers = true;
    }
    return failed;
}

static int call_object(const struct objects *objects, struct object *object, struct client *client,
                       const struct request *request, const struct item *args, struct parcel *reply)
{
    struct claimant *claimant = NULL;
    if (!object)
        return reply_fail(reply, -EINVAL, "that object is gone");
    const struct kind *kind = object_kind(object);
    if (request->type && !is_kin(request->type, kind))
        return reply_fail(reply, -EINVAL, "that object is %s", kind->article);
    if (request->method == OBJECT_RUN && (kind->waits || object->type == MANAGER_OBJECT))
        return reply_fail(reply, -EINVAL, "no function runs at %s", kind->article);
    if (kind->waits && !(claimant = claimant_of(client, true)))
        return -ENOMEM;
    int failed = objects_check_references(object, request->method, args, request->count, reply);
    if (failed < 0)
        return failed;
    if (request->method == OBJECT_RUN)
        return view_run(object, args, request->count, (int)objects->limits.depth, reply);
    return kind->call(object, claimant, request->method, args, request->count, reply);
}

int objects_call(struct objects *objects, struct client *client, const struct request *request,
                 struct cursor *arguments, struct parcel *reply)
{
    struct item args[ARGUMENTS_MOST] = { { .kind = BROOD_NIL } };
    int failed = read_arguments(&objects->limits, arguments, request->count, args, reply);
    if (failed < 0)
        return failed;
    struct client *before = reference_answer_to(client);
    if (request->object) {
        failed = call_object(objects, find(objects, request->object), client, request, args, reply);
    } else {
        int32_t session = atomic_load_explicit(&client->channel->session, memory_order_relaxed);
        int32_t process = session ? -session : (int32_t)atomic_load(&client->channel->holder.owner);
        failed = objects_check_references(NULL, request->method, args, request->count, reply);
        if (failed == 0)
            failed = call_manager(objects, process, request->method, args, request->count, reply);
    }
    reference_answer_to(before);
    return failed;
}

bool objects_is_about_loan(const struct request *request)
{
    return request->object == 0 && (request->method == MANAGER_OPEN || request->method == MANAGER_TYPE);
}

void objects_settle(struct client *client)
{
    struct claimant *claimant = claimant_of(client, false);
    if (claimant)
        claimant_settle(claimant);
}

void objects_cancel(struct client *client)
{
    struct claimant *claimant = claimant_of(client, false);
    if (claimant && claimant->object)
        object_kind(claimant->object)->leave(claimant, false);
}

void objects_gone(struct objects *objects, struct client *client)
{
    struct claimant *claimant = claimant_of(client, false);
    reference_end_loans(client, reference_loans(client));
    if (claimant)
        claimant_end(claimant);
    objects_sweep(objects);
}

void objects_destroy(struct objects *objects)
{
    while (objects->holders)
        free_holder(objects, objects->holders);
    here = NULL; /* nothing is counted any more */
    for (size_t i = 0; i < objects->count; i++) {
        if (objects->places[i]->id)
            clear(objects->places[i]);
        free(objects->places[i]);
    }
    mapping_clear(&objects->names);
    free(objects->places);
    free(objects);
}
