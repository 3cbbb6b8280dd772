"""What worker processes need: they end with the process that began them; Ctrl-C is its business."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from threading import Thread, current_thread, main_thread


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


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C here and, but on Windows, in the processes that are begun here.

    Only the main thread can; in another one nothing happens.

    Examples
    --------
    >>> with uninterrupted():
    ...     signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    True
    """
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def end_after(process: BaseProcess) -> None:
    """Wait for another process, then end this one at once."""
    process.join()
    os._exit(1)
