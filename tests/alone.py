"""Runs a script as if alone: in a process in which nothing has happened but imports."""

import multiprocessing
import os
import runpy
import sys
import warnings
from pathlib import Path

import matplotlib
import networks
import torch

# a fork of a process with the libraries, or each script would spend five seconds on them
LIBRARIES = ["matplotlib.pyplot", "hw2lib.training", "scipy.stats", "torch._dynamo"]
CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
CONTEXT.set_forkserver_preload(["alone", *LIBRARIES])


def run(script: Path, folder: Path, messages: Path) -> int | None:
    """Run a script in a folder, warnings being errors; return its exit code, None if it hangs."""
    process = CONTEXT.Process(target=execute, args=(script, folder, messages))
    process.start()
    process.join(120)
    process.kill()
    return process.exitcode


def execute(script: Path, folder: Path, messages: Path) -> None:
    """Run a script in this process, and write what it says into a file."""
    write_into(messages)
    os.chdir(folder)
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    networks.share()  # with the site, which has trained them
    warnings.simplefilter("error")
    sys.argv = [str(script)]
    runpy.run_path(str(script), run_name="__main__")


def write_into(messages: Path) -> None:
    """Write what this process says into a file from now on."""
    with messages.open("w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.stdout.reconfigure(encoding="utf-8")
