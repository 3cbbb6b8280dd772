"""Solution 5's networks, trained once for a state of hw2lib: scripts and the notebook share them.

A script that runs by itself trains its own, and comes to the same numbers.
"""

from __future__ import annotations

import functools
from typing import Any

from freshness import ROOT, digest, drop_others, sources
from sphinx.application import Sphinx
from sphinx.config import Config

KEPT = ROOT / "docs" / "_build" / "networks"


def share(*given: Any) -> None:
    """Let ``digits_network`` return what it has trained before, in this process or in another.

    Sphinx-Gallery calls this before each script, and gives its configuration and the script.
    """
    from joblib import Memory

    from hw2lib import training
    from hw2lib.datasets import digits_data

    if hasattr(training.digits_network, "__wrapped__"):
        return
    kept = Memory(KEPT / digest(sources(ROOT), ROOT), verbose=0).cache(train, ignore=["data"])

    @functools.wraps(training.digits_network)
    def digits_network(data: Any = None, *, seed: int = 0, epochs: int = 10) -> Any:
        data = digits_data() if data is None else data
        return kept(data, training.identity_of_data(data), seed, epochs)

    training.digits_network = digits_network


def train(data: Any, identity: str, seed: int, epochs: int) -> Any:
    """Train a network; the identity stands for the data, for a digest of tensors is not steady."""
    from hw2lib import training

    return training.digits_network.__wrapped__(data, seed=seed, epochs=epochs)  # type: ignore[attr-defined]


def drop_stale(app: Sphinx, config: Config) -> None:
    """Forget the networks of other states of hw2lib."""
    drop_others(KEPT / config.hw2lib_digest, "*")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the cleaning."""
    app.connect("config-inited", drop_stale, priority=200)  # when the digest is known
    return {"parallel_read_safe": True, "parallel_write_safe": True}
