/* manager/archive.h: files with a manager's snapshot (manager/snapshot.h), on the caller's side: brood_manager_save.
 */
#ifndef MANAGER_ARCHIVE_H
#define MANAGER_ARCHIVE_H

#include "manager/manager.h"

/* Has the server make what the file has: it has nothing yet. 0, or -errno with a sentence. */
int archive_load(struct brood_manager *manager, const char *call, const char *path);

#endif
