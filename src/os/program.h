/* os/program.h: this program, so that it can be started again: its file and its arguments.
 *
 * A path would not do: the file may have been removed or replaced since, and the directory changed. What is kept is a
 * descriptor of the very inode that runs (O_PATH, close-on-exec), opened before main.
 */
#ifndef OS_PROGRAM_H
#define OS_PROGRAM_H

#include <stdbool.h>

/* The descriptor, for fexecve(3); program.c's to keep. -EBADF: the file could not be opened, or the number is the
 * program's file no longer (somebody closed it, and perhaps opened something else). Any thread. */
int program_fd(void);

/* Whether executing it gives another user's or group's privileges than this process has now. */
bool program_gives_privileges(void);

/* Hands over a descriptor of the program's file that was inherited from the process that started this one. It takes
 * the place of the one that could not be opened here, else it is closed: the number is not the caller's any more.
 * Before other threads exist. */
void program_adopt(int fd);

/* It has another number now, negative if none. */
void program_moved(int fd);

/* Copies the arguments, which the program may overwrite later on (getopt(3) sorts them, a daemon writes its title over
 * them). Once, before other threads exist; a second call does nothing. 0, or -ENOMEM. */
int program_remember(void);

/* The arguments as they were then, ended by NULL; program.c's, for the process' life. NULL before program_remember. */
char *const *program_arguments(void);

#endif
