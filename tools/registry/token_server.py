"""A token server for a test registry: the Docker token protocol, RS256 with the certificate in the `x5c` header.

Not for use outside tests: accounts are plain text, refresh tokens live in memory. It runs in a thread of its caller.
`GET /token` takes basic authentication or none; `POST /token` takes the OAuth 2 forms (password, refresh_token).
"""

import base64
import json
import secrets
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SERVICE = "rune-test-registry"
ISSUER = "rune-test-tokens"
LIFETIME = 300
ANYBODY = {"pull"}


class Denied(Exception):
    """The credentials are wrong."""


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _sign(signer, claims):
    """A JSON Web Token over the claims, signed by openssl."""
    chain = base64.b64encode(ssl.PEM_cert_to_DER_cert(signer.certificate.read_text())).decode()
    header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(signer.key)], input=signed, check=True,
                               capture_output=True).stdout
    return (signed + b"." + _base64url(signature)).decode()


class Tokens:
    """Who may do what, and the tokens that say so."""

    def __init__(self, accounts, signer):
        self._accounts, self._signer, self._refresh = accounts, signer, {}

    def check_password(self, user, password):
        known, _ = self._accounts.get(user, (None, None))
        if known is None or not secrets.compare_digest(known, password):
            raise Denied
        return user

    def check_refresh_token(self, token):
        if token not in self._refresh:
            raise Denied
        return self._refresh[token]

    def refresh_token(self, user):
        token = secrets.token_urlsafe(24)
        self._refresh[token] = user
        return token

    def issue(self, user, service, scopes):
        """A token with those of the wanted actions that the user (None: anybody) may do."""
        may = self._accounts[user][1] if user else ANYBODY
        access = []
        for scope in " ".join(scopes).split():
            kind, rest = scope.split(":", 1)
            name, actions = rest.rsplit(":", 1)
            granted = [action for action in actions.split(",") if action in may]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        return _sign(self._signer, {"iss": ISSUER, "sub": user or "", "aud": service, "exp": now + LIFETIME, "nbf": now - 5,
                                    "iat": now, "jti": secrets.token_hex(8), "access": access})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tokens = None

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        self._answer(query, self._basic, "token")

    def do_POST(self):
        length = min(int(self.headers.get("Content-Length", 0)), 65536)
        form = parse_qs(self.rfile.read(length).decode())
        self._answer(form, lambda: self._grant(form), "access_token")

    def _basic(self):
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if not kind:
            return None
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except ValueError as error:
            raise Denied from error
        return self.tokens.check_password(user, password)

    def _grant(self, form):
        if form.get("grant_type") == ["refresh_token"]:
            return self.tokens.check_refresh_token(form.get("refresh_token", [""])[0])
        return self.tokens.check_password(form.get("username", [""])[0], form.get("password", [""])[0])

    def _answer(self, query, authenticate, field):
        try:
            user = authenticate()
            token = self.tokens.issue(user, query.get("service", [SERVICE])[0], query.get("scope", []))
        except Denied:
            self._send(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong user or password"}]})
            return
        except ValueError:
            self._send(400, {"errors": [{"code": "UNSUPPORTED", "message": "malformed scope"}]})
            return
        answer = {field: token, "expires_in": LIFETIME, "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        if user and (query.get("offline_token") == ["true"] or query.get("access_type") == ["offline"]):
            answer["refresh_token"] = self.tokens.refresh_token(user)
        self._send(200, answer)

    def _send(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing: standard error belongs to the test."""


class Server(ThreadingHTTPServer):
    """Does the TLS handshake in the thread of each connection, so that one that stalls stops no other."""

    daemon_threads = True
    context = None

    def finish_request(self, request, client_address):
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        """A client that hung up, or trusts another CA, is the test's business."""


def start(accounts, signer, certificate):
    """Serves in a thread on a free loopback port, over TLS when there is a certificate; returns the realm's URL."""
    handler = type("BoundHandler", (Handler,), {"tokens": Tokens(accounts, signer)})
    server = Server(("127.0.0.1", 0), handler)
    if certificate:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(certificate.certificate, certificate.key)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}/token"
