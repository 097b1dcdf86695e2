/* os/program.c: the descriptor of the program's file, and the arguments.
 *
 * Both are taken by a constructor, while the working directory, the descriptors and the arguments are still as exec(2)
 * left them. /proc/self/exe is the inode itself, also of a file that was removed; the path in the auxiliary vector
 * serves where there is no /proc, and where ld.so was told to run the program: then /proc/self/exe is ld.so.
 *
 * A program may close every descriptor it does not know and be given the number for a file of its own, so the number
 * is only believed while device and inode are those that were opened.
 */
#include "os/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_LEAST 100 /* out of the way of programs that count on getting low numbers */

static int kept_fd = -1;
static dev_t kept_device;
static ino_t kept_inode;

static int given_count; /* the arguments as the constructor was given them; 0: it was not */
static char **given;
static char **remembered;

/* Keeps the descriptor, under a high number if there is one to be had. */
static void keep(int fd)
{
    struct stat file;
    if (fd < FD_LEAST) {
        int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_LEAST);
        if (high < 0 && fd < 3 && (high = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
            close(fd); /* better none than one that a child's standard stream is put over */
            return;
        }
        if (high >= 0) {
            close(fd);
            fd = high;
        }
    }
    if (fstat(fd, &file) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        close(fd);
        return;
    }
    kept_fd = fd;
    kept_device = file.st_dev;
    kept_inode = file.st_ino;
}

/* Whether the kernel was told to execute ld.so, and that to load the program: a program that wants an interpreter got
 * none from the kernel. */
static bool was_run_by_loader(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t count = headers ? getauxval(AT_PHNUM) : 0;
    for (size_t i = 0; i < count; i++)
        if (headers[i].p_type == PT_INTERP)
            return getauxval(AT_BASE) == 0;
    return false;
}

/* Before main, and before constructors of the program. glibc hands the arguments to constructors; another libc may
 * leave anything in their place: they are believed if they end where the environment begins, as exec(2) lays them out,
 * and not looked at before. */
__attribute__((constructor(101))) static void program_open(int count, char **arguments)
{
    if (count > 0 && (uintptr_t)arguments + ((uintptr_t)count + 1) * sizeof *arguments == (uintptr_t)environ) {
        given_count = count;
        given = arguments;
    }
    int fd = was_run_by_loader() ? -1 : open("/proc/self/exe", O_PATH | O_CLOEXEC);
    const char *path = (const char *)getauxval(AT_EXECFN);
    if (fd < 0 && path)
        fd = open(path, O_PATH | O_CLOEXEC);
    if (fd >= 0)
        keep(fd);
}

int program_fd(void)
{
    struct stat file;
    bool ours = kept_fd >= 0 && fstat(kept_fd, &file) == 0 && file.st_dev == kept_device && file.st_ino == kept_inode;
    return ours ? kept_fd : -EBADF;
}

bool program_gives_privileges(void)
{
    struct stat file;
    if (program_fd() < 0 || fstat(kept_fd, &file) < 0)
        return false;
    const mode_t as_group = S_ISGID | S_IXGRP; /* without the second, the first means mandatory locks */
    return (file.st_mode & S_ISUID && file.st_uid != geteuid()) ||
           ((file.st_mode & as_group) == as_group && file.st_gid != getegid());
}

void program_adopt(int fd)
{
    if (program_fd() < 0)
        keep(fd);
    else if (fd != kept_fd)
        close(fd);
}

void program_moved(int fd)
{
    if (kept_fd != fd) /* a store would cost a fresh child the copy of a page */
        kept_fd = fd;
}

/* A list of copied strings, ended by NULL. */
struct list {
    char **texts;
    size_t count;
};

static int list_append(struct list *list, const char *text)
{
    char **longer = realloc(list->texts, (list->count + 2) * sizeof *longer);
    if (!longer)
        return -ENOMEM;
    list->texts = longer;
    longer[list->count] = strdup(text);
    if (!longer[list->count])
        return -ENOMEM;
    longer[++list->count] = NULL;
    return 0;
}

static void list_free(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
}

/* As the kernel knows them: strings, each with its 0 byte. */
static int list_read(struct list *list)
{
    FILE *file = fopen("/proc/self/cmdline", "re");
    char *text = NULL;
    size_t room = 0;
    int result = 0;
    while (file && result == 0 && getdelim(&text, &room, '\0', file) > 0)
        result = list_append(list, text);
    free(text);
    if (file)
        fclose(file);
    if (result == 0 && list->count == 0) { /* no /proc: at least its name */
        const char *path = (const char *)getauxval(AT_EXECFN);
        result = list_append(list, path ? path : "");
    }
    return result;
}

int program_remember(void)
{
    struct list list = { 0 };
    int result = 0;
    if (remembered)
        return 0;
    for (int i = 0; i < given_count && given[i] && result == 0; i++)
        result = list_append(&list, given[i]);
    if (list.count == 0 && result == 0)
        result = list_read(&list);
    if (result < 0)
        list_free(&list);
    else
        remembered = list.texts;
    return result;
}

char *const *program_arguments(void)
{
    return remembered;
}
