/* survey.h: counts the bytes of a tree for the bar, ahead of the work. */
#ifndef HASHTREE_SURVEY_H
#define HASHTREE_SURVEY_H

/* Starts a thread that walks the arguments (NULL-terminated, borrowed until survey_stop) and tells the bar. */
void survey_start(char *const *arguments);

/* Ends it, wherever it is. */
void survey_stop(void);

#endif
