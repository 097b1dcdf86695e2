/* exchange/credentials.c */
#include "exchange/credentials.h"

#include "error/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int check(const char *call, const void *key, size_t key_size, bool weak, const struct seal_plan *files)
{
    if (!key && key_size)
        return error_set(EINVAL, "%s: a key of %zu bytes at NULL", call, key_size);
    if (key && (key_size == 0 || key_size > CREDENTIALS_KEY))
        return error_set(EINVAL, "%s: a key of %zu bytes: it must have 1 to %zu", call, key_size, CREDENTIALS_KEY);
    if (weak && !key)
        return error_set(EINVAL, "%s: weak digests without a key", call);
    if (!files->certificate != !files->private_key)
        return error_set(EINVAL, "%s: a certificate and its private key go together", call);
    if (files->listens && files->authority && !files->certificate)
        return error_set(EINVAL, "%s: an authority without a certificate", call);
    return 0;
}

int credentials_read(struct greeting_plan *plan, const char *call, const void *key, size_t key_size, bool weak,
                     bool tls, const struct seal_plan *files)
{
    *plan = (struct greeting_plan){ .weak = weak };
    int failed = check(call, key, key_size, weak, files);
    tls |= files->certificate || files->authority;
    if (failed < 0 || (!key && !tls))
        return failed;
    if (!(plan->seal = seal(call)))
        return -ENOTSUP;
    if (key) {
        plan->key = malloc(key_size);
        if (!plan->key)
            return error_set(ENOMEM, "%s: no memory", call);
        memcpy(plan->key, key, key_size);
        plan->key_size = key_size;
    }
    char why[SEAL_WHY] = "";
    if (tls && !(plan->context = plan->seal->context_create(files, why))) {
        credentials_forget(plan);
        return error_set(EINVAL, "%s: %s", call, why);
    }
    return 0;
}

void credentials_forget(struct greeting_plan *plan)
{
    if (plan->key) {
        explicit_bzero(plan->key, plan->key_size);
        free(plan->key);
    }
    if (plan->context)
        plan->seal->context_destroy(plan->context);
    *plan = (struct greeting_plan){ 0 };
}
