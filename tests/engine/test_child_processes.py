"""Ctrl-C in a terminal is for the process that was started there, not its workers."""

import os
import signal
import subprocess
import sys

import pytest

from unet_engine.child_processes import out_of_terminal, with_spared_processes

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

SPAWNS = f"""
import multiprocessing, signal, sys
sys.path[:0] = {sys.path!r}
from unet_engine.child_processes import with_spared_processes

def show(_):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return signal.SIGINT in blocked

if __name__ == "__main__":
    # The second one is started as one that took the place of another would be.
    pools = with_spared_processes(
        lambda: [multiprocessing.get_context("spawn").Pool(1) for _ in range(2)]
    )
    print([pool.map(show, [0]) for pool in pools])
    for pool in pools:
        pool.terminate()
        pool.join()
"""


def test_a_process_out_of_the_terminal_is_in_no_group_of_this_one():
    with subprocess.Popen(["sleep", "60"], **out_of_terminal()) as process:
        try:
            assert os.getpgid(process.pid) != os.getpgid(0)
        finally:
            process.kill()


def test_processes_of_multiprocessing_are_spared(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SPAWNS)
    answer = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False
    )

    assert answer.stdout.strip() == "[[True], [True]]", answer.stderr


def test_what_is_returned_and_raised_comes_from_the_thread():
    assert with_spared_processes(lambda: 3) == 3
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(ZeroDivisionError):
        with_spared_processes(lambda: 1 // 0)
