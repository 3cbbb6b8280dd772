"""The claim of Solution 4: there is none."""

from hw2lib.claims.registry import outside

outside(
    "4",
    printed="Moved to the next homework.",
    statement="There is no solution in the original, and so nothing to check.",
)
