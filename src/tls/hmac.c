/* tls/hmac.c: HMAC by libcrypto, and the table of all that is here. */
#include "tls/openssl.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

/* Python's names, and OpenSSL's. */
static const char *const names[][2] = {
    { "md5", "MD5" },           { "sha256", "SHA256" },     { "sha384", "SHA384" },
    { "sha3_256", "SHA3-256" }, { "sha3_384", "SHA3-384" },
};

int hmac_make(const char *digest, const void *key, size_t key_size, const void *message, size_t size,
              unsigned char mac[SEAL_MAC_MOST])
{
    const EVP_MD *method = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], digest) == 0)
            method = EVP_get_digestbyname(names[i][1]);
    unsigned length = 0;
    if (!method || EVP_MD_size(method) > SEAL_MAC_MOST ||
        !HMAC(method, key, (int)key_size, message, size, mac, &length))
        return -ENOTSUP; /* too old a library, or one that is not allowed it (FIPS) */
    return (int)length;
}

bool hmac_same(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

__attribute__((visibility("default"))) const struct seal brood_openssl = {
    .version = SEAL_VERSION,
    .hmac = hmac_make,
    .same = hmac_same,
    .context_create = tls_context_create,
    .context_destroy = tls_context_destroy,
    .session_create = tls_session_create,
    .session_destroy = tls_session_destroy,
    .agree = tls_agree,
    .read = tls_read,
    .write = tls_write,
    .pending = tls_pending,
    .close = tls_close,
};
