#!/usr/bin/env python3
"""captures.py BUILD [PAGE]: what `brood` shows, put into docs/inspect.md anew (or into PAGE, a copy of it).

It runs examples/busy and examples/deadlock, looks at them with the tool, in a terminal of its own (a pty, and as much
of a VT100 as ncurses asks for), and puts each screen between the page's marks for it:

    <!-- capture NAME: the command, as it stands above the screen -->
    <!-- end -->

The screens of `top` and of the deadlock are drawn as SVG besides, beside the page. A screen in which what it is to show
cannot be seen is an error, and nothing is written then.
"""
import fcntl
import html
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

LINES, COLUMNS = 20, 140
PATIENCE_S = 60


class Screen:
    """What a VT100 shows: rows of cells, each a character and whether it is reversed."""

    def __init__(self):
        self.clear()
        self.row = self.column = 0
        self.reversed = False
        self.top, self.bottom = 0, LINES - 1 # what scrolls

    def clear(self):
        self.cells = [[(" ", False)] * COLUMNS for _ in range(LINES)]

    def put(self, character):
        if self.column == COLUMNS:
            self.column = 0
            self.feed()
        self.cells[self.row][self.column] = (character, self.reversed)
        self.column += 1

    def feed(self):
        if self.row != self.bottom:
            self.row = min(self.row + 1, LINES - 1)
            return
        del self.cells[self.top]
        self.cells.insert(self.bottom, [(" ", False)] * COLUMNS)

    def feed_back(self):
        if self.row != self.top:
            self.row = max(self.row - 1, 0)
            return
        del self.cells[self.bottom]
        self.cells.insert(self.top, [(" ", False)] * COLUMNS)

    def blank(self, row, begin, end):
        self.cells[row][begin:end] = [(" ", False)] * (end - begin)

    def obey(self, numbers, command):
        first = numbers[0] if numbers else 0
        column = min(self.column, COLUMNS - 1)
        if command == "H":
            self.row = min(max(first, 1), LINES) - 1
            self.column = min(max(numbers[1] if len(numbers) > 1 else 1, 1), COLUMNS) - 1
        elif command in "ABCD":
            step = max(first, 1)
            self.row = min(max(self.row + {"A": -step, "B": step}.get(command, 0), 0), LINES - 1)
            self.column = min(max(column + {"C": step, "D": -step}.get(command, 0), 0), COLUMNS - 1)
        elif command == "J":
            self.blank(self.row, column if first == 0 else 0, column + 1 if first == 1 else COLUMNS)
            for row in range(LINES):
                if (row > self.row and first != 1) or (row < self.row and first != 0):
                    self.blank(row, 0, COLUMNS)
        elif command == "K":
            self.blank(self.row, column if first == 0 else 0, column + 1 if first == 1 else COLUMNS)
        elif command == "m":
            self.reversed = 7 in numbers
        elif command == "r":
            self.top = max(first, 1) - 1
            self.bottom = (numbers[1] if len(numbers) > 1 else LINES) - 1
            self.row = self.column = 0
        elif command not in "hl":
            raise ValueError(f"the terminal was asked for {numbers} {command}")

    def show(self, text):
        sequence = re.compile(r"\x1b\[\??([0-9;]*)([A-Za-z])|\x1b[()].|\x1b[=>MD]|[\x00\x0e\x0f\x07]")
        at = 0
        while at < len(text):
            found = sequence.match(text, at)
            if found:
                if found.group(2):
                    self.obey([int(number) for number in found.group(1).split(";") if number], found.group(2))
                elif found.group(0) == "\x1bM":
                    self.feed_back()
                elif found.group(0) == "\x1bD":
                    self.feed()
                at = found.end()
                continue
            character = text[at]
            at += 1
            if character == "\r":
                self.column = 0
            elif character == "\n":
                self.feed()
            elif character == "\b":
                self.column = max(self.column - 1, 0)
            elif character == "\t":
                self.column = min(self.column // 8 * 8 + 8, COLUMNS - 1)
            elif character == "\x1b":
                raise ValueError(f"the terminal was sent {text[at - 1 : at + 8]!r}")
            else:
                self.put(character)

    def rows(self):
        lines = ["".join(character for character, _ in row).rstrip() for row in self.cells]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def look(command, is_good):
    """The screen of a command, once it is good, when it is ended by q; None: it has ended before, or takes too long."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        os.environ["TERM"] = "vt100"
        os.environ.pop("LINES", None)
        os.environ.pop("COLUMNS", None)
        os.execv(command[0], command)
    screen, good, deadline, waiting = Screen(), False, time.monotonic() + PATIENCE_S, b""
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.2)[0]:
            if not good and is_good("\n".join(screen.rows())): # it has drawn, and rests
                good = True
                os.write(terminal, b"q")
            continue
        try:
            some = os.read(terminal, 65536)
        except OSError: # the other end is closed
            break
        if not some:
            break
        waiting += some
        text = waiting.decode("utf-8", "ignore")
        if not good and not re.search(r"\x1b(\[[?0-9;]*|[()])?$", text): # half a sequence waits for its other half
            screen.show(text)
            waiting = b""
    else:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    return screen if good or is_good("\n".join(screen.rows())) else None


def draw(screen, path):
    """An SVG of a screen."""
    width, height, rows = 7.25, 16, len(screen.rows())
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * width + 20:.0f}" height="{rows * height + 20}"'
            ' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12">\n'
            '<rect width="100%" height="100%" rx="6" fill="#1d2129"/>\n'
        )
        for number, row in enumerate(screen.cells[:rows]):
            y = 10 + number * height
            for found in re.finditer("(.)\\1*", "".join("r" if is_reversed else "n" for _, is_reversed in row)):
                text = "".join(character for character, _ in row[found.start() : found.end()])
                is_reversed = found.group(1) == "r"
                if not is_reversed and not text.strip():
                    continue
                x = 10 + found.start() * width
                paper, ink = ("#d7dae0", "#1d2129") if is_reversed else ("none", "#d7dae0")
                file.write(
                    f'<rect x="{x:.1f}" y="{y}" width="{len(text) * width:.1f}" height="{height}" fill="{paper}"/>\n'
                )
                x += (len(text) - len(text.lstrip())) * width
                text = text.strip().replace(" ", "\u00a0") # else several may be drawn as one
                file.write(
                    f'<text x="{x:.1f}" y="{y + 12}" textLength="{len(text) * width:.1f}" fill="{ink}">'
                    f"{html.escape(text, quote=False)}</text>\n"
                )
        file.write("</svg>\n")


def has(*phrases):
    return lambda text: all(re.search(phrase, text) for phrase in phrases)


def of_family(build, program, looks):
    """Runs the program, and looks at it: name, arguments of the tool, what is to be seen."""
    tool, screens = os.path.join(build, "inspect", "brood"), {}
    with subprocess.Popen( # ended below, in any case
        [os.path.join(build, "examples", program), str(PATIENCE_S * 4)], stdout=subprocess.DEVNULL
    ) as family:
        try:
            end = time.monotonic() + PATIENCE_S
            while (ps := subprocess.run([tool, "ps", str(family.pid)], capture_output=True, check=False)).returncode:
                if time.monotonic() > end or family.poll() is not None:
                    raise SystemExit(f"captures.py: {program} is not seen: {ps.stderr.decode()}")
                time.sleep(0.05)
            time.sleep(1) # it is to be seen at work, not at its beginning
            for name, arguments, is_good in looks: # a look may come at the wrong moment, as when a worker is replaced
                end = time.monotonic() + PATIENCE_S
                while not (screen := look([tool, *arguments, str(family.pid)], is_good)):
                    if time.monotonic() > end:
                        raise SystemExit(f"captures.py: brood {name} of {program} is never as it should be")
                screens[name] = screen
        finally:
            family.kill()
    return screens


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    build = sys.argv[1]
    page = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "inspect.md")
    screens = of_family(
        build,
        "busy",
        [
            ("ps", ["ps"], has("sensor", "writer", "tiles 1")),
            ("top", ["top"], has("failure", r"[1-9]\d*/s", r"readings.* [1-9]\d* +[1-9]\d* ", "line 1 of")),
            ("doctor_pool", ["doctor"], has("Pool 'tiles' keeps losing workers", "Advice")),
        ],
    )
    screens |= of_family(
        build,
        "deadlock",
        [
            ("ps_deadlock", ["ps"], has("booker.*held by 'auditor'", "auditor.*held by 'booker'")),
            ("doctor", ["doctor"], has("Deadlock of 2: 'booker'", "Advice: None of them can go on")),
        ],
    )
    with open(page, encoding="utf-8") as file:
        text = file.read()
    for name, screen in screens.items():
        shown = "```\n" + "\n".join(screen.rows()) + "\n```\n"
        text, count = re.subn(
            rf"(<!-- capture {name}: [^\n]* -->\n)(?:.|\n)*?(<!-- end -->)", lambda m: m[1] + shown + m[2], text
        )
        if count != 1:
            raise SystemExit(f"captures.py: {page} has {count} places for {name}, not 1")
    for name in ("top", "doctor"):
        draw(screens[name], os.path.join(os.path.dirname(page), f"inspect_{name}.svg"))
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)


main()
