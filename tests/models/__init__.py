"""What the explorables' models must compute, one module an explorable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Random = np.random.Generator


@dataclass(frozen=True, eq=False)
class Comparison:
    """A function of a model, what hw2lib says it must return, and wrong variants of its source."""

    explorable: str
    function: str
    inputs: Callable[[Random], Sequence[Any]]
    expected: Callable[..., Any]
    mutants: Sequence[tuple[str, str]]
    read: Callable[[Any], Any] = lambda answer: answer  # what of the model's answer is compared
    size: Callable[..., float] | None = None  # errors are relative to it, or to what is expected

    def __str__(self) -> str:
        return f"{self.explorable}:{self.function}"
