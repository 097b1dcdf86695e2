/* process/family.h: what this process was told about the family when it founded or joined it. */
#ifndef PROCESS_FAMILY_H
#define PROCESS_FAMILY_H

#include <brood/family.h>

/* What BROOD_DEFAULT means. */
brood_start family_start_method(void);

#endif
