"""What the parts of the cluster agree on: addresses, paths, names. Knows nothing of how they are used.

The addresses are in a network namespace of the cluster's own, so they collide with nothing and are the same for every cluster.
Inside its mount namespace the state directory is HOME, a short path whatever it is called outside.
"""

import hashlib
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = Path(os.environ["RUNE_TOOLS"])
PROGRAMS = TOOLS / "kubernetes" / "bin"
CNI_PROGRAMS = "/usr/lib/cni"

HOME = Path("/run/rune-cluster")
NODE = "node"
NODE_ADDRESS = "10.250.0.1"
API = f"https://{NODE_ADDRESS}:6443"
ETCD = "http://127.0.0.1:2379"
POD_BRIDGE = "pods0"
POD_RANGE = "10.244.0.0/24"
POD_GATEWAY = "10.244.0.1"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
DOMAIN = "cluster.local"
REGISTRY = "127.0.0.1:5000"
PRIVATE_REGISTRY = "127.0.0.1:5001"
PRIVATE_HOST = "private.test"
PRIVATE_USER = ("alice", "wonderland")
BUILD = os.path.basename(os.readlink(TOOLS / "kubernetes"))
PAUSE_IMAGE = f"registry.k8s.io/pause:{BUILD}"
COREDNS_IMAGE = f"registry.k8s.io/coredns:{BUILD}"


def default_state():
    """One cluster per checkout, outside of it: on a disk that containers may be unpacked on, under a short name."""
    return Path("/var/tmp") / f"rune-cluster-{_hash(str(HERE).encode())}"


def cgroup_name(state):
    return f"rune-cluster-{_hash(str(state).encode())}"


def fingerprint():
    """Changes when the programs or these scripts do: a running cluster of another fingerprint is started anew."""
    text = [BUILD]
    for path in sorted(HERE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            text.append(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return _hash("\n".join(text).encode())


def _hash(data):
    return hashlib.sha256(data).hexdigest()[:10]
