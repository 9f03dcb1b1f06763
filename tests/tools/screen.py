# SPDX-License-Identifier: MIT
"""What a board's console showed -> docs/status.svg, the picture in README.md; and whether the picture still shows what boards print: the same lines
once what differs from run to run (numbers, times, digests) is taken out. tests/boards/test_boot.py compares it, and draws it anew with DRAW=1."""
import html
import pathlib
import re

PICTURE = pathlib.Path(__file__).resolve().parents[2] / "docs/status.svg"
COLUMNS, LINE, CHARACTER, MARGIN = 100, 18, 8.4, 14


def shown(commands):
    """Lines as a terminal of COLUMNS columns has them. COMMANDS: (command, what it printed)."""
    lines = []
    for command, said in commands:
        for line in ["coracle> " + command, *said.rstrip().splitlines()]:
            lines += [line[k:k + COLUMNS] for k in range(0, max(len(line), 1), COLUMNS)]
    return lines + ["coracle> "]


def svg(lines):
    width, height = round(COLUMNS * CHARACTER) + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    text = "\n".join(f'<text x="{MARGIN}" y="{MARGIN + (n + 1) * LINE - 5}">{html.escape(line)}</text>' for n, line in enumerate(lines))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
            f'<rect width="{width}" height="{height}" rx="6" fill="#16181d"/>\n'
            f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" fill="#d7dae0" xml:space="preserve">\n{text}\n</g>\n</svg>\n')


def lines_of(picture):
    return [html.unescape(t) for t in re.findall(r"<text [^>]*>(.*?)</text>", picture)]


def shape(lines):
    """What must be the same on every run. Texts are joined first: where a line breaks hangs on the length of its numbers."""
    text = " ".join(" ".join(lines).split())
    for pattern, put in ((r"sha256: ?[0-9a-f ]{64,66}", "DIGEST "), (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ", "TIME"), (r"\d+ in all( of \d+)?", "N in all"),
                         (r"registry\.demo:\d+", "REGISTRY"), (r"\d[\d.:]*[BKMG]?\b", "N"), (r"kernel \S+", "KERNEL"), (r" +", " ")):
        text = re.sub(pattern, put, text)
    return text
