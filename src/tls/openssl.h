/* tls/openssl.h: libbrood_openssl: exchange/seal.h done by OpenSSL (1.1.1 or later).
 */
#ifndef TLS_OPENSSL_H
#define TLS_OPENSSL_H

#include "exchange/seal.h"

/* The table that libbrood looks for; the library's only visible name. */
extern const struct seal brood_openssl;

int hmac_make(const char *digest, const void *key, size_t key_size, const void *message, size_t size,
              unsigned char mac[SEAL_MAC_MOST]);
bool hmac_same(const void *a, const void *b, size_t size);

void *tls_context_create(const struct seal_plan *plan, char why[SEAL_WHY]);
void tls_context_destroy(void *context);
void *tls_session_create(void *context, const struct seal_line *line, const char *host);
void tls_session_destroy(void *handle);
int tls_agree(void *handle, char why[SEAL_WHY]);
ssize_t tls_read(void *handle, void *bytes, size_t size, bool keep, int *waits);
ssize_t tls_write(void *handle, const void *bytes, size_t size, int *waits);
size_t tls_pending(void *handle);
void tls_close(void *handle);

#endif
