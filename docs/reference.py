#!/usr/bin/env python3
"""reference.py ROOT VERSION OUT: the reference, made from the public headers, which are the manual.

Writes OUT/man/man3/FUNCTION.3 for each public function, OUT/man/man7/brood_NOUN.7 for each header, OUT/man/man7/brood.7
for what holds for all, OUT/man/man1/brood.1 from the tool's --help, and OUT/html/ with a page for each header. Nothing
but the standard library is needed.

A header is read as the house writes it: a comment at the left edge belongs to the declarations that follow it without a
blank line. In a comment a blank line, or a line that was broken though the next word would have fit, ends a paragraph;
four blanks begin an example; "EBUSY: why" is a result.
"""
import html
import os
import re
import sys

COLUMNS = 120
CODE = r"(?:NULL|E[A-Z0-9]{2,}|BROOD_[A-Z_]+)"
TAG = rf"(?:-?\d+|n > 0|{CODE})(?:(?:,| or) {CODE})*"
RESULT = re.compile(rf"({TAG}): (.*)", re.S)
SPLIT = re.compile(rf"(?<=[.)])(?:  +(?={TAG}[:.])| +(?={CODE}(?:(?:,| or) {CODE})*: ))")


class Item:
    """A declaration, with the text of its comment: `kind` is function, macro, type or constant."""

    def __init__(self, kind, name, code, text):
        self.kind, self.name, self.code, self.text = kind, name, code, text
        self.macro = None  # of a function: the form that C programs use


class Header:
    """A public header: its title, what its head comment says, and its items in order."""

    def __init__(self, path, name):
        self.name = name  # brood/lock.h
        self.noun = os.path.basename(name)[:-2]
        lines = open(path, encoding="utf-8").read().split("\n")
        head, at = read_comment(lines, 0)
        first = " ".join(head[: (head + [""]).index("")])
        self.title = first.split(": ", 1)[1]
        self.text = head[(head + [""]).index("") :]
        self.items = list(read_items(lines, at))
        functions = {item.name: item for item in self.items if item.kind == "function"}
        for item in [item for item in self.items if item.kind == "macro" and item.name in functions]:
            functions[item.name].macro = re.match(r"#define (.*?\))", item.code[0]).group(1)
            self.items.remove(item)

    def functions(self):
        return [item for item in self.items if item.kind in ("function", "macro")]


def read_comment(lines, at):
    """The text of the comment that begins at that line, and the line behind it."""
    text = []
    while True:
        line = lines[at]
        at += 1
        ended = line.endswith("*/")
        line = re.sub(r"\s*\*/$", "", line)
        text.append(re.sub(r"^(/\*| \*) ?", "", line))
        if ended:
            return text, at


def read_items(lines, at):
    """Yields the declarations of a header, from that line on."""
    text = []
    while at < len(lines):
        line = lines[at]
        if line.startswith("/*"):
            text, at = read_comment(lines, at)
            if re.match(r"-+ ", text[0]):
                text = []
            continue
        begin = at
        if line.startswith("BROOD_API"):
            while not lines[at].endswith(";"):
                at += 1
            code = lines[begin : at + 1]
            name = re.search(r"\b(brood_\w+)\(", " ".join(code)).group(1)
            code[0] = code[0][len("BROOD_API ") :]
            yield Item("function", name, reflow(code), text)
        elif re.match(r"(typedef|enum|struct|union)\b", line):
            while not (lines[at].endswith(";") and lines[at][0] not in " \t"):
                at += 1
            code = lines[begin : at + 1]
            names = re.findall(r"\bbrood_\w+|BROOD_\w+", code[-1] if len(code) > 1 else line)
            target = re.match(r"typedef .*?\b(brood_\w+)\(", line)
            name = target.group(1) if target else names[-1] if names else ""
            yield Item("type", name, code, text)
        elif line.startswith("#define ") and not re.match(r"#define (BROOD_\w+_H|BROOD_H|BROOD_API)\b", line):
            while lines[at].endswith("\\"):
                at += 1
            name = re.match(r"#define (\w+)", line).group(1)
            yield Item("macro" if name.startswith("brood_") else "constant", name, lines[begin : at + 1], text)
        elif not line:
            text = []
        at += 1


def reflow(code):
    """A declaration in lines of at most 76 columns."""
    words = re.sub(r"\s*__attribute__\(\(.*?\)\)\)", "", " ".join(" ".join(code).split())).split(" ")
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > 76:
            lines.append("    " + word)
        else:
            lines[-1] += " " + word
    return lines


def blocks(text):
    """A comment as paragraphs: ("text", words), ("code", lines), ("item", words), ("result", tag, words)."""
    found, words, last = [], [], None

    def end():
        for part in SPLIT.split(" ".join(words)) if words else []:
            result = RESULT.fullmatch(part)
            item = re.fullmatch(r"- (.*)", part, re.S)
            if result:
                found.append(("result", result.group(1), result.group(2)))
            elif item:
                found.append(("item", item.group(1)))
            else:
                found.append(("text", part))
        words.clear()

    for line in text + [""]:
        if line.startswith("    "):
            end()
            if found and found[-1][0] == "code" and last is not None and last.startswith("    "):
                found[-1][1].append(line[4:])
            else:
                found.append(("code", [line[4:]]))
        elif not line.strip():
            end()
        else:
            word = line.split()[0]
            broken = last is not None and last[-1:] in tuple(".:;)") and len(last) + 4 + len(word) < COLUMNS
            if line.startswith("- ") or broken:
                end()
            words.append(line.strip())
        last = line
    return found


