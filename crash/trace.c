/* trace.c */
#include "trace.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct seen {
    int maps_begun, maps_ended, tasks, lines;
    bool begun, over, wrong;
};

void trace_path(char *path, size_t size)
{
    snprintf(path, size, "/tmp/crashlab-%d.trace", (int)getpid());
}

/* A birth is two objects, a line each, and so all lines are alike. */
static void see(struct seen *seen, const char *line)
{
    size_t length = strlen(line);
    bool opens = strcmp(line, "[\n") == 0, closes = strcmp(line, "]\n") == 0;
    bool whole =
        line[0] == '{' && length > 4 && strstr(line, "}}") == line + length - (line[length - 2] == ',' ? 4 : 3);
    seen->wrong |= opens ? seen->lines != 0 : seen->lines == 0 || seen->over || (!closes && !whole);
    seen->over |= closes;
    seen->lines++;
    seen->maps_begun += strstr(line, "\"ph\":\"b\"") != NULL;
    seen->maps_ended += strstr(line, "\"ph\":\"e\"") != NULL;
    seen->tasks += strstr(line, "\"cat\":\"task\"") != NULL;
}

void trace_check(struct point *point, const char *path, int maps, int least, int most)
{
    char line[1024];
    struct seen seen = { 0 };
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        see(&seen, line);
    if (file)
        fclose(file);
    unlink(path);
    if (!seen.over || seen.wrong)
        point_fault(point, POINT_TORN, "the trace is no JSON, after %d lines", seen.lines);
    if (seen.maps_begun != maps || seen.maps_ended != maps)
        point_fault(point, seen.maps_ended > maps ? POINT_DOUBLED : POINT_LOST,
                    "the trace has the beginnings of %d maps, and the ends of %d; there were %d", seen.maps_begun,
                    seen.maps_ended, maps);
    if (seen.tasks < least || seen.tasks > most)
        point_fault(point, seen.tasks > most ? POINT_DOUBLED : POINT_LOST, "the trace has %d tasks; %d to %d were run",
                    seen.tasks, least, most);
}
