"""What tests read of the pages' sources."""

import re

FENCE = re.compile(r" *(`{3,}|~{3,})(?:\{([\w-]+)\})?(.*)")
OF_PROSE = {
    *("container", "dropdown", "gallery-figure", "explorable", "printed"),
    *("theorem", "lemma", "definition", "remark", "proof", "exercise"),
}


def without_code(text):
    """Return a page without its fenced code, and without the fences of what it folds or frames."""
    lines, open_fences = [], []
    for line in text.splitlines():
        fence = FENCE.fullmatch(line)
        if (
            fence
            and open_fences
            and (fence[1], fence[2], fence[3]) == (open_fences[-1][0], None, "")
        ):
            open_fences.pop()
        elif fence and all(is_prose for _, is_prose in open_fences):
            open_fences.append((fence[1], fence[2] in OF_PROSE))
        elif all(is_prose for _, is_prose in open_fences):
            lines.append(line)
    assert not open_fences
    return "\n".join(lines)
