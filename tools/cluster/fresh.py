#!/usr/bin/env python3
"""A second node of a cluster that runs: a kubelet and a containerd with an empty image store.

Usage: fresh.py NAME      (in the mount, process and network namespaces of the cluster: nsenter)

It prints one line of JSON when containerd answers and the kubelet was started, and ends when its standard input does, with what runs on it. No pod
is scheduled on it: a pod comes by `nodeName`.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

import environment  # noqa: E402, F401 - sets RUNE_TOOLS and PATH for the others.
import configuration  # noqa: E402
import settings  # noqa: E402
from settings import HOME  # noqa: E402

PATIENCE_SECONDS = 60


def kubelet(home, run):
    config = json.loads((configuration.ETC / "kubelet.yaml").read_text())
    return config | {
        "port": 10260, "healthzPort": 0, "podLogsDir": str(home / "pods"),
        "containerRuntimeEndpoint": f"unix://{run}/containerd.sock",
        # The other kubelet does not share its control groups of pods.
        "cgroupsPerQOS": False, "enforceNodeAllocatable": [],
        "registerWithTaints": [{"key": "rune.test/fresh", "effect": "NoSchedule"}],
    }


def end(process):
    process.terminate()
    process.wait()


def main(name):
    home, run = HOME / name, Path("/run") / name
    home.mkdir()
    text = configuration.CONTAINERD.replace(f"{HOME}/containerd", f"{home}/containerd").replace("/run/containerd", str(run))
    (home / "containerd.toml").write_text(text)
    (home / "kubelet.yaml").write_text(json.dumps(kubelet(home, run)))
    # Whoever may do everything may be a node, too.
    commands = [
        ["containerd", "--config", str(home / "containerd.toml")],
        [str(settings.PROGRAMS / "kubelet"), "--config", str(home / "kubelet.yaml"), "--root-dir", str(home / "kubelet"),
         "--kubeconfig", str(configuration.KEYS / "admin.kubeconfig"), "--hostname-override", name, "--node-ip", settings.NODE_ADDRESS],
    ]
    processes = []
    try:
        for command in commands:
            with open(HOME / "log" / f"{name}-{Path(command[0]).name}.log", "wb") as log:
                processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"))
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not (run / "containerd.sock").exists():
                if processes[0].poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"containerd did not start: see {name}-containerd.log")
                time.sleep(0.05)
        print(json.dumps({"socket": f"{run}/containerd.sock"}), flush=True)
        sys.stdin.read()
    finally:
        for process in reversed(processes[1:]):
            end(process)
        # What was deleted a moment ago may still run, and the kubelet ends no container when it ends.
        ctr = ["ctr", "--address", f"{run}/containerd.sock", "--namespace", "k8s.io", "tasks"]
        tasks = subprocess.run([*ctr, "list", "--quiet"], capture_output=True, text=True, check=False).stdout.split()
        for task in tasks:
            subprocess.run([*ctr, "delete", "--force", task], capture_output=True, check=False)
        for process in processes[:1]:
            end(process)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
