/* family.h: the families of this machine that the caller may look at, found by what their processes map. */
#ifndef INSPECT_FAMILY_H
#define INSPECT_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAMILY_FILE "/memfd:brood"

/* A region, and the processes that map it, in the order of their ids. */
struct family {
    uint64_t inode, start, end; /* of its file; where it is mapped */
    size_t count, room;
    int *pids;
};

struct families {
    struct family *all;
    size_t count;
    int failed; /* an errno: some are missing */
};

/* All of them; with a pid that one's only. */
void families_find(struct families *families, int pid);
void families_free(struct families *families);

/* Whether that process maps it now. */
bool family_has(const struct family *family, int pid);

/* Takes out those that do not any more. */
void family_keep(struct family *family);

/* Whether all processes that it had when it was found are gone. */
bool family_has_ended(const struct family *family);

/* Whether its processes are in a pid namespace below ours: then the ids that they know each other by are, here, none or
 * strangers'. */
bool family_is_below(const struct family *family);

/* Why there is none for that process: a sentence. */
void family_missing(int pid, char *why, size_t size);

#endif
