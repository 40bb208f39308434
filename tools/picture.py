# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw what a terminal showed, from a text file, as an SVG of text beside it: picture.py docs/images/NAME.txt

The text is the real output of a command; its first line is the command. Colours follow from the words.
"""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path

WIDTH, HEIGHT, MARGIN, BAR = 8.4, 19, 18, 30
COLOURS = (
    (re.compile(r"^[#$] .*"), "#ffffff"),
    (re.compile(r"^==> .*"), "#7fb8ff"),
    (re.compile(r"^(?:NODE|POD) .*"), "#9aa7b4"),
    (re.compile(r"\b(?:Ready|Running)\b"), "#7ee2a0"),
    (re.compile(r"Hello from \S+"), "#ffd479"),
)


def spans(line: str) -> str:
    """The line with its coloured words marked up."""
    pieces, rest = [], 0
    found = sorted((m.start(), m.end(), colour) for rule, colour in COLOURS for m in rule.finditer(line))
    for start, end, colour in found:
        if start >= rest:
            pieces.append(escape(line[rest:start]))
            pieces.append(f'<tspan fill="{colour}">{escape(line[start:end])}</tspan>')
            rest = end
    return "".join([*pieces, escape(line[rest:])])


def draw(text: str) -> str:
    lines = text.rstrip().splitlines()
    width = round(max(map(len, lines)) * WIDTH + 2 * MARGIN)
    height = len(lines) * HEIGHT + BAR + 2 * MARGIN
    dots = "".join(
        f'<circle cx="{MARGIN + 18 * n}" cy="16" r="5" fill="{colour}"/>\n'
        for n, colour in enumerate(("#ff6058", "#ffbd2e", "#28c940"))
    )
    rows = "".join(
        f'<text x="{MARGIN}" y="{BAR + MARGIN + 8 + n * HEIGHT}" xml:space="preserve">{spans(line)}</text>\n'
        for n, line in enumerate(lines)
        if line
    )
    return (
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later; drawn by tools/picture.py -->\n"
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(lines[0])}</title>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#1c232b"/>\n'
        f"{dots}"
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" '
        'font-size="14" fill="#d5dde5">\n'
        f"{rows}</g>\n</svg>\n"
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        source = Path(name)
        source.with_suffix(".svg").write_text(draw(source.read_text()))
