/* process/end.h: how an end comes to be known: from what the process said itself, and from what the system says. */
#ifndef PROCESS_END_H
#define PROCESS_END_H

#include "os/child.h"
#include "process/table.h"

#include <brood/end.h>

/* Where brood_fail of this process writes from now on, NULL: nowhere; and where it did until now. */
struct end_note *end_note_to(struct end_note *note);

/* The last word: the function returned `code`. */
void end_say(struct end_note *note, int code);

/* A sentence of how it ended, from how, code and signal, where nobody has said more: into `why`, unless it has one. */
void end_explain(brood_end *end);

/* Puts both together into `end`: all but pid, attempt and index. `began`: the child had found its slot; `started`: when
 * (os/clock.h) it was. */
void end_tell(brood_end *end, const struct child_status *status, const struct end_note *note, bool began,
              int64_t started);

#endif
