/* pool/bar.c: brood_progress_bar: one line, drawn anew from what the progress says.
 *
 * It never reaches the terminal's last column, so it does not wrap. Where it does not fit, the bar itself goes first,
 * then the label.
 */
#include "os/terminal.h"

#include <brood/progress.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 1024
#define LABEL_BYTES 256 /* of a label, and */
#define LABEL_COLUMNS 40
#define BAR_CELLS 40     /* at most, and */
#define BAR_LEAST 8      /* at least, or there is none */
#define SETTLE_US 500000 /* before that a rate is a guess */
#define ERASE "\r\033[K"

/* Bytes of the character at `text`, in UTF-8; 1 for what is none. *code is its number. */
static size_t next_character(const char *text, unsigned *code)
{
    const unsigned char *byte = (const unsigned char *)text;
    size_t length = byte[0] < 0xc2 ? 1 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : byte[0] < 0xf5 ? 4 : 1;
    *code = length == 1 ? byte[0] : byte[0] & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((byte[i] & 0xc0) != 0x80) {
            *code = '?';
            return 1;
        }
        *code = *code << 6 | (byte[i] & 0x3f);
    }
    return length;
}

/* Columns that it takes. wcwidth(3) would ask the program's locale, which may say nothing of UTF-8. */
static int columns_of(unsigned code)
{
    static const struct {
        unsigned first, last;
        int columns;
    } ranges[] = {
        { 0x0300, 0x036f, 0 },   { 0x1100, 0x115f, 2 },   { 0x200b, 0x200f, 0 }, { 0x20d0, 0x20ff, 0 },
        { 0x2e80, 0xa4cf, 2 },   { 0xac00, 0xd7a3, 2 },   { 0xf900, 0xfaff, 2 }, { 0xfe00, 0xfe0f, 0 },
        { 0xfe30, 0xfe6f, 2 },   { 0xff00, 0xff60, 2 },   { 0xffe0, 0xffe6, 2 }, { 0x1f300, 0x1f64f, 2 },
        { 0x1f900, 0x1faff, 2 }, { 0x20000, 0x3fffd, 2 },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return ranges[i].columns;
    return 1;
}

/* The label as it can be drawn, with a space behind it: how many columns it takes, at most `room`. */
static int write_label(char *text, size_t size, const char *label, int room)
{
    size_t at = 0;
    int columns = 0;
    text[0] = '\0';
    while (label && *label) {
        unsigned code;
        size_t length = next_character(label, &code);
        int more = columns_of(code);
        if (at + length + 2 > size || columns + more + 1 > room)
            break;
        if (code >= ' ' && code != 0x7f && (length > 1 || code < 0x80)) {
            memcpy(text + at, label, length);
            at += length;
            columns += more;
        }
        label += length;
    }
    if (columns == 0)
        return 0;
    memcpy(text + at, " ", 2);
    return columns + 1;
}

static void write_number(char *text, size_t size, size_t number)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%zu", number);
    size_t at = 0;
    for (int i = 0; i < length && at + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
}

static void write_rate(char *text, size_t size, double rate)
{
    static const char *const units[] = { "", " k", " M", " G" };
    size_t unit = 0;
    for (; rate >= 9999.5 && unit < sizeof units / sizeof *units - 1; unit++)
        rate /= 1000;
    snprintf(text, size, "%.*f%s/s", rate < 99.95 ? 1 : 0, rate, units[unit]);
}

static void write_left(char *text, size_t size, double seconds)
{
    long left = seconds < 1e7 ? (long)(seconds + 0.5) : 10000000;
    if (left >= 3600)
        snprintf(text, size, ", %ld:%02ld:%02ld left", left / 3600, left / 60 % 60, left % 60);
    else
        snprintf(text, size, ", %ld:%02ld left", left / 60, left % 60);
}

static void write_figures(char *text, size_t size, const brood_progress *progress)
{
    char done[40], count[48] = "", rate[32] = "", left[48] = "", failed[48] = "", number[40];
    double seconds = (double)progress->elapsed_us / 1e6, speed = seconds > 0 ? (double)progress->done / seconds : 0;
    write_number(done, sizeof done, progress->done);
    if (progress->count) {
        write_number(number, sizeof number, progress->count);
        snprintf(count, sizeof count, " of %s", number);
    }
    write_rate(rate, sizeof rate, speed);
    if (progress->count > progress->done && progress->elapsed_us > SETTLE_US && speed > 0)
        write_left(left, sizeof left, (double)(progress->count - progress->done) / speed);
    if (progress->failed) {
        write_number(number, sizeof number, progress->failed);
        snprintf(failed, sizeof failed, ", %s failed", number);
    }
    snprintf(text, size, "%s%s, %s%s%s", done, count, rate, left, failed);
}

/* A line of fewer than `columns` columns. */
static void write_line(char *line, size_t size, int columns, const char *label, const brood_progress *progress)
{
    char figures[256], head[LABEL_BYTES], bar[BAR_CELLS + 4] = "";
    write_figures(figures, sizeof figures, progress);
    int length = (int)strlen(figures), room = columns - 1 - length;
    if (room < 0)
        figures[columns > 1 ? columns - 1 : 0] = '\0';
    int used = write_label(head, sizeof head, label, room < LABEL_COLUMNS ? room : LABEL_COLUMNS);
    int cells = room - used - 3;
    cells = cells > BAR_CELLS ? BAR_CELLS : cells;
    if (progress->count && cells >= BAR_LEAST) {
        double part = (double)progress->done / (double)progress->count;
        bar[0] = '[';
        memset(bar + 1, '-', (size_t)cells);
        memset(bar + 1, '#', (size_t)((part > 1 ? 1 : part) * cells));
        memcpy(bar + 1 + cells, "] ", 3);
    }
    snprintf(line, size, "%s%s%s", head, bar, figures);
}

void brood_progress_bar(void *context, const brood_progress *progress)
{
    char line[LINE_BYTES], text[LINE_BYTES + sizeof ERASE];
    int error = errno, columns;
    if (progress && !(progress->over && progress->calls == 0) && (columns = terminal_columns(STDERR_FILENO)) > 0) {
        line[0] = '\0';
        if (!progress->over)
            write_line(line, sizeof line, columns < 512 ? columns : 512, context, progress);
        int length = snprintf(text, sizeof text, ERASE "%s", line);
        ssize_t written = write(STDERR_FILENO, text, (size_t)length);
        (void)written; /* a terminal that is gone needs no bar */
    }
    errno = error;
}
