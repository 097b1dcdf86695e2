/* process/fini.h: the orderly end of a process. */
#ifndef PROCESS_FINI_H
#define PROCESS_FINI_H

/* Has brood_fini run when this process calls exit(3) or main returns. 0, or -ENOMEM. Once, at brood_init. */
int fini_at_exit(void);

/* In a forked child: from here on exit(3) runs the handlers that the child registers itself, then brood_fini, flushes
 * its streams and ends the process; the handlers it has from its starter are never reached. 0, or -ENOMEM: then it
 * must not call exit(3). */
int fini_cut(void);

#endif
