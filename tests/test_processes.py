"""Workers end with the process that began them."""

import subprocess
import sys

BEGIN = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from hw2lib._processes import end_with_parent

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=end_with_parent)
    pool.submit(int).result()
    print("begun", flush=True)
    time.sleep(600)
"""


def test_worker_ends_when_its_parent_is_killed(tmp_path):
    script = tmp_path / "begin.py"
    script.write_text(BEGIN)
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.kill()
    process.communicate(timeout=30)  # the end of what the worker, too, can write to
