"""What worker processes need: they end with the process that began them; Ctrl-C is its business."""

from __future__ import annotations

import os
import signal
import sys
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
    """Put Ctrl-C off until the end, and, but on Windows, keep it from the processes begun here.

    Only the main thread can; in another one nothing happens.

    Examples
    --------
    >>> try:
    ...     with uninterrupted():
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("goes on")
    ... except KeyboardInterrupt:
    ...     print("and ends")
    goes on
    and ends
    """
    if current_thread() is not main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    blocks = sys.platform != "win32"
    if blocks:  # what is begun here inherits that; the signal itself waits
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if blocks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def end_after(process: BaseProcess) -> None:
    """Wait for another process, then end this one at once."""
    process.join()
    os._exit(1)
