#!/usr/bin/env python3
"""charts.py [--out FOLDER] [FILE...]: the speed lab's figures as charts, docs/speed_*.svg, and the list in speed.md.

Without a FILE the figures are those of README.md's two tables. A FILE has lines of JSON, as `sh tools/bench.sh --json`
and `sh tools/bench.sh --grid --json` print them ("-": standard input). All charts are written anew for which there are
figures, into docs/, or FOLDER, which is to have a copy of speed.md.
"""
import html
import json
import math
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
WIDTH, LEFT, RIGHT, TOP, BAR, GAP = 900, 300, 90, 62, 15, 10 # of a chart, in pixels
COLOURS = {
    "brood": "#1b6ca8",
    "limit": "#8a8f98",
    "CPython": "#e0a030",
    "Boost": "#7fb069",
    "OpenMP": "#b07aa1",
    "pipe": "#8a8f98",
    "POSIX mq": "#b7bcc4",
    "Unix socket": "#5d626b",
}
NAMES = {"cpython": "CPython", "boost": "Boost", "openmp": "OpenMP", "mq": "POSIX mq", "unix": "Unix socket"}
NANOSECONDS = {"ns": 1, "µs": 1e3, "us": 1e3, "ms": 1e6}

# Each chart, the beginnings of its figures' names, and whether they are rates.
CHARTS = [
    ("processes", "Processes: start and join; and what a death takes to be seen", ("process_", "death_"), False),
    ("sync", "Locks and their kin", ("lock_", "semaphore_", "event_", "rwlock_", "condition_", "barrier_"), False),
    ("memory", "Shared memory, values and arrays", ("alloc_", "value_", "array_"), False),
    ("exchange", "Queues and pipes: a message there and one back", ("queue_", "pipe_"), False),
    ("messages", "Queues: messages a second", ("queue_", "pipe_"), True),
    ("pools", "Pools", ("pool_",), False),
    ("managers", "Managers: one operation", ("manager_",), False),
]


def number(text):
    """ "1,234", "12.15 M", "**0.40**": a number; None: there is none."""
    found = re.fullmatch(r"\**([0-9.,]+) ?([kM]?)\**", text.strip())
    return float(found[1].replace(",", "")) * {"": 1, "k": 1e3, "M": 1e6}[found[2]] if found else None


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(path):
    """The figures, and the grid's rows, of README's tables."""
    figures, grid, columns = [], [], None
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("| figure |"):
                columns = "figures"
            elif line.startswith("| bytes |"):
                columns = cells(line)[3:]
            elif not line.startswith("|"):
                columns = None
            elif columns == "figures" and line.startswith("| `"):
                name, what, unit, brood, limit, goal, peers = cells(line)
                figures.append(
                    {
                        "name": name.strip("`"),
                        "what": what,
                        "unit": unit,
                        "brood": number(brood),
                        "limit": number(limit),
                        "goal": number(goal),
                        "reached": "**" not in goal,
                        "peers": {m[1]: number(m[2]) for m in re.finditer(r"([A-Za-z]+) ([0-9.,]+(?: [kM])?)", peers)},
                    }
                )
            elif columns and columns != "figures" and not line.startswith("|---"):
                size, putters, getters, *rates = cells(line)
                grid.append((size, int(putters), int(getters), dict(zip(columns, map(number, rates)))))
    return figures, grid


def size_of(count):
    for unit, bytes_ in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= bytes_ and count % bytes_ == 0:
            return f"{count // bytes_} {unit}"
    return f"{count} B"


def lines(paths):
    """The same, of lines of JSON."""
    figures, grid = [], []
    for path in paths:
        with sys.stdin if path == "-" else open(path, encoding="utf-8") as file:
            for line in filter(str.strip, file):
                figure = json.loads(line)
                if "putters" in figure:
                    known = ("name", "unit", "bytes", "putters", "getters")
                    rates = {NAMES.get(key, key): value for key, value in figure.items() if key not in known}
                    grid.append((size_of(figure["bytes"]), figure["putters"], figure["getters"], rates))
                else:
                    figure["peers"] = {NAMES.get(name, name): value for name, value in figure["peers"].items()}
                    figures.append(figure)
    return figures, grid


def words(value, unit):
    if unit == "msg/s":
        for letter, scale in (("M", 1e6), ("k", 1e3)):
            if value >= scale:
                return f"{value / scale:.3g} {letter}" if value < 100 * scale else f"{value / scale:.0f} {letter}"
        return f"{value:.0f}"
    for name, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {name}" if value < 100 * scale else f"{value / scale:.0f} {name}"
    return f"{value:.3g} ns" if value < 100 else f"{value:.0f} ns"


