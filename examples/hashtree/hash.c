/* hash.c: reads a file once through one buffer of the worker.
 *
 * A file may have been replaced since the walk saw it: O_NOFOLLOW and O_NONBLOCK make sure that a worker neither leaves
 * the tree through a link nor waits for the writer of a FIFO.
 */
#include "hash.h"

#include <brood.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)128 * 1024) /* stays in the second-level cache between read and hash */

/* Of each process: workers run one task at a time. */
static EVP_MD *sha256;
static EVP_MD_CTX *state;
static unsigned char block[BLOCK_BYTES];

int hash_prepare(void)
{
    /* The system's openssl.cnf has nothing to say on SHA-256, and takes longer to read than a file to hash. */
    if (!state && OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL)) {
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        state = sha256 ? EVP_MD_CTX_new() : NULL;
    }
    return state != NULL;
}

static int fail(int number)
{
    return brood_fail(number, "%s", strerror(number));
}

static int hash_open_file(int fd, struct hash *hash)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return fail(errno);
    if (!S_ISREG(status.st_mode))
        return brood_fail(-1, "is no regular file any more");
    if (status.st_size > (off_t)BLOCK_BYTES)
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (!EVP_DigestInit_ex(state, sha256, NULL))
        return brood_fail(-1, "SHA-256 failed");
    uint64_t bytes = 0;
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(errno);
        if (n == 0)
            break;
        if (!EVP_DigestUpdate(state, block, (size_t)n))
            return brood_fail(-1, "SHA-256 failed");
        bytes += (uint64_t)n;
        if (bytes > atomic_load_explicit(&hash->bytes, memory_order_relaxed))
            atomic_store_explicit(&hash->bytes, bytes, memory_order_relaxed);
    }
    return EVP_DigestFinal_ex(state, hash->digest, NULL) ? 0 : brood_fail(-1, "SHA-256 failed");
}

int hash_file(const void *in, void *out)
{
    const char *const *path = in;
    if (!hash_prepare())
        return brood_fail(-1, "there is no SHA-256");
    int fd = open(*path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return fail(errno);
    int failed = hash_open_file(fd, out);
    close(fd);
    return failed;
}
