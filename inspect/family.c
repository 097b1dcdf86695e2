/* family.c */
#include "family.h"

#include "os/proc.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mapping {
    uint64_t start, end, inode;
};

/* What follows is " (deleted)", or nothing. */
static bool is_named_so(const char *name)
{
    size_t length = sizeof FAMILY_FILE - 1;
    return strncmp(name, FAMILY_FILE, length) == 0 && (name[length] == ' ' || name[length] == 0);
}

/* Where the process maps a region, from its beginning on; false: nowhere, or it is not ours to see. A call of the
 * program's, as mlock(2), may have cut the mapping in several. */
static bool find_mapping(int pid, struct mapping *mapping)
{
    char path[32];
    struct proc_lines lines;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    if (!proc_open(&lines, path))
        return false;
    for (char *line; (line = proc_line(&lines));) {
        unsigned long long start, end, offset, inode;
        int name = 0;
        if (sscanf(line, "%llx-%llx %*s %llx %*s %llu %n", &start, &end, &offset, &inode, &name) < 4 || name == 0)
            continue;
        if (found && (start != mapping->end || inode != mapping->inode))
            break;
        if (found) {
            mapping->end = end;
        } else if (offset == 0 && is_named_so(line + name)) {
            found = true;
            *mapping = (struct mapping){ start, end, inode };
        }
    }
    proc_close(&lines);
    return found;
}

static struct family *family_of(struct families *families, const struct mapping *mapping)
{
    for (size_t i = 0; i < families->count; i++)
        if (families->all[i].inode == mapping->inode && families->all[i].start == mapping->start)
            return &families->all[i];
    struct family *all = realloc(families->all, (families->count + 1) * sizeof *all);
    if (!all)
        return NULL;
    families->all = all;
    all[families->count] = (struct family){ .inode = mapping->inode, .start = mapping->start, .end = mapping->end };
    return &all[families->count++];
}

static bool add_process(struct families *families, int pid, const struct mapping *mapping)
{
    struct family *family = family_of(families, mapping);
    if (!family)
        return false;
    if (family->count == family->room) {
        size_t room = family->room ? family->room * 2 : 8;
        int *pids = realloc(family->pids, room * sizeof *pids);
        if (!pids)
            return family->count > 0;
        family->pids = pids;
        family->room = room;
    }
    family->pids[family->count++] = pid;
    return true;
}

static int by_number(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

/* One that has no process after all is taken out. */
static void tidy(struct families *families)
{
    size_t kept = 0;
    for (size_t i = 0; i < families->count; i++) {
        struct family *family = &families->all[i];
        if (family->count == 0)
            continue;
        qsort(family->pids, family->count, sizeof *family->pids, by_number);
        families->all[kept++] = *family;
    }
    families->count = kept;
}

void families_find(struct families *families, int pid)
{
    struct mapping mapping, wanted = { 0 };
    *families = (struct families){ 0 };
    if (pid && !find_mapping(pid, &wanted))
        return;
    DIR *folder = opendir("/proc");
    if (!folder)
        families->failed = errno;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char *end;
        long number = strtol(entry->d_name, &end, 10);
        if (*end || number <= 0 || !find_mapping((int)number, &mapping))
            continue;
        bool is_wanted = !pid || (mapping.inode == wanted.inode && mapping.start == wanted.start);
        if (is_wanted && !add_process(families, (int)number, &mapping))
            families->failed = ENOMEM;
    }
    if (folder)
        closedir(folder);
    tidy(families);
}

void families_free(struct families *families)
{
    for (size_t i = 0; i < families->count; i++)
        free(families->all[i].pids);
    free(families->all);
    *families = (struct families){ 0 };
}

bool family_has(const struct family *family, int pid)
{
    struct mapping mapping;
    return find_mapping(pid, &mapping) && mapping.inode == family->inode && mapping.start == family->start;
}

void family_keep(struct family *family)
{
    size_t kept = 0;
    for (size_t i = 0; i < family->count; i++)
        if (family_has(family, family->pids[i]))
            family->pids[kept++] = family->pids[i];
    family->count = kept;
}

bool family_has_ended(const struct family *family)
{
    for (size_t i = 0; i < family->count; i++)
        if (family_has(family, family->pids[i]))
            return false;
    return true;
}

bool family_is_below(const struct family *family)
{
    char path[32];
    struct proc_lines lines;
    int here, there;
    for (size_t i = 0; i < family->count; i++) {
        int ids = 0;
        snprintf(path, sizeof path, "/proc/%d/status", family->pids[i]);
        if (!proc_open(&lines, path))
            continue;
        for (char *line; ids <= 0 && (line = proc_line(&lines));)
            ids = sscanf(line, "NSpid: %d %d", &here, &there); /* proc(5): one for each namespace, from ours on */
        proc_close(&lines);
        if (ids > 0)
            return ids > 1;
    }
    return false;
}

void family_missing(int pid, char *why, size_t size)
{
    char path[32];
    struct proc_lines lines;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    errno = 0;
    if (proc_open(&lines, path)) {
        proc_close(&lines);
        snprintf(why, size, "process %d is in no family: it has not called brood_init, or does not use brood", pid);
    } else if (errno == ENOENT) {
        snprintf(why, size, "there is no process %d", pid);
    } else if (errno == EACCES || errno == EPERM) {
        snprintf(why, size, "process %d is another user's, or lets nobody look at it: root may", pid);
    } else {
        snprintf(why, size, "process %d cannot be looked at: %s", pid, strerror(errno));
    }
}
