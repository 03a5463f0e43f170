"""Servers that live exactly as long as somebody wants them: shared by tools/*/start.

A server is ended when its starter's standard input closes, on SIGTERM and on SIGINT; when the starter itself is killed, the
kernel kills the server. So a test that dies leaves nothing behind.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 10


class Stop(Exception):
    """Somebody wants us to end."""


def _raise_stop(*_):
    raise Stop


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, log, environment=None):
    """Starts a server that writes to the log file and dies with this process."""
    with open(log, "ab") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                                preexec_fn=_die_with_parent)


def end(process):
    """Asks a server to end, and ends it when it does not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until_told(process, log):
    """Returns when standard input is at its end; fails when the server ends by itself."""
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], 1)
        if readable and not os.read(sys.stdin.fileno(), 4096):
            return
        if process.poll() is not None:
            sys.exit(f"the server ended by itself, see {log}")


def main(run):
    """Calls `run` so that the signals that mean «end» unwind it in good order."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _raise_stop)
    try:
        run()
    except Stop:
        pass
