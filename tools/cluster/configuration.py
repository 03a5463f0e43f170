"""The configuration files of containerd, its network plugins, the kubelet, kube-proxy and the registries.

What is unusual in them is due to machines without systemd, with the first version of control groups, or without
CAP_SYS_RESOURCE; on others it does no harm.
"""

import json
import subprocess

import settings
from settings import HOME

KEYS = HOME / "keys"
ETC = HOME / "etc"

CONTAINERD = f"""version = 2
root = "{HOME}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "/run/containerd/containerd.sock"
[debug]
  level = "warn"
[plugins."io.containerd.internal.v1.opt"]
  path = "{HOME}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{settings.PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  enable_selinux = false
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{settings.CNI_PROGRAMS}"
    conf_dir = "{ETC}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{ETC}/mirrors"
"""


def _mirror(registry):
    return f'server = "http://{registry}"\n[host."http://{registry}"]\n  capabilities = ["pull", "resolve"]\n'


def _network():
    subnet = {"subnet": settings.POD_RANGE, "gateway": settings.POD_GATEWAY}
    addresses = {"type": "host-local", "dataDir": "/run/cni", "ranges": [[subnet]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": settings.POD_BRIDGE, "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}


def _kubelet(cgroup):
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": settings.NODE_ADDRESS, "readOnlyPort": 0,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "podLogsDir": str(HOME / "log" / "pods"), "volumePluginDir": str(HOME / "kubelet-plugins"),
        "tlsCertFile": str(KEYS / "kubelet-server.crt"), "tlsPrivateKeyFile": str(KEYS / "kubelet-server.key"),
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                           "x509": {"clientCAFile": str(KEYS / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "clusterDomain": settings.DOMAIN, "clusterDNS": [settings.DNS_SERVICE], "resolvConf": str(ETC / "resolv.conf"),
        "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{cgroup}", "failCgroupV1": False, "failSwapOn": False,
        "oomScoreAdj": 0, "maxOpenFiles": 20000, "maxPods": 200,
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%"},
        "syncFrequency": "10s", "nodeStatusUpdateFrequency": "5s",
        # A container that ends is started again soon: a test that kills one has little time.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "5s"}, "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "serializeImagePulls": False, "shutdownGracePeriod": "0s",
    }


def _proxy():
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "bindAddress": settings.NODE_ADDRESS, "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
        "hostnameOverride": settings.NODE, "clientConnection": {"kubeconfig": str(KEYS / "kube-proxy.kubeconfig")},
        "clusterCIDR": settings.POD_RANGE, "mode": "iptables", "oomScoreAdj": 0,
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _registry(address, data, auth=None):
    return {
        "version": 0.1, "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(HOME / data)}, "delete": {"enabled": True}},
        "http": {"addr": address, "secret": "not a secret: test equipment"}, **({"auth": auth} if auth else {}),
    }


def write(cgroup):
    """Writes all of them; JSON stands for YAML."""
    passwords = ETC / "htpasswd"
    auth = {"htpasswd": {"realm": settings.PRIVATE_HOST, "path": str(passwords)}}
    files = {
        "containerd.toml": CONTAINERD,
        # Every registry name is served by the cluster's registry, under the same repository path.
        "mirrors/_default/hosts.toml": _mirror(settings.REGISTRY),
        f"mirrors/{settings.PRIVATE_HOST}/hosts.toml": _mirror(settings.PRIVATE_REGISTRY),
        "cni/10-pods.conflist": json.dumps(_network()),
        "resolv.conf": "",
        "kubelet.yaml": json.dumps(_kubelet(cgroup)),
        "kube-proxy.yaml": json.dumps(_proxy()),
        "registry.yml": json.dumps(_registry(settings.REGISTRY, "registry")),
        "private-registry.yml": json.dumps(_registry(settings.PRIVATE_REGISTRY, "private-registry", auth)),
    }
    for name, text in files.items():
        path = ETC / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    user, password = settings.PRIVATE_USER
    made = subprocess.run(["htpasswd", "-nbB", user, password], check=True, capture_output=True, text=True)
    passwords.write_text(made.stdout)
