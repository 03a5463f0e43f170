"""The first process of a cluster's namespaces: starts the node's programs and ends with them.

Usage: node.py STATE      (by `up`, in new mount, process and network namespaces)

When it ends, however it ends, the kernel kills every process of the cluster and takes its mounts and network back; etcd,
containerd and PostgreSQL are made to start again after that, so nobody asks them to end first. It ends on SIGTERM, when a
program of the node's ends, and when nobody has held a lock on STATE/attendance for STATE/linger seconds (0: it stays).
STATE/ready says that everything runs.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True

import configuration  # noqa: E402
import daemons  # noqa: E402
import images  # noqa: E402
import keys  # noqa: E402
import settings  # noqa: E402
import world  # noqa: E402
from settings import HOME  # noqa: E402

PATIENCE_SECONDS = 120
KUBECTL = [str(settings.PROGRAMS / "kubectl"), "--kubeconfig", str(HOME / "keys" / "admin.kubeconfig")]


class Node:
    """The programs that run, by process id."""

    def __init__(self):
        self._names = {}

    def start(self, programs):
        for name, command in programs:
            with open(HOME / "log" / f"{name}.log", "ab") as log:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
            self._names[process.pid] = name
            process.returncode = 0  # It is waited for here, not by the module.

    def wait_for(self, what, is_there):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_there():
            for pid, name in self._names.items():
                if os.waitpid(pid, os.WNOHANG)[0]:
                    sys.exit(f"{name} ended: see {name}.log")
            if time.monotonic() > deadline:
                sys.exit(f"{what}: not there after {PATIENCE_SECONDS} s")
            time.sleep(0.1)
        say(f"{what}: there")

    def reap(self):
        """Buries the dead, orphans of containers among them; ends when one of the node's own is dead."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._names:
                sys.exit(f"{self._names[pid]} ended with status {status}: see its log")


def say(text):
    print(f"{time.monotonic() - STARTED:6.1f} s  {text}", flush=True)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def kubectl(*arguments, said=""):
    return subprocess.run([*KUBECTL, *arguments], input=said, capture_output=True, text=True, check=False)


def succeeds(*arguments):
    return kubectl(*arguments).returncode == 0


def apply_manifests():
    text = "".join(file.read_text() for file in sorted((settings.HERE / "manifests").iterdir()))
    for name in ("COREDNS_IMAGE", "DNS_SERVICE", "DOMAIN"):
        text = text.replace(f"${name}", getattr(settings, name))
    applied = kubectl("apply", "--filename=-", said=text)
    if applied.returncode:
        sys.exit(f"the manifests were not taken: {applied.stderr}")


def forget_what_ran():
    """After a stop, the state says that the node is ready and pods run. Neither is true, and who waits must not be told so."""
    unready = {"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Stopped"}]}}
    kubectl("patch", f"node/{settings.NODE}", "--subresource=status", "--patch", json.dumps(unready))
    kubectl("delete", "pods", "--all", "--all-namespaces", "--force", "--grace-period=0", "--wait=false")


def bring_up(node, state):
    world.mounts(state)
    world.network()
    world.make_cgroups(settings.cgroup_name(state))
    for name in ("log", "etcd"):
        (HOME / name).mkdir(mode=0o700, exist_ok=True)
    keys.make(HOME / "keys")
    configuration.write(settings.cgroup_name(state))
    node.start(daemons.STORE)
    node.wait_for("registry", lambda: answers(f"http://{settings.REGISTRY}/v2/"))
    node.start(daemons.API_SERVER)
    images.push()
    node.wait_for("API server", lambda: succeeds("get", "--raw=/readyz"))
    node.wait_for("containerd", lambda: Path("/run/containerd/containerd.sock").exists())
    forget_what_ran()
    apply_manifests()
    node.start(daemons.NODE)
    node.wait_for("node", lambda: succeeds("wait", "--for=condition=Ready", f"node/{settings.NODE}", "--timeout=1s"))
    node.wait_for("default account", lambda: succeeds("--namespace=default", "get", "serviceaccount", "default"))
    node.wait_for("CoreDNS", lambda: succeeds("--namespace=kube-system", "wait", "--for=condition=Ready", "pod",
                                              "--selector=k8s-app=kube-dns", "--timeout=1s"))


def linger_seconds():
    try:
        return float((HOME / "linger").read_text())
    except (OSError, ValueError):
        return 0


def stay(node):
    """Returns when nobody attends any more. The lock is kept then: who comes now waits for our end."""
    with open(HOME / "attendance", "ab") as attendance:
        alone_since = time.monotonic()
        while True:
            node.reap()
            time.sleep(0.5)
            try:
                fcntl.flock(attendance, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alone_since = time.monotonic()
                continue
            linger = linger_seconds()
            if linger and time.monotonic() - alone_since > linger:
                say("nobody is here any more")
                return
            fcntl.flock(attendance, fcntl.LOCK_UN)


def main(state):
    node = Node()

    def end(*_):
        say("told to end")
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    bring_up(node, state)
    ready = {"fingerprint": settings.fingerprint(), "seconds": round(time.monotonic() - STARTED, 1)}
    (HOME / "ready.new").write_text(json.dumps(ready))
    (HOME / "ready.new").rename(HOME / "ready")
    stay(node)


STARTED = time.monotonic()
if __name__ == "__main__":
    main(Path(sys.argv[1]))
