"""The state directory of a cluster and the process that holds its namespaces, as `up`, `down` and `run` see them.

A process is known by its id and the time it started, so that an id which was given to another one means nothing.
"""

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

import world
from settings import cgroup_name

STOP_SECONDS = 20


def _start_time(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


class State:
    """A state directory."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.log = self.folder / "log" / "node.log"
        self.kubeconfig = self.folder / "keys" / "admin.kubeconfig"

    @contextlib.contextmanager
    def locked(self):
        """One `up` or `down` at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def remember(self, pid):
        (self.folder / "process").write_text(f"{pid} {_start_time(pid)}")

    def pid(self):
        """The first process of the namespaces, or nothing."""
        try:
            pid, started = (self.folder / "process").read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if _start_time(pid) == started else None

    def ready(self):
        """What the node said when it was ready, if it lives."""
        try:
            return json.loads((self.folder / "ready").read_text()) if self.pid() else None
        except (OSError, ValueError):
            return None

    def stop(self):
        """Ends the cluster, if it runs, and what is left of it."""
        pid = self.pid()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self.pid() and time.monotonic() < deadline:
                time.sleep(0.05)
            if self.pid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # The kernel ends the others.
                while self.pid():
                    time.sleep(0.05)
        for name in ("process", "ready"):
            (self.folder / name).unlink(missing_ok=True)
        world.remove_cgroups(cgroup_name(self.folder))


def need_root():
    if os.geteuid() != 0:
        sys.exit("cluster: it needs root: for namespaces, mounts and control groups")
