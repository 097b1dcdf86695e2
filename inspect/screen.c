/* screen.c: screen.h by ncurses. */
#include "screen.h"

#include "os/clock.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int top_line;

bool screen_open(void)
{
    const char *terminal = getenv("TERM");
    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || !terminal || strcmp(terminal, "dumb") == 0)
        return false;
    if (!newterm(NULL, stdout, stdin)) /* initscr would end the program */
        return false;
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    return true;
}

static int count_lines(const char *text)
{
    int count = 0;
    for (const char *at = text; *at; at++)
        count += *at == '\n';
    return count;
}

static void draw(const char *text)
{
    int lines = count_lines(text), most = lines - LINES + 1;
    top_line = top_line > most ? most : top_line;
    top_line = top_line < 0 ? 0 : top_line;
    erase();
    int row = 0;
    for (const char *at = text; *at && row - top_line < LINES - 1; row++) {
        size_t length = strcspn(at, "\n");
        if (row >= top_line)
            mvaddnstr(row - top_line, 0, at, length < (size_t)COLS ? (int)length : COLS);
        at += length + (at[length] == '\n');
    }
    attron(A_REVERSE);
    mvprintw(LINES - 1, 0, "q: end  arrows: scroll  line %d of %d", top_line + 1, lines);
    attroff(A_REVERSE);
    refresh();
}

/* False: end. */
static bool obey(int key)
{
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case KEY_UP:
    case 'k':
        top_line--;
        break;
    case KEY_DOWN:
    case 'j':
        top_line++;
        break;
    case KEY_PPAGE:
        top_line -= LINES - 2;
        break;
    case KEY_NPAGE:
    case ' ':
        top_line += LINES - 2;
        break;
    case KEY_HOME:
        top_line = 0;
        break;
    case KEY_END:
        top_line = 1 << 20;
        break;
    default:
        break;
    }
    return true;
}

bool screen_show(const char *text, int64_t ms)
{
    int64_t end = clock_now() + ms * 1000000;
    draw(text);
    for (int64_t left; (left = (end - clock_now()) / 1000000) > 0;) {
        timeout(left < 1000 ? (int)left : 1000);
        int key = getch();
        if (key == ERR && !isatty(STDIN_FILENO))
            return false; /* it was hung up: it would say so at once, for ever */
        if (key == ERR)
            continue;
        if (!obey(key))
            return false;
        draw(text);
    }
    return true;
}

void screen_close(void)
{
    endwin();
}
