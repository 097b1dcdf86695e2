/* manager/view.c */
#include "manager/view.h"

#include "error/error.h"
#include "manager/objects.h"
#include "manager/registry.h"
#include "manager/reply.h"
#include "manager/routine.h"
#include "manager/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MOST = 3 };

struct brood_managed_view {
    struct object *object;
    const struct function *function;
    int depth;
    struct parcel *reply; /* the client's, in which each of the function's own calls is answered for a moment */
};

static int run_function(void *context, const brood_any *arg, brood_any *result)
{
    struct brood_managed_view *view = context;
    return view->function->run(view, arg, result);
}

int view_run(struct object *object, const struct item *args, unsigned count, int depth, struct parcel *reply)
{
    if (count != 2 || args[0].kind != BROOD_STRING)
        return reply_fail(reply, -EINVAL, "what is run is a function's name, and a value");
    struct brood_managed_view view = {
        .object = object, .function = registry_function(&args[0]), .depth = depth, .reply = reply
    };
    if (!view.function)
        return reply_fail(reply, -ENOENT, "no function '%.*s' is registered", item_shown(&args[0]),
                          (const char *)args[0].bytes);
    const struct routine routine = { run_function, &view, "function", view.function->name };
    return routine_call(&routine, &args[1], reply);
}

/* ---- inside a function ---- */

/* The values, encoded, one behind the other, and where each lies. 0, or -errno with a sentence; *bytes is to be freed.
 */
static int encode(const char *call, const brood_any *values, unsigned count, int depth, struct item *items,
                  uint8_t **bytes)
{
    struct out out = { .bytes = NULL };
    for (int pass = 0; pass < 2; pass++) {
        if (pass > 0 && !(*bytes = malloc(out.size ? out.size : 1)))
            return error_set(ENOMEM, "%s: the server has no memory for the values", call);
        out = (struct out){ .bytes = *bytes, .room = pass ? out.size : 0 };
        for (unsigned i = 0; i < count; i++) {
            int failed = any_write(&out, &values[i], depth);
            if (failed == -EMSGSIZE)
                return error_set(EMSGSIZE, "%s: lists and maps lie more than %d deep", call, depth);
            if (failed == -EILSEQ)
                return error_set(EINVAL, "%s: a string is no UTF-8", call);
            if (failed < 0)
                return error_set(EINVAL, "%s: something in a value is of no kind, or a list, map or reference is a key",
                                 call);
        }
    }
    struct cursor cursor = { *bytes, *bytes + out.size };
    for (unsigned i = 0; i < count; i++)
        item_next(&cursor, &items[i]);
    return 0;
}

/* The reply's content, as the value, or as the sentence of a call that failed. */
static int take_reply(const struct parcel *reply, const char *call, int outcome, brood_any *result)
{
    size_t size;
    const void *content = parcel_content(reply, &size);
    if (outcome < 0 && (!content || size == 0))
        return error_set(-outcome, "%s: %s", call, strerror(-outcome));
    if (outcome < 0)
        return error_set(-outcome, "%s: %.*s", call, (int)size, (const char *)content);
    if (!result || size == 0)
        return outcome;
    void *copy = content ? malloc(size) : NULL; /* another process can write where it lies */
    int failed = copy ? brood_any_decode(memcpy(copy, content, size), size, result) : -ENOMEM;
    free(copy);
    return failed < 0 ? error_set(-failed, "%s: the server has no memory for the value", call) : outcome;
}

int brood_managed_view_call(brood_managed_view *view, const char *operation, const brood_any *values, int count,
                            brood_any *result)
{
    static const char call[] = "brood_managed_view_call";
    if (result)
        *result = brood_any_nil();
    if (!view || !operation)
        return error_null(call, view ? "the operation" : "the view");
    if (count < 0 || count > VALUES_MOST || (!values && count > 0))
        return error_set(EINVAL, "%s: %d values at %p", call, count, (const void *)values);
    const struct kind *kind = object_kind(view->object);
    const struct operation *found = operation_at(view->object->type, operation);
    if (!found || found->method == OBJECT_RUN)
        return error_set(EINVAL, "%s: %s has no '%s'", call, kind->article, operation);
    struct item items[VALUES_MOST];
    uint8_t *bytes = NULL;
    int outcome = encode(call, values, (unsigned)count, view->depth, items, &bytes);
    if (outcome == 0) {
        view->reply->size = 0;
        outcome = objects_check_references(view->object, found->method, items, (unsigned)count, view->reply);
        if (outcome == 0)
            outcome = kind->call(view->object, NULL, found->method, items, (unsigned)count, view->reply);
        outcome = take_reply(view->reply, call, outcome, result);
    }
    free(bytes);
    return outcome;
}
