/* bar.c: one line, redrawn in place.
 *
 * The line never reaches the terminal's last column, so it does not wrap, and is erased before anything else is written
 * and before a signal ends the program.
 */
#include "bar.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_NS 100000000LL
#define SETTLE_NS 500000000LL /* before that a rate is a guess */
#define LINE_BYTES 512
#define BAR_CELLS 40 /* at most */
#define ERASE "\r\033[K"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards what follows, and the terminal */
static bool shown, drawn, complete;
static int64_t done, expected;
static long long opened_ns, drawn_ns;

static const int deadly[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM };

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void put(const char *text, size_t length)
{
    ssize_t written = write(STDERR_FILENO, text, length);
    (void)written; /* a terminal that is gone needs no bar */
}

static void erase(void)
{
    if (drawn)
        put(ERASE, sizeof ERASE - 1);
    drawn = false;
}

static void die_clean(int number)
{
    put(ERASE, sizeof ERASE - 1);
    raise(number); /* for good: SA_RESETHAND gave the signal its default meaning back */
}

static void write_size(char *text, size_t size, double bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t unit = 0;
    for (; bytes >= 999.5 && unit < sizeof units / sizeof *units - 1; unit++)
        bytes /= 1024;
    snprintf(text, size, "%.*f %s", unit > 0 && bytes < 9.95 ? 1 : 0, bytes, units[unit]);
}

static void write_left(char *text, size_t size, double seconds)
{
    long left = seconds < 1e7 ? (long)(seconds + 0.5) : 10000000;
    if (left >= 3600)
        snprintf(text, size, ", %ld:%02ld:%02ld left", left / 3600, left / 60 % 60, left % 60);
    else
        snprintf(text, size, ", %ld:%02ld left", left / 60, left % 60);
}

/* A line of fewer than `width` columns: the figures, and the bar itself where there is room. */
static void write_line(char *line, size_t width, long long now)
{
    char progress[32], total[32], rate[32], left[48] = "", figures[256];
    double elapsed = (double)(now - opened_ns) / 1e9, speed = elapsed > 0 ? (double)done / elapsed : 0;
    double part = complete && expected > 0 ? (double)done / (double)expected : 0;
    part = part > 1 ? 1 : part;
    write_size(progress, sizeof progress, (double)done);
    write_size(total, sizeof total, (double)expected);
    write_size(rate, sizeof rate, speed);
    if (complete && now - opened_ns > SETTLE_NS && speed > 0)
        write_left(left, sizeof left, (double)(expected - done > 0 ? expected - done : 0) / speed);
    snprintf(figures, sizeof figures, "%s of %s%s, %s/s%s", progress, total, complete ? "" : " or more", rate, left);
    size_t length = strlen(figures);
    size_t cells = complete && width > length + 12 ? width - length - 4 : 0;
    cells = cells > BAR_CELLS ? BAR_CELLS : cells;
    char bar[BAR_CELLS + 1];
    memset(bar, '-', cells);
    memset(bar, '#', (size_t)(part * (double)cells));
    bar[cells] = '\0';
    snprintf(line, LINE_BYTES, cells > 0 ? "[%s] %s" : "%s%s", bar, figures);
    if (strlen(line) >= width)
        line[width - 1] = '\0';
}

static void draw(void)
{
    struct winsize window = { 0 };
    char line[LINE_BYTES], text[LINE_BYTES + sizeof ERASE];
    long long now = now_ns();
    if (!shown || now - drawn_ns < REDRAW_NS)
        return;
    size_t width = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
    write_line(line, width < LINE_BYTES ? width : LINE_BYTES - 1, now);
    int length = snprintf(text, sizeof text, ERASE "%s", line);
    put(text, (size_t)length);
    drawn = true;
    drawn_ns = now;
}

bool bar_open(void)
{
    const char *kind = getenv("TERM");
    if (!isatty(STDERR_FILENO) || !kind || strcmp(kind, "dumb") == 0)
        return false;
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        struct sigaction old, clean = { .sa_handler = die_clean, .sa_flags = (int)SA_RESETHAND };
        if (sigaction(deadly[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(deadly[i], &clean, NULL);
    }
    opened_ns = now_ns();
    shown = true;
    return true;
}

void bar_close(void)
{
    pthread_mutex_lock(&mutex);
    erase();
    shown = false;
    pthread_mutex_unlock(&mutex);
}

void bar_expect(uint64_t bytes, bool all)
{
    pthread_mutex_lock(&mutex);
    expected += (int64_t)bytes;
    complete = complete || all;
    pthread_mutex_unlock(&mutex);
}

void bar_advance(int64_t bytes)
{
    pthread_mutex_lock(&mutex);
    done += bytes;
    draw();
    pthread_mutex_unlock(&mutex);
}

void bar_pause(void)
{
    pthread_mutex_lock(&mutex);
    erase();
}

void bar_resume(void)
{
    pthread_mutex_unlock(&mutex);
}
