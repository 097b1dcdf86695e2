/* json.c */
#include "json.h"

#include "utf8.h"

#include <inttypes.h>

/* What is no UTF-8 (a name is the program's own bytes) goes out as '?'. */
static void string(FILE *out, const char *text)
{
    putc('"', out);
    for (const char *at = text; *at;) {
        int length = utf8_length(at);
        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (length == 1 && *at < ' ')
            fprintf(out, "\\u%04x", (unsigned)*at);
        else if (length == 0)
            putc('?', out);
        else
            fwrite(at, 1, (size_t)length, out);
        at += length ? length : 1;
    }
    putc('"', out);
}

static void begin(struct json *json, const char *key)
{
    if (json->follows)
        fputs(", ", json->out);
    json->follows = true;
    if (key) {
        string(json->out, key);
        fputs(": ", json->out);
    }
}

void json_open(struct json *json, const char *key, char bracket)
{
    begin(json, key);
    putc(bracket, json->out);
    json->follows = false;
}

void json_close(struct json *json, char bracket)
{
    putc(bracket, json->out);
    json->follows = true;
}

void json_text(struct json *json, const char *key, const char *text)
{
    begin(json, key);
    string(json->out, text);
}

void json_number(struct json *json, const char *key, int64_t number)
{
    begin(json, key);
    fprintf(json->out, "%" PRId64, number);
}

void json_bool(struct json *json, const char *key, bool is)
{
    begin(json, key);
    fputs(is ? "true" : "false", json->out);
}
