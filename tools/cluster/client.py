"""A small client of the API server: requests, and collections that follow what changes."""

import http.client
import json
import ssl
import sys
import threading
import time
from urllib.parse import urlencode, urlsplit

import settings
from settings import HOME

PAUSE_SECONDS = 0.5


class Refused(Exception):
    """The API server answered with an error."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


def _context():
    keys = HOME / "keys"
    context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
    context.load_cert_chain(str(keys / "admin.crt"), str(keys / "admin.key"))
    return context


CONTEXT = _context()


def _open(method, path, body=None, kind="application/json", timeout=10):
    """Sends a request and returns its answer, whose body is still to be read."""
    address = urlsplit(settings.API)
    connection = http.client.HTTPSConnection(address.hostname, address.port, context=CONTEXT, timeout=timeout)
    connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": kind})
    answer = connection.getresponse()
    if answer.status >= 300:
        raise Refused(answer.status, answer.read().decode(errors="replace"))
    return answer


def request(method, path, body=None, kind="application/json"):
    return json.loads(_open(method, path, body, kind).read())


def patch(path, body):
    return request("PATCH", path, body, "application/merge-patch+json")


def say(text):
    print(time.strftime("%T"), text, file=sys.stderr, flush=True)


class Collection(threading.Thread):
    """All objects of a kind, kept up to date; sets an event whenever one of them changes."""

    def __init__(self, path, changed):
        super().__init__(daemon=True)
        self._path = path
        self._changed = changed
        self._lock = threading.Lock()
        self._objects = {}
        self.complete = threading.Event()
        self.start()

    def objects(self):
        with self._lock:
            return list(self._objects.values())

    def run(self):
        while True:
            try:
                self._follow(self._list())
            except (OSError, http.client.HTTPException, ValueError, Refused) as error:
                say(f"{self._path}: {error!r}; starting over")
            time.sleep(PAUSE_SECONDS)

    def _list(self):
        listed = request("GET", self._path)
        with self._lock:
            self._objects = {each["metadata"]["uid"]: each for each in listed["items"]}
        self.complete.set()
        self._changed.set()
        return listed["metadata"]["resourceVersion"]

    def _follow(self, version):
        query = urlencode({"watch": "1", "resourceVersion": version, "timeoutSeconds": 600})
        answer = _open("GET", f"{self._path}?{query}", timeout=700)
        for line in answer:
            event = json.loads(line)
            if event["type"] == "ERROR":  # The version is too old by now.
                return
            thing = event["object"]
            with self._lock:
                if event["type"] == "DELETED":
                    self._objects.pop(thing["metadata"]["uid"], None)
                else:
                    self._objects[thing["metadata"]["uid"]] = thing
            self._changed.set()


def whenever_something_changes(paths, act):
    """Calls `act` with the objects of each path, at first and after every change, for ever."""
    changed = threading.Event()
    collections = [Collection(path, changed) for path in paths]
    for collection in collections:
        collection.complete.wait()
    while True:
        changed.wait()
        changed.clear()
        try:
            act(*(collection.objects() for collection in collections))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next change is another chance.
            say(f"failed: {error!r}")
            time.sleep(PAUSE_SECONDS)
            changed.set()
