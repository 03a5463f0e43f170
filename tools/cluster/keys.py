"""Makes the cluster's certificate authority, certificates and kubeconfigs with openssl, once per state directory."""

import base64
import json
import subprocess

import settings

DAYS = "3650"
# Name of the file: subject of a client.
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "kubelet": f"/O=system:nodes/CN=system:node:{settings.NODE}",
    "apiserver-to-kubelet": "/O=system:masters/CN=kube-apiserver",
}
SERVERS = {
    "apiserver": ["DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
                  f"DNS:kubernetes.default.svc.{settings.DOMAIN}", f"IP:{settings.API_SERVICE}", f"IP:{settings.NODE_ADDRESS}"],
    "kubelet-server": [f"DNS:{settings.NODE}", f"IP:{settings.NODE_ADDRESS}"],
}


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _certificate(folder, name, subject, usage, names=()):
    key, request, extensions = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.ext"
    _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
             "-keyout", key, "-out", request)
    lines = ["keyUsage=critical,digitalSignature", f"extendedKeyUsage={usage}"]
    extensions.write_text("\n".join(lines + ([f"subjectAltName={','.join(names)}"] if names else [])))
    _openssl("x509", "-req", "-in", request, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial",
             "-days", DAYS, "-extfile", extensions, "-out", folder / f"{name}.crt")
    request.unlink()
    extensions.unlink()


def _kubeconfig(folder, name):
    """Everything is in the file, so that it may be read from outside of the cluster's mount namespace."""
    def data(file):
        return base64.b64encode((folder / file).read_bytes()).decode()

    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "rune",
        "contexts": [{"name": "rune", "context": {"cluster": "rune", "user": name}}],
        "clusters": [{"name": "rune", "cluster": {"server": settings.API, "certificate-authority-data": data("ca.crt")}}],
        "users": [{"name": name, "user": {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}}],
    }
    (folder / f"{name}.kubeconfig").write_text(json.dumps(config))  # JSON is YAML.


def make(folder):
    """Fills the folder; whoever is killed while doing it leaves no mark, and all is made again."""
    if (folder / "complete").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", DAYS,
             "-subj", "/CN=rune test cluster", "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
             "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    for name, names in SERVERS.items():
        _certificate(folder, name, f"/CN={name}", "serverAuth", names)
    for name, subject in CLIENTS.items():
        _certificate(folder, name, subject, "clientAuth")
        _kubeconfig(folder, name)
    _openssl("genrsa", "-out", folder / "accounts.key", "2048")
    _openssl("rsa", "-in", folder / "accounts.key", "-pubout", "-out", folder / "accounts.pub")
    (folder / "complete").touch()