def summary(item):
    """The first sentence, for NAME."""
    for block in blocks(item.text):
        if block[0] in ("text", "result"):
            sentence = re.match(r"(.*?)([.:;](\s|$)|$)", block[-1], re.S).group(1)
            if sentence.count("(") > sentence.count(")"):
                sentence = sentence[: sentence.rindex("(")].rstrip()
            plain = len(sentence) > 1 and sentence[0].isupper() and not sentence[1].isupper()
            return sentence[0].lower() + sentence[1:] if plain else sentence
    return "see below"


def types_of(item, headers):
    """The types with a body that the declaration names."""
    names = set(re.findall(r"\bbrood_\w+", " ".join(item.code)))
    return [kind for header in headers for kind in header.items
            if kind.kind == "type" and kind.name in names and len(kind.code) > 1]


def with_comment(item):
    """A type or constant as it stands in the header."""
    if not item.text:
        return item.code
    lines = ["/* " + item.text[0]] + [" * " + line for line in item.text[1:]]
    lines[-1] += " */"
    return lines + item.code


# ---- manual pages: man(7) ----


def roff(text):
    for character, name in (("\\", "\\e"), ("-", "\\-"), ("^", "\\(ha"), ("~", "\\(ti"), ("'", "\\(aq")):
        text = text.replace(character, name)
    text = re.sub(r"`([^`]*)`", r"\\fI\1\\fP", text)
    return "\\&" + text if text.startswith(".") else text


def bold(line):
    """A line of its own, whose blanks count."""
    return "\\fB" + roff(line) + "\\fP"


def roff_code(lines):
    literal = [roff(line.replace("`", "\\(ga")).replace("\\e(ga", "\\(ga") for line in lines]
    return [".PP", ".in +4n", ".nf"] + literal + [".fi", ".in"]


def roff_blocks(text):
    out = []
    for block in blocks(text):
        if block[0] == "code":
            out += roff_code(block[1])
        elif block[0] == "item":
            out += [".IP \\(bu 2", roff(block[1])]
        elif block[0] == "result":
            out += [".TP", ".B " + roff(block[1]), roff(block[2])]
        else:
            out += [".PP", roff(block[1])]
    return out


def page(path, name, section, version, brief, parts):
    lines = [f'.TH {name} {section} "" "brood {version}" "brood"', ".SH NAME", f"{name} \\- {roff(brief)}"]
    for title, body in parts:
        if body:
            lines += [f".SH {title}"] + body
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def see_also(names):
    return [".BR " + name + " (" + section + ")" + ("," if i + 1 < len(names) else "")
            for i, (name, section) in enumerate(names)]


def synopsis(item):
    lines = [".nf", ".B #include <brood.h>", ".PP"]
    if item.macro:
        lines += [bold(item.macro + ";"), ".PP"]
    if item.kind == "function":
        lines += [bold(line) for line in item.code]
    else:
        lines += [bold(re.match(r"#define (.*?\))", item.code[0]).group(1))]
    lines += [".fi", ".PP", "Link with \\fI\\-lbrood\\fP."]
    if item.macro:
        lines += ["In C the first form is a macro that tells the types to the second; C++ has the second only."]
    return lines


def function_page(header, item, headers, version, out):
    types = [line for kind in types_of(item, headers) for line in roff_code(with_comment(kind))]
    others = [(other.name, "3") for other in header.functions() if other is not item]
    page(f"{out}/man/man3/{item.name}.3", item.name, "3", version, summary(item), [
        ("SYNOPSIS", synopsis(item)),
        ("DESCRIPTION", roff_blocks(item.text)),
        ("TYPES", types),
        (f'"WHAT HOLDS FOR ALL OF {header.name.upper()}"', roff_blocks(header.text)),
        ('"SEE ALSO"', see_also(others + [("brood_" + header.noun, "7"), ("brood", "7")])),
    ])


def header_page(header, version, out):
    kinds = [item for item in header.items if item.kind in ("type", "constant")]
    body = [line for item in kinds for line in roff_code(with_comment(item))]
    calls = []
    for item in header.functions():
        calls += [".TP", f".BR {item.name} (3)", roff(summary(item)) + "."]
    page(f"{out}/man/man7/brood_{header.noun}.7", "brood_" + header.noun, "7", version, header.title.rstrip(".:"), [
        ("SYNOPSIS", [f".B #include <{header.name}>"]),
        ("DESCRIPTION", roff_blocks(header.text)),
        ("FUNCTIONS", calls),
        ('"TYPES AND CONSTANTS"', body),
        ('"SEE ALSO"', see_also([("brood", "7")])),
    ])


