"""The world that the node's programs see: mounts, addresses and control groups, in namespaces that end with the cluster.

Nothing of the machine is changed. Of what a node needs only its control groups are the machine's; `up` and `down` remove them.
"""

import os
import subprocess
from pathlib import Path

import settings

CGROUPS = Path("/sys/fs/cgroup")
# Paths that are fixed in the programs. They become part of the state directory, or last as long as the cluster.
KEPT_FOLDERS = {"/var/lib/kubelet": "fixed/kubelet", "/var/lib/cni": "fixed/cni", "/var/log/containers": "log/containers"}
# The kubelet insists on these settings of the kernel's. It gets files that say so, and the kernel keeps what it has.
KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}


def _run(*command):
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL)


def _mount(*arguments):
    _run("mount", *arguments)


def mounts(state):
    handle = os.open(state, os.O_PATH | os.O_DIRECTORY)  # The state directory may lie below /run, which is about to be hidden.
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    settings.HOME.mkdir()
    subprocess.run(["mount", "--bind", f"/proc/self/fd/{handle}", settings.HOME], check=True, pass_fds=[handle])
    os.close(handle)
    for place, name in KEPT_FOLDERS.items():
        folder = settings.HOME / name
        folder.mkdir(parents=True, exist_ok=True)
        Path(place).mkdir(parents=True, exist_ok=True)
        _mount("--bind", folder, place)
    pretended = Path("/run/kernel-settings")
    for name, value in KERNEL_SETTINGS.items():
        file = pretended / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
        _mount("--bind", file, Path("/proc/sys") / name)


def network():
    """A bridge without ports holds the node's address; another is where the pods are. There is no way out."""
    _run("ip", "link", "set", "lo", "up")
    for bridge, address in (("node0", f"{settings.NODE_ADDRESS}/32"), (settings.POD_BRIDGE, f"{settings.POD_GATEWAY}/24")):
        _run("ip", "link", "add", bridge, "type", "bridge")
        _run("ip", "address", "add", address, "dev", bridge)
    # Without a fixed address a bridge takes that of its lowest port, and pods lose their gateway when one joins.
    _run("ip", "link", "set", settings.POD_BRIDGE, "address", "0a:58:0a:f4:00:01")
    for bridge in ("node0", settings.POD_BRIDGE):
        _run("ip", "link", "set", bridge, "up")
    # What goes over the bridge passes the packet filter, where network policies are enforced.
    for name in ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables"):
        Path("/proc/sys/net", name).write_text("1")


def make_cgroups(name):
    if (CGROUPS / "cgroup.controllers").exists():
        available = (CGROUPS / "cgroup.controllers").read_text().split()
        (CGROUPS / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in available))
        (CGROUPS / name).mkdir(exist_ok=True)
        return
    for controller in (each for each in CGROUPS.iterdir() if (each / "cgroup.procs").exists() and not each.is_symlink()):
        group = controller / name
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # These are not inherited, and nothing runs without them.
            if (group / file).exists():
                (group / file).write_text((controller / file).read_text())


def remove_cgroups(name):
    """Removes what the kernel kept of the cluster's control groups; none has a process any more."""
    for top in [*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")]:
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:  # A process that was killed a moment ago is still in it; the next start tries again.
                pass
