/* os/rights.h: what the calling thread may do, as the kernel judges it: its users, groups and capabilities.
 */
#ifndef OS_RIGHTS_H
#define OS_RIGHTS_H

#include <stdbool.h>

struct rights;

/* Those of now: users and groups, real, effective and saved; the supplementary groups; the permitted capabilities.
 * Give it to free(3). NULL: no memory. */
struct rights *rights_now(void);

bool rights_equal(const struct rights *one, const struct rights *other);

#endif
