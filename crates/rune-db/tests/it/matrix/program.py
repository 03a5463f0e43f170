"""Runs the program under test: with nothing of the caller's environment, with limits, or killed at a chosen system call."""

import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 40.0
# What changes files and what reaches a server, the moments at which a kill can leave something half done, and how often a short
# run comes to each. `strace` counts each call by itself.
FILE_CALLS = {"pwrite64": 45, "unlink": 7, "fsync": 2, "ftruncate": 2, "renameat2": 1, "write": 1}
SERVER_CALLS = {"sendto": 30, "write": 2}
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "INT": signal.SIGINT}


@dataclass
class Ended:
    code: int  # negative: the signal that ended it
    stdout: str
    stderr: str
    is_hung: bool = False

    @property
    def was_killed(self) -> bool:
        return self.code in {code for number in SIGNALS.values() for code in (-number, 128 + number)}

    def report(self) -> dict[str, Any]:
        try:
            value = json.loads(self.stdout)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass
class Run:
    """How to run it: `directory` is the working directory, `kill_at` the number of the system call that it dies at."""

    program: Path
    directory: Path
    variables: dict[str, str] = field(default_factory=dict)
    max_file_bytes: int | None = None
    kill_at: int | None = None
    call: str = "write"
    signal: str = "KILL"
    # Called with the running process, to do something while it runs.
    meanwhile: Callable[[subprocess.Popen[bytes]], None] | None = None

    def __call__(self, arguments: list[str]) -> Ended:
        command = [str(self.program), *arguments]
        if self.kill_at is not None:
            inject = f"inject={self.call}:signal={self.signal}:when={self.kill_at}"
            command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={self.call}", "-e", inject, *command]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), **self.variables}
        process = subprocess.Popen(
            command, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=self._limit if self.max_file_bytes else None,
        )
        if self.meanwhile:
            self.meanwhile(process)
        is_hung = False
        try:
            stdout, stderr = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            is_hung = True
            process.kill()
            stdout, stderr = process.communicate()
        return Ended(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"), is_hung)

    def _limit(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = self.max_file_bytes or resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