def chart(title, note, groups, unit):
    """A chart: groups of bars, (name, [(of whom, value)], goal), on one logarithmic axis, as SVG."""
    values = [value for _, bars, _ in groups for _, value in bars]
    first, last = math.floor(math.log10(min(values)) - 0.1), math.ceil(math.log10(max(values)))
    height = TOP + sum(len(bars) * BAR + GAP for _, bars, _ in groups) + 12

    def place(value):
        return LEFT + (math.log10(value) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def text(x, y, anchor, content, more=""):
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{html.escape(content, quote=False)}</text>'

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12" fill="#222222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(12, 20, "start", title, ' font-size="15"'),
        text(12, 38, "start", note, ' fill="#555555"'),
    ]
    for decade in range(first, last + 1):
        x = place(10.0**decade)
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 8}" stroke="#dddddd"/>')
        out.append(text(x, TOP - 9, "middle", words(10.0**decade, unit), ' font-size="10" fill="#555555"'))
    y = TOP
    for name, bars, goal in groups:
        out.append(text(12, y + BAR - 4, "start", name))
        for k, (whose, value) in enumerate(bars):
            end, at = place(value), y + k * BAR
            out.append(
                f'<rect x="{LEFT}" y="{at}" width="{max(end - LEFT, 1):.1f}" height="{BAR - 3}"'
                f' fill="{COLOURS.get(whose, "#444444")}"/>'
            )
            out.append(text(LEFT - 8, at + BAR - 5, "end", whose, ' font-size="11" fill="#555555"'))
            if goal and k == 0 and end <= place(goal) < end + 50: # its mark would stand in the number
                end = place(goal)
            out.append(text(end + 5, at + BAR - 5, "start", words(value, unit), ' font-size="11"'))
        if goal:
            x = min(max(place(goal), LEFT), WIDTH - 8)
            out.append(
                f'<line x1="{x:.1f}" y1="{y - 3}" x2="{x:.1f}" y2="{y + BAR - 1}" stroke="#c0392b" stroke-width="2"/>'
            )
        y += len(bars) * BAR + GAP
    return "\n".join(out + ["</svg>", ""])


def bars_of(figure, scale):
    everyone = {"brood": figure["brood"], "limit": figure["limit"], **figure["peers"]}
    return [(whose, value * scale) for whose, value in everyone.items() if value]


def figure_charts(figures):
    for name, title, prefixes, rates in CHARTS:
        groups = []
        for figure in figures:
            scale = 1 if figure["unit"] == "msg/s" else NANOSECONDS.get(figure["unit"])
            wanted = figure["name"].startswith(prefixes) and rates == (figure["unit"] == "msg/s")
            if wanted and scale and figure["brood"]:
                groups.append((figure["name"], bars_of(figure, scale), (figure["goal"] or 0) * scale))
        if groups:
            better = "longer is better" if rates else "time for one; shorter is better"
            note = f"{better}; the axis is logarithmic; the red mark is the goal"
            yield name, chart(title, note, groups, "msg/s" if rates else "ns")


def grid_chart(grid):
    groups = [
        (f"{size}, {putters} put, {getters} get", [(whose, rate) for whose, rate in rates.items() if rate], None)
        for size, putters, getters, rates in grid
        if (putters, getters) in ((1, 1), (8, 8))
    ]
    note = "messages a second; longer is better; the axis is logarithmic"
    return chart("Queues beside what else there is", note, groups, "msg/s")


def missed(figures):
    """The goals that were not reached, as a list."""
    found = [figure for figure in figures if figure["goal"] and figure["brood"] and figure["reached"] is False]
    for figure in found:
        unit, both = figure["unit"], (figure["brood"], figure["goal"])
        if unit in NANOSECONDS:
            brood, goal = (words(value * NANOSECONDS[unit], "ns") for value in both)
        elif unit == "msg/s":
            brood, goal = (f"{words(value, unit)} a second" for value in both)
        else:
            brood, goal = (f"{value:.0f} {unit}" for value in both)
        yield f"- `{figure['name']}`: {brood}; the goal was {goal}\n"
    if not found:
        yield "- none\n"


def main(arguments):
    folder = os.path.join(ROOT, "docs")
    if arguments[:1] == ["--out"] and len(arguments) > 1:
        folder, arguments = arguments[1], arguments[2:]
    if any(argument.startswith("--") for argument in arguments):
        raise SystemExit(__doc__)
    figures, grid = lines(arguments) if arguments else tables(os.path.join(ROOT, "README.md"))
    charts = dict(figure_charts(figures)) | ({"grid": grid_chart(grid)} if grid else {})
    if not charts:
        raise SystemExit("charts.py: no figures that can be drawn")
    page = os.path.join(folder, "speed.md")
    with open(page, encoding="utf-8") as file:
        text = file.read()
    if figures:
        text, count = re.subn(
            "(<!-- missed -->\n)(?:.|\n)*?(<!-- end -->)", lambda m: m[1] + "".join(missed(figures)) + m[2], text
        )
        if count != 1:
            raise SystemExit(f"charts.py: {page} has {count} places for what was missed, not 1")
    for name, drawing in charts.items():
        with open(os.path.join(folder, f"speed_{name}.svg"), "w", encoding="utf-8") as file:
            file.write(drawing)
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)
    print(" ".join(f"speed_{name}.svg" for name in charts))


main(sys.argv[1:])
