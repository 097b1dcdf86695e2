/* wait/spin.c */
#include "wait/spin.h"

_Atomic int spin_cpus = 1;
