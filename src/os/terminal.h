/* os/terminal.h: the terminal behind a descriptor. */
#ifndef OS_TERMINAL_H
#define OS_TERMINAL_H

/* How many columns it has that this process may draw on; 0: it is none, or a dumb one, or belongs to another process
 * group now. Reads the environment: no other thread may write it meanwhile. */
int terminal_columns(int fd);

#endif
