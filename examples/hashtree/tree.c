/* tree.c: a depth-first walk with a list of names a level.
 *
 * The names in a directory are sorted by their bytes, and what a directory contains comes at its place among them: an
 * order that is the same every time and needs no more memory than the directories from the root to here. No descriptor
 * stays open between two calls. Paths are what the workers open in the end, so the walk uses them too, and a path that
 * no system call would take is a problem here already.
 */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IS_DIRECTORY UINT64_MAX /* as the size of an entry */

struct entry {
    const char *name;
    uint64_t size;
};

struct level {
    struct entry *entries;
    char *text;         /* their names */
    size_t count, next; /* entries, and which comes next */
    size_t length;      /* of the path that the names are put behind, slash included */
};

/* The names of a directory while it is read. `text` moves as it grows, so entries get their names at the end. */
struct reading {
    struct entry *entries;
    char *text;
    size_t count, room, used, text_room;
};

struct tree {
    char *const *arguments;
    void (*problem)(const char *path, const char *why);
    struct level *levels;
    size_t depth, room;         /* of levels: in use, and allocated */
    char path[PATH_MAX + 1024]; /* a directory's path that the system takes, and any name in it */
};

static void tell(const struct tree *tree, const char *path, int number)
{
    if (tree->problem)
        tree->problem(path, strerror(number));
}

/* Makes tree->path the first `length` bytes of what it is, and `name`. */
static void put_behind(struct tree *tree, size_t length, const char *name)
{
    snprintf(tree->path + length, sizeof tree->path - length, "%s", name);
}

static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static bool add(struct reading *reading, const char *name, uint64_t size)
{
    size_t length = strlen(name) + 1;
    if (reading->count == reading->room) {
        size_t room = 2 * reading->room + 16;
        struct entry *entries = realloc(reading->entries, room * sizeof *entries);
        if (!entries)
            return false;
        reading->entries = entries;
        reading->room = room;
    }
    if (reading->text_room - reading->used < length) {
        size_t room = 2 * reading->text_room + length + 256;
        char *text = realloc(reading->text, room);
        if (!text)
            return false;
        reading->text = text;
        reading->text_room = room;
    }
    memcpy(reading->text + reading->used, name, length);
    reading->used += length;
    reading->entries[reading->count++].size = size;
    return true;
}

/* Whether the walk has to do with an entry of the directory, and then its size, or IS_DIRECTORY. */
static bool classify(struct tree *tree, size_t length, int directory, const struct dirent *found, uint64_t *size)
{
    *size = found->d_type == DT_DIR ? IS_DIRECTORY : 0;
    if (found->d_type != DT_REG && found->d_type != DT_UNKNOWN)
        return found->d_type == DT_DIR;
    struct stat status;
    if (fstatat(directory, found->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        *size = S_ISDIR(status.st_mode) ? IS_DIRECTORY : (uint64_t)status.st_size;
        return S_ISDIR(status.st_mode) || S_ISREG(status.st_mode);
    }
    if (found->d_type == DT_REG)
        return true; /* whoever opens it will learn, and say, why it cannot be had */
    int number = errno;
    put_behind(tree, length, found->d_name);
    tell(tree, tree->path, number);
    return false;
}

/* 0, or a negative errno; `reading` has what was read until then. */
static int read_names(struct tree *tree, size_t length, DIR *stream, struct reading *reading)
{
    for (;;) {
        errno = 0;
        const struct dirent *found = readdir(stream);
        if (!found)
            return -errno;
        uint64_t size;
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0 ||
            !classify(tree, length, dirfd(stream), found, &size))
            continue;
        if (!add(reading, found->d_name, size))
            return -ENOMEM;
    }
}

static int push(struct tree *tree, size_t length, const struct reading *reading)
{
    if (tree->depth == tree->room) {
        size_t room = 2 * tree->room + 16;
        struct level *levels = realloc(tree->levels, room * sizeof *levels);
        if (!levels)
            return -ENOMEM;
        tree->levels = levels;
        tree->room = room;
    }
    const char *name = reading->text;
    for (size_t i = 0; i < reading->count; name += strlen(name) + 1)
        reading->entries[i++].name = name;
    if (reading->count > 0)
        qsort(reading->entries, reading->count, sizeof *reading->entries, compare);
    tree->levels[tree->depth++] =
        (struct level){ .entries = reading->entries, .text = reading->text, .count = reading->count, .length = length };
    return 0;
}

/* Reads the directory at tree->path, which becomes the innermost level. One that cannot be read is told of, and what
 * could be read of it counts. 0, or -ENOMEM. */
static int enter(struct tree *tree)
{
    int fd = open(tree->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        tell(tree, tree->path, errno);
        return 0;
    }
    DIR *stream = fdopendir(fd);
    if (!stream) {
        close(fd);
        return -ENOMEM;
    }
    size_t bare = strlen(tree->path), length = tree->path[bare - 1] == '/' ? bare : bare + 1;
    put_behind(tree, bare, length > bare ? "/" : "");
    struct reading reading = { 0 };
    int failed = read_names(tree, length, stream, &reading);
    closedir(stream);
    if (failed < 0 && failed != -ENOMEM) {
        put_behind(tree, bare, "");
        tell(tree, tree->path, -failed);
        put_behind(tree, bare, length > bare ? "/" : "");
    }
    if (failed == -ENOMEM || push(tree, length, &reading) < 0) {
        free(reading.entries);
        free(reading.text);
        return -ENOMEM;
    }
    return 0;
}

static void leave(struct tree *tree)
{
    struct level *level = &tree->levels[--tree->depth];
    free(level->entries);
    free(level->text);
}

/* Looks at the next argument: 1 and `file` if it is a regular file itself, else 0, or -ENOMEM. */
static int begin(struct tree *tree, struct tree_file *file)
{
    const char *argument = *tree->arguments++;
    struct stat status;
    if (lstat(argument, &status) < 0) { /* as it also does with one that is too long for tree->path */
        tell(tree, argument, errno);
        return 0;
    }
    put_behind(tree, 0, argument);
    if (S_ISDIR(status.st_mode))
        return enter(tree);
    *file = (struct tree_file){ .path = tree->path, .size = (uint64_t)status.st_size };
    return S_ISREG(status.st_mode);
}

struct tree *tree_open(char *const *arguments, void (*problem)(const char *path, const char *why))
{
    struct tree *tree = calloc(1, sizeof *tree);
    if (tree) {
        tree->arguments = arguments;
        tree->problem = problem;
    }
    return tree;
}

int tree_next(struct tree *tree, struct tree_file *file)
{
    for (;;) {
        struct level *level = tree->depth > 0 ? &tree->levels[tree->depth - 1] : NULL;
        int found = 0;
        if (!level && !*tree->arguments)
            return 0;
        if (!level) {
            found = begin(tree, file);
        } else if (level->next == level->count) {
            leave(tree);
        } else {
            const struct entry *entry = &level->entries[level->next++];
            put_behind(tree, level->length, entry->name);
            if (level->length + strlen(entry->name) >= PATH_MAX) {
                tell(tree, tree->path, ENAMETOOLONG);
            } else if (entry->size == IS_DIRECTORY) {
                found = enter(tree);
            } else {
                *file = (struct tree_file){ .path = tree->path, .size = entry->size };
                found = 1;
            }
        }
        if (found != 0)
            return found;
    }
}

void tree_close(struct tree *tree)
{
    while (tree && tree->depth > 0)
        leave(tree);
    if (tree)
        free(tree->levels);
    free(tree);
}
