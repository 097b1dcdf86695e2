/* manager/routine.c */
#include "manager/routine.h"

#include "manager/reference.h"
#include "manager/reply.h"
#include "process/end.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ERRNO_MOST 4095 /* what is above is none */

static int reply_any(const struct routine *routine, const brood_any *value, struct parcel *reply)
{
    struct out out = { .bytes = NULL };
    int failed = any_write(&out, value, CBOR_DEPTH_MOST); /* how much it is */
    if (failed == -EMSGSIZE)
        return reply_fail(reply, failed, "the result of %s '%s' has lists and maps more than %d deep", routine->what,
                          routine->name, CBOR_DEPTH_MOST);
    if (failed == -EILSEQ)
        return reply_fail(reply, -EINVAL, "the result of %s '%s' has a string that is no UTF-8", routine->what,
                          routine->name);
    if (failed < 0)
        return reply_fail(reply, failed,
                          "the result of %s '%s' has something of no kind, or a list, map or reference as a key",
                          routine->what, routine->name);
    size_t size = out.size;
    if (size > reply_most)
        return reply_fail(reply, -EMSGSIZE, "the result of %s '%s' would have %zu bytes: the server sends %zu at most",
                          routine->what, routine->name, size, reply_most);
    uint8_t *bytes = parcel_room(reply, size);
    if (!bytes) {
        reply->size = 0;
        return -ENOMEM;
    }
    out = (struct out){ .bytes = bytes, .room = size };
    any_write(&out, value, CBOR_DEPTH_MOST);
    struct cursor cursor = { bytes, bytes + size };
    struct item written;
    item_next(&cursor, &written);
    if (reference_lend(&written))
        return 0;
    reply->size = 0;
    return -ENOMEM;
}

int routine_call(const struct routine *routine, const struct item *arg, struct parcel *reply)
{
    brood_any value, result = brood_any_nil();
    if (item_value(arg, &value) < 0)
        return reply_fail(reply, -ENOMEM, "the server has no memory for the argument of %s '%s'", routine->what,
                          routine->name);
    struct end_note note = { .how = BROOD_RUNNING };
    struct end_note *before = end_note_to(&note);
    int failed = routine->run(routine->context, &value, &result);
    end_note_to(before);
    if (failed < -ERRNO_MOST || failed > ERRNO_MOST)
        failed = -EIO;
    failed = failed > 0 ? -failed : failed;
    reply->size = 0; /* what its own calls left there */
    if (failed == 0)
        failed = reply_any(routine, &result, reply);
    else if (note.why[0])
        reply_fail(reply, failed, "%s", note.why);
    else
        reply_fail(reply, failed, "%s '%s' failed: %s", routine->what, routine->name, strerror(-failed));
    if (result.owner != value.owner) /* it may be the argument */
        brood_any_clear(&result);
    brood_any_clear(&value);
    return failed;
}
