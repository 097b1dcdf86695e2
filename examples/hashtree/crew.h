/* crew.h: the threads of this process that keep the pool busy. */
#ifndef HASHTREE_CREW_H
#define HASHTREE_CREW_H

#include <brood.h>

/* Hashes what is under the arguments (NULL-terminated) and prints it; returns when all is done, or nothing more can be
 * printed. What goes wrong is reported. */
void crew_run(brood_pool *pool, char *const *arguments);

#endif
