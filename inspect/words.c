/* words.c */
#include "words.h"

#include <stddef.h>
#include <stdio.h>

const char *words_time(char text[static WORDS_SIZE], int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = { { 86400000, "days" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (ms < units[i].ms)
            continue;
        int64_t tenths = ms * 10 / units[i].ms;
        if (tenths < 100)
            snprintf(text, WORDS_SIZE, "%d.%d %s", (int)(tenths / 10), (int)(tenths % 10), units[i].name);
        else
            snprintf(text, WORDS_SIZE, "%lld %s", (long long)(tenths / 10), units[i].name);
        return text;
    }
    snprintf(text, WORDS_SIZE, "%d ms", (int)(ms > 0 ? ms : 0));
    return text;
}

const char *words_bytes(char text[static WORDS_SIZE], uint64_t bytes)
{
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double amount = (double)bytes;
    size_t unit = 0;
    for (; amount >= 1024 && unit + 1 < sizeof names / sizeof *names; unit++)
        amount /= 1024;
    snprintf(text, WORDS_SIZE, unit > 0 && amount < 10 ? "%.1f %s" : "%.0f %s", amount, names[unit]);
    return text;
}

const char *words_state(char state)
{
    switch (state) {
    case 0:
        return "gone";
    case 'R':
        return "running";
    case 'S':
    case 'I':
        return "sleeping";
    case 'D':
        return "in the kernel";
    case 'T':
        return "stopped";
    case 't':
        return "traced";
    case 'Z':
        return "ended";
    default:
        return "?";
    }
}
