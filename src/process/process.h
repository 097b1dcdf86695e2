/* process/process.h: starting processes, for the rooms above and for brood's own. */
#ifndef PROCESS_PROCESS_H
#define PROCESS_PROCESS_H

#include "process/handle.h"

/* As brood_process_start; HANDLE_INTERNAL, _SERVICE: a process of brood's own, which no one else hears of. With a
 * `place`, in the region: its slot stands there before anything lies in the slot, for who is to give it back if we die.
 */
brood_process *process_start(brood_target *target, const void *arg, size_t size, const brood_process_options *options,
                             enum handle_kind kind, _Atomic slot_id *place);

/* Who will tell how a process ends, and its slot; for a call of that name. NULL with errno and a sentence. */
struct obituary *process_obituary(brood_process *process, const char *call, slot_id *id);

/* Gives up the handle of an internal process that has ended. */
void process_discard(brood_process *process);

#endif
