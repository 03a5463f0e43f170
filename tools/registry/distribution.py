"""Starts one registry process on a free port: distribution 2 (Debian's docker-registry), distribution 3, or crane's.

It cannot choose a free port itself, so we choose one and see whether it got it: the proof is that its process holds the
listening socket, because on a port that was lost to another process something else would answer.
"""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import attended

ATTEMPTS = 20
READY_SECONDS = 30
LISTEN = "0A"
PROGRAMS = {"distribution2": "docker-registry", "distribution3": "distribution"}


@dataclass
class Registry:
    """A registry that was started."""

    process: subprocess.Popen
    port: int
    log: Path

    def listens(self):
        """Whether this process, and no other, holds the listening socket of the port."""
        wanted = f"{_hex_address('127.0.0.1')}:{self.port:04X}"
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table]
        inodes = {f"socket:[{row[9]}]" for row in rows if row[1] == wanted and row[3] == LISTEN}
        return bool(inodes & _open_files(self.process.pid))

    def words(self):
        return self.log.read_text(errors="replace")


def _hex_address(address):
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}"


def _open_files(pid):
    folder, found = f"/proc/{pid}/fd", set()
    try:
        for name in os.listdir(folder):
            found.add(os.readlink(f"{folder}/{name}"))
    except OSError:  # It ended, or closed a file while we looked.
        pass
    return found


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _write_config(folder, port, auth, certificate):
    http = {"addr": f"127.0.0.1:{port}", "secret": "not a secret: test equipment"}
    if certificate:
        http["tls"] = {"certificate": str(certificate.certificate), "key": str(certificate.key)}
        if certificate.clients:
            http["tls"]["clientcas"] = [str(certificate.clients)]
    config = {
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": http,
        **({"auth": auth} if auth else {}),
    }
    path = folder / "config.yml"
    path.write_text(json.dumps(config, indent=2))  # JSON is YAML.
    return path


def _command(program, folder, port, auth, certificate):
    if program == "crane":
        (folder / "data").mkdir(exist_ok=True)
        return ["crane", "registry", "serve", "--address", f"127.0.0.1:{port}", "--disk", str(folder / "data")]
    return [PROGRAMS[program], "serve", str(_write_config(folder, port, auth, certificate))]


def _launch(program, folder, port, auth, certificate):
    command = _command(program, folder, port, auth, certificate)
    log = folder / "registry.log"
    # REGISTRY_… variables would override the configuration, and OTEL_… ones make it call home.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "OTEL_"))}
    # Without this distribution 3 calls home all the same.
    process = attended.spawn(command, log, environment | {"OTEL_TRACES_EXPORTER": "none"})
    return Registry(process, port, log)


def _wait_until_it_listens(registry):
    deadline = time.monotonic() + READY_SECONDS
    while registry.process.poll() is None and time.monotonic() < deadline:
        if registry.listens():
            return True
        time.sleep(0.01)
    return False


def start(program, folder, auth, certificate):
    """Starts a registry on a free loopback port and returns it once it listens."""
    for _ in range(ATTEMPTS):
        registry = _launch(program, folder, _free_port(), auth, certificate)
        listens = False
        try:
            listens = _wait_until_it_listens(registry)
        finally:
            if not listens:
                attended.end(registry.process)
        if listens:
            return registry
        if "address already in use" not in registry.words():
            break
        registry.log.unlink()
    sys.exit(f"registry: it did not start:\n{registry.words()}")
