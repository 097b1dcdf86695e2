/* exchange/credentials.h: what a listener's or a connection's options say of keys and TLS, kept.
 */
#ifndef EXCHANGE_CREDENTIALS_H
#define EXCHANGE_CREDENTIALS_H

#include "exchange/greeting.h"

#define CREDENTIALS_KEY ((size_t)65536)

/* Copies the key and reads the files. `tls` asks for TLS; so does each file. 0, or -errno with a sentence: -EINVAL,
 * -ENOTSUP, -ENOMEM. */
int credentials_read(struct greeting_plan *plan, const char *call, const void *key, size_t key_size, bool weak,
                     bool tls, const struct seal_plan *files);
void credentials_forget(struct greeting_plan *plan);

#endif
