/* pool/watched.h: results and pools as things to wait for, with others. */
#ifndef POOL_WATCHED_H
#define POOL_WATCHED_H

#include "exchange/waitable.h"

/* From now on brood_wait takes them. */
void pool_can_be_watched(void);

#endif
