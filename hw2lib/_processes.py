"""Worker processes that end with the process that began them, however that ends."""

from __future__ import annotations

import os
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from threading import Thread


def end_with_parent() -> None:
    """Have this worker end when its parent is killed; it would wait for ever for more to do.

    To be a pool's initializer.

    References
    ----------
    Python documentation, ``multiprocessing.parent_process``.

    Examples
    --------
    >>> end_with_parent()  # in no worker nothing happens
    """
    if (parent := parent_process()) is not None:
        Thread(target=end_after, args=[parent], daemon=True).start()


def end_after(process: BaseProcess) -> None:
    """Wait for another process, then end this one at once."""
    process.join()
    os._exit(1)
