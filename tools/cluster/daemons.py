"""The programs of the node, as command lines, in the order in which they start."""

import sys

import settings
from configuration import ETC, KEYS
from settings import HOME


def _kube(name, *arguments):
    return name, [str(settings.PROGRAMS / name), *map(str, arguments)]


def _clients(name):
    config = KEYS / f"{name}.kubeconfig"
    return ["--kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config,
            "--bind-address", "127.0.0.1", "--leader-elect=false", "--profiling=false"]


STORE = [
    # Nothing survives a crash of the machine, which nobody asks for, and everything is faster.
    _kube("etcd", "--name", "rune", "--data-dir", HOME / "etcd", "--unsafe-no-fsync", "--log-level", "warn",
          "--listen-client-urls", settings.ETCD, "--advertise-client-urls", settings.ETCD,
          "--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://127.0.0.1:2380",
          "--initial-cluster", "rune=http://127.0.0.1:2380"),
    ("registry", ["docker-registry", "serve", str(ETC / "registry.yml")]),
    ("private-registry", ["docker-registry", "serve", str(ETC / "private-registry.yml")]),
    ("containerd", ["containerd", "--config", str(ETC / "containerd.toml")]),
]

API_SERVER = [
    _kube("kube-apiserver", "--etcd-servers", settings.ETCD, "--secure-port", "6443",
          "--bind-address", settings.NODE_ADDRESS, "--advertise-address", settings.NODE_ADDRESS,
          "--tls-cert-file", KEYS / "apiserver.crt", "--tls-private-key-file", KEYS / "apiserver.key",
          "--client-ca-file", KEYS / "ca.crt", "--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction",
          "--service-account-issuer", f"https://kubernetes.default.svc.{settings.DOMAIN}",
          "--service-account-key-file", KEYS / "accounts.pub", "--service-account-signing-key-file", KEYS / "accounts.key",
          "--service-cluster-ip-range", settings.SERVICE_RANGE,
          "--kubelet-certificate-authority", KEYS / "ca.crt", "--kubelet-preferred-address-types", "InternalIP",
          "--kubelet-client-certificate", KEYS / "apiserver-to-kubelet.crt", "--kubelet-client-key", KEYS / "apiserver-to-kubelet.key",
          "--allow-privileged=true", "--profiling=false"),
]

NODE = [
    _kube("kube-controller-manager", *_clients("kube-controller-manager"), "--use-service-account-credentials",
          "--service-account-private-key-file", KEYS / "accounts.key", "--root-ca-file", KEYS / "ca.crt",
          "--pvclaimbinder-sync-period", "2s", "--flex-volume-plugin-dir", HOME / "kubelet-plugins"),
    _kube("kube-scheduler", *_clients("kube-scheduler")),
    _kube("kubelet", "--config", ETC / "kubelet.yaml", "--kubeconfig", KEYS / "kubelet.kubeconfig",
          "--root-dir", HOME / "kubelet", "--hostname-override", settings.NODE, "--node-ip", settings.NODE_ADDRESS),
    _kube("kube-proxy", "--config", ETC / "kube-proxy.yaml"),
    ("policy", [sys.executable, "-B", str(settings.HERE / "policy.py")]),
    ("volumes", [sys.executable, "-B", str(settings.HERE / "volumes.py")]),
]
