"""Makes the certificates and the password file of a test registry with openssl and htpasswd, once per directory."""

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

DAYS = "30"


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path
    authority: Path
    clients: Path | None = None


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _self_signed(key, certificate, subject, algorithm, *extensions):
    _openssl("req", "-x509", *algorithm, "-nodes", "-days", DAYS, "-subj", subject,
             "-keyout", key, "-out", certificate, *extensions)


def _folder(base):
    """Private keys live beside certs/, which holds the CA certificate only."""
    for name in ("certs", "private"):
        (base / name).mkdir(exist_ok=True)
    return base / "private"


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def server_certificate(base):
    """A certificate for 127.0.0.1, ::1 and localhost, under a CA of its own."""
    private = _folder(base)
    found = Certificate(private / "server.crt", private / "server.key", base / "certs" / "ca.crt")
    if not found.certificate.exists():
        _self_signed(private / "ca.key", found.authority, "/CN=rune test CA", EC,
                     "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl("req", "-x509", *EC, "-nodes", "-days", DAYS, "-subj", "/CN=rune test registry",
                 "-CA", found.authority, "-CAkey", private / "ca.key", "-keyout", found.key, "-out", found.certificate,
                 "-addext", "basicConstraints=critical,CA:FALSE",
                 "-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=serverAuth",
                 "-addext", "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost")
    return found


def mutual_certificates(base):
    """The same for a server that wants to see the certificate of a client, which is private/client.crt with its key."""
    found, private = server_certificate(base), _folder(base)
    if not (private / "client.crt").exists():
        _openssl("req", "-x509", *EC, "-nodes", "-days", DAYS, "-subj", "/CN=rune test client",
                 "-CA", found.authority, "-CAkey", private / "ca.key",
                 "-keyout", private / "client.key", "-out", private / "client.crt",
                 "-addext", "basicConstraints=critical,CA:FALSE",
                 "-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=clientAuth")
    return replace(found, clients=found.authority)


def token_certificate(base):
    """What tokens are signed with: RSA, because distribution 2.8 and RS256 go together everywhere."""
    private = _folder(base)
    found = Certificate(private / "token.crt", private / "token.key", private / "token.crt")
    if not found.certificate.exists():
        _self_signed(found.key, found.certificate, "/CN=rune test tokens", ("-newkey", "rsa:2048"))
    return found


def password_file(base, user, password):
    path = _folder(base) / "htpasswd"
    if not path.exists():
        made = subprocess.run(["htpasswd", "-niB", "-C", "4", user], input=password, text=True, check=True, capture_output=True)
        path.write_text(made.stdout)
    return path
