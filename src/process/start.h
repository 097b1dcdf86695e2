/* process/start.h: what BROOD_DEFAULT means in this process. */
#ifndef PROCESS_START_H
#define PROCESS_START_H

#include <brood/start.h>

/* At brood_init: what its options asked for (BROOD_DEFAULT: nothing), else what the environment says. 0, or -EINVAL
 * with a sentence. */
int start_choose(brood_start asked);

/* In a child: its starter's default. */
void start_inherit(brood_start start);

brood_start start_default(void);

#endif
