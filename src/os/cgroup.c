/* os/cgroup.c: the control groups that this process is in.
 *
 * /proc/self/cgroup says in which group of each hierarchy the process is, as a path from the hierarchy's root;
 * /proc/self/mountinfo says where which part of a hierarchy is mounted. A controller belongs to one version-1 hierarchy
 * or to version 2, never to both.
 *
 * The mounts are read once: there may be hundreds. No thread waits for another that reads them, since that one may
 * never end (fork copies its work half done): who finds them being filled in reads them for itself.
 */
#include "os/cgroup.h"

#include "os/proc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOUNT_PATH_MAX 512

enum { UNIFIED = CGROUP_MEMORY + 1, HIERARCHIES }; /* after the version-1 ones of the two controllers */
enum { UNREAD, FILLING, READ };

struct mount {
    char point[MOUNT_PATH_MAX]; /* "": not mounted */
    char root[MOUNT_PATH_MAX];  /* the group that lies there */
};

static const char *const controller_names[] = { [CGROUP_CPU] = "cpu", [CGROUP_MEMORY] = "memory" };

static struct mount known_mounts[HIERARCHIES]; /* written by the one that set FILLING; read after READ */
static atomic_int known_state;

/* Whether `word` is one of the words of a list with commas between them. */
static bool list_contains(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* Copies a path of mountinfo, where blanks and the like are octal ("\040"). False: it is too long. */
static bool path_copy(char *path, const char *escaped)
{
    size_t length = 0;
    while (*escaped) {
        if (length == MOUNT_PATH_MAX - 1)
            return false;
        char byte = *escaped++;
        if (byte == '\\' && strspn(escaped, "01234567") >= 3) {
            byte = (char)((escaped[0] - '0') * 64 + (escaped[1] - '0') * 8 + (escaped[2] - '0'));
            escaped += 3;
        }
        path[length++] = byte;
    }
    path[length] = '\0';
    return true;
}

static void mount_note(struct mount *mount, const char *point, const char *root)
{
    if (mount->point[0]) /* of several mounts the first is the customary one */
        return;
    if (!path_copy(mount->root, root) || !path_copy(mount->point, point))
        mount->point[0] = '\0';
}

/* Looks at one line: id, parent, device, root, point, options, any number of further words, "-", type, source,
 * options of the file system. */
static void mount_parse(struct mount *mounts, char *line)
{
    char *fields = NULL;
    char *end = strstr(line, " - ");
    if (!end)
        return;
    *end = '\0';
    char *type = strtok_r(end + 3, " \n", &fields);
    if (!type || strncmp(type, "cgroup", 6) != 0 || !strtok_r(NULL, " \n", &fields))
        return;
    char *options = strtok_r(NULL, " \n", &fields);
    char *words[5];
    for (int i = 0; i < 5; i++)
        if (!(words[i] = strtok_r(i == 0 ? line : NULL, " ", &fields)))
            return;
    if (strcmp(type, "cgroup2") == 0) {
        mount_note(&mounts[UNIFIED], words[4], words[3]);
        return;
    }
    for (int controller = 0; controller < UNIFIED; controller++)
        if (options && list_contains(options, controller_names[controller]))
            mount_note(&mounts[controller], words[4], words[3]);
}

static bool mounts_read(struct mount *mounts)
{
    struct proc_lines file;
    char *line;
    if (!proc_open(&file, "/proc/self/mountinfo"))
        return false;
    while ((line = proc_line(&file)))
        mount_parse(mounts, line);
    proc_close(&file);
    return true;
}

/* The mounts: those known, or read into `fresh`, zeroed memory of the caller. */
static const struct mount *mounts_get(struct mount *fresh)
{
    /* acquire: with the release below */
    if (atomic_load_explicit(&known_state, memory_order_acquire) == READ)
        return known_mounts;
    int state = UNREAD;
    if (mounts_read(fresh) && atomic_compare_exchange_strong(&known_state, &state, FILLING)) {
        memcpy(known_mounts, fresh, sizeof known_mounts);
        /* release: who sees READ sees the mounts */
        atomic_store_explicit(&known_state, READ, memory_order_release);
    }
    return fresh;
}

/* The path of the process' group in the hierarchy that `controller` belongs to, and which that is; -1: in none. */
static int hierarchy_find(enum cgroup_controller controller, char *path, size_t size)
{
    struct proc_lines file;
    if (!proc_open(&file, "/proc/self/cgroup"))
        return -1;
    int hierarchy = -1;
    char *line;
    while (hierarchy != (int)controller && (line = proc_line(&file))) {
        char *list = strchr(line, ':'); /* "4:cpu,cpuacct:/path"; version 2: "0::/path" */
        char *place = list ? strchr(++list, ':') : NULL;
        if (!place)
            continue;
        *place++ = '\0';
        size_t bytes = strlen(place) + 1;
        if (bytes > size)
            continue;
        if (strncmp(line, "0:", 2) == 0 && *list == '\0')
            hierarchy = UNIFIED;
        else if (list_contains(list, controller_names[controller]))
            hierarchy = (int)controller;
        else
            continue;
        memcpy(path, place, bytes);
    }
    proc_close(&file);
    return hierarchy;
}

/* What of `path` lies below the mounted `root`; NULL: it is elsewhere. */
static const char *path_below(const char *path, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    const char *rest = "";
    if (strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0'))
        rest = path + length;
    else if (strncmp(root, "/..", 3) != 0) /* a mount from outside of this cgroup namespace is around the group */
        return NULL;
    if (strstr(rest, "/..")) /* the group is outside of the namespace, and not below the mount */
        return NULL;
    return strcmp(rest, "/") == 0 ? "" : rest;
}

bool cgroup_find(struct cgroup *group, enum cgroup_controller controller)
{
    char path[CGROUP_PATH_MAX];
    struct mount fresh[HIERARCHIES] = { 0 };
    int hierarchy = hierarchy_find(controller, path, sizeof path);
    if (hierarchy < 0)
        return false;
    const struct mount *mount = &mounts_get(fresh)[hierarchy];
    const char *rest = mount->point[0] ? path_below(path, mount->root) : NULL;
    if (!rest)
        return false;
    group->version = hierarchy == UNIFIED ? 2 : 1;
    group->top = strlen(mount->point);
    int length = snprintf(group->directory, sizeof group->directory, "%s%s", mount->point, rest);
    return length > 0 && (size_t)length < sizeof group->directory;
}

bool cgroup_ascend(struct cgroup *group)
{
    if (group->directory[group->top] == '\0')
        return false;
    *strrchr(group->directory + group->top, '/') = '\0';
    return true;
}

bool cgroup_read(const struct cgroup *group, const char *file, char *text, size_t size)
{
    char path[CGROUP_PATH_MAX + 64];
    int length = snprintf(path, sizeof path, "%s/%s", group->directory, file);
    if (length < 0 || (size_t)length >= sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t got = 0;
    ssize_t part;
    do {
        part = read(fd, text + got, size - 1 - got);
        if (part > 0)
            got += (size_t)part;
    } while (got < size - 1 && (part > 0 || (part < 0 && errno == EINTR)));
    close(fd);
    text[got] = '\0';
    return got > 0;
}

bool cgroup_number(const struct cgroup *group, const char *file, uint64_t *number)
{
    char text[32];
    if (!cgroup_read(group, file, text, sizeof text) || !isdigit((unsigned char)text[0]))
        return false;
    *number = strtoull(text, NULL, 10);
    return true;
}
