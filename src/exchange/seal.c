/* exchange/seal.c: finding libbrood_openssl. It lies where libbrood lies (its RUNPATH says $ORIGIN), or where the
 * system looks for libraries; a program that links it itself has it loaded already. */
#include "exchange/seal.h"

#include "error/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>

#define SEAL_LIBRARY "libbrood_openssl.so." BROOD_SOVERSION
#define SEAL_SYMBOL "brood_openssl"

static _Atomic(const struct seal *) found; /* never unloaded */

const struct seal *seal(const char *call)
{
    const struct seal *table = atomic_load(&found);
    if (table)
        return table;
    void *library = dlopen(SEAL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    const struct seal *symbol = library ? dlsym(library, SEAL_SYMBOL) : NULL;
    if (!symbol) {
        error_set(ENOTSUP, "%s: keys and TLS need " SEAL_LIBRARY ": %s", call, dlerror());
        return NULL;
    }
    if (symbol->version != SEAL_VERSION) {
        error_set(ENOTSUP, "%s: " SEAL_LIBRARY " is of another brood (%u, not %d)", call, symbol->version,
                  SEAL_VERSION);
        return NULL;
    }
    atomic_store(&found, symbol);
    return symbol;
}
