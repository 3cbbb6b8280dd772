"""Solution 5's networks, trained once for a state of hw2lib: scripts and the notebook share them.

A script that runs by itself trains its own, and comes to the same numbers.
"""

from __future__ import annotations

import functools
import hashlib
import os
from typing import Any

from freshness import ROOT, digest, drop_others, sources
from sphinx.application import Sphinx
from sphinx.config import Config

KEPT = ROOT / "docs" / "_build" / "networks"


def share(*given: Any) -> None:
    """Let ``digits_network`` return what has been trained before, in this process or in another.

    Sphinx-Gallery calls this before each script, and gives its configuration and the script.
    """
    import torch

    from hw2lib import training
    from hw2lib.datasets import digits_data

    train, folder = training.digits_network, KEPT / digest(sources(ROOT), ROOT)
    if hasattr(train, "is_shared"):
        return

    @functools.wraps(train)
    def digits_network(data: Any = None, *, seed: int = 0, epochs: int = 10) -> Any:
        data = digits_data() if data is None else data
        run = f"{training.identity_of_data(data)}, seed {seed}, {epochs} epochs"
        file = folder / f"{hashlib.sha256(run.encode()).hexdigest()[:16]}.pt"
        if not file.is_file():  # two processes may train at once, and come to the same
            folder.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}.part")
            torch.save(train(data, seed=seed, epochs=epochs), part)
            os.replace(part, file)
        return torch.load(file, weights_only=False)  # whoever has trained it, the same

    digits_network.is_shared = True
    training.digits_network = digits_network


def drop_stale(app: Sphinx, config: Config) -> None:
    """Forget the networks of other states of hw2lib."""
    drop_others(KEPT / config.hw2lib_digest, "*")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the cleaning."""
    app.connect("config-inited", drop_stale, priority=200)  # when the digest is known
    return {"parallel_read_safe": True, "parallel_write_safe": True}