def overview_page(umbrella, headers, version, out):
    nouns = []
    for header in headers:
        nouns += [".TP", f".BR brood_{header.noun} (7)", roff(header.title)]
    page(f"{out}/man/man7/brood.7", "brood", "7", version, "multiprocessing for C", [
        ("SYNOPSIS", [".nf", ".B #include <brood.h>", ".PP",
                      bold("cc program.c $(pkg-config --cflags --libs brood)"), ".fi"]),
        ("DESCRIPTION", roff_blocks(umbrella.text)),
        ("HEADERS", nouns),
        ('"SEE ALSO"', see_also([("brood", "1")])),
    ])


def tool_page(root, version, out):
    source = open(f"{root}/inspect/main.c", encoding="utf-8").read()
    literal = re.search(r"help\[\] =\s*(.*?);\n", source, re.S).group(1)
    text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literal)).replace("\\n", "\n").replace('\\"', '"')
    usage, rest = text.split("\n\n", 1)
    about, commands, limits = rest.split("\n\n", 2)
    usage = [line.replace("usage:", "      ").strip() for line in usage.split("\n")]
    body = [".PP", roff(" ".join(about.split()))]
    for entry in re.split(r"\n(?=\S)", commands.rstrip()):
        name, words = entry.split(None, 1)
        body += [".TP", ".B " + roff(name), roff(" ".join(words.split()))]
    body += [".PP", roff(" ".join(limits.split()))]
    page(f"{out}/man/man1/brood.1", "brood", "1", version, "look into families of processes that run with brood", [
        ("SYNOPSIS", [".nf"] + [".B " + roff(line) for line in usage] + [".fi"]),
        ("DESCRIPTION", body),
        ('"SEE ALSO"', see_also([("brood", "7"), ("brood_waiter", "7")])),
    ])


# ---- HTML ----

STYLE = """body { max-width: 52em; margin: 2em auto; padding: 0 1em; font: 16px/1.5 sans-serif; }
pre { background: #f4f4f2; padding: .6em; overflow-x: auto; font-size: 14px; } dt { font-weight: bold; }
h2 { border-top: 1px solid #ccc; padding-top: .8em; font-size: 1.1em; font-family: monospace; }"""


def markup(text, links):
    text = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"\bbrood_\w+\b", lambda word: link(word.group(0), links), text)


def link(name, links):
    return f'<a href="{links[name]}">{name}</a>' if name in links else name


def html_blocks(text, links):
    out = []
    for block in blocks(text):
        if block[0] == "code":
            out.append("<pre>" + html.escape("\n".join(block[1])) + "</pre>")
        elif block[0] == "item":
            out.append("<ul><li>" + markup(block[1], links) + "</li></ul>")
        elif block[0] == "result":
            out.append(f"<dl><dt>{html.escape(block[1])}</dt><dd>{markup(block[2], links)}</dd></dl>")
        else:
            out.append("<p>" + markup(block[1], links) + "</p>")
    return out


def html_page(path, title, body):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
                   f"<style>{STYLE}</style>\n" + "\n".join(body) + "\n</html>\n")


def html_header(header, links, out):
    body = ['<p><a href="index.html">brood</a></p>', f"<h1>{header.name}: {html.escape(header.title)}</h1>"]
    body += html_blocks(header.text, links)
    for item in header.items:
        body.append(f'<h2 id="{item.name}">{item.name}</h2>' if item.name else "<h2>constants</h2>")
        code = ([item.macro + ";", ""] if item.macro else []) + item.code
        body.append("<pre>" + html.escape("\n".join(code)) + "</pre>")
        body += html_blocks(item.text, links)
    html_page(f"{out}/html/{header.noun}.html", header.name, body)


def html_index(umbrella, headers, links, version, out):
    body = [f"<h1>brood {version}: multiprocessing for C</h1>"] + html_blocks(umbrella.text, links) + ["<dl>"]
    for header in headers:
        calls = ", ".join(link(item.name, links) for item in header.functions())
        title = f'<a href="{header.noun}.html">{header.name}</a>: {html.escape(header.title)}'
        body.append(f"<dt>{title}</dt><dd>{calls}</dd>")
    html_page(f"{out}/html/index.html", "brood", body + ["</dl>"])


def main(root, version, out):
    folder = f"{root}/include/brood"
    names = sorted(name for name in os.listdir(folder) if name.endswith(".h"))
    headers = [Header(f"{folder}/{name}", "brood/" + name) for name in names]
    umbrella = Header(f"{root}/include/brood.h", "brood.h")
    links = {item.name: f"{header.noun}.html#{item.name}" for header in headers for item in header.items if item.name}
    for header in headers:
        header_page(header, version, out)
        html_header(header, links, out)
        for item in header.functions():
            function_page(header, item, headers, version, out)
    overview_page(umbrella, headers, version, out)
    html_index(umbrella, headers, links, version, out)
    tool_page(root, version, out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: reference.py ROOT VERSION OUT")
    main(*sys.argv[1:])
