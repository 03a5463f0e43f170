"""Ends what a verb needs in the middle of its work: itself, its session, the server's process, or the way to the server."""

import os
import signal
import socket
import subprocess
import threading
import time
from typing import Any

from concurrency import wait_for_lock
from program import FILE_CALLS, SERVER_CALLS, SIGNALS
from servers import Database
from tables import TABLES
from world import World


def kill_process(world: World, calls: dict[str, int]) -> None:
    """A signal at the n-th of a system call. A run that never comes so far is repeated with half of n, see `main.one`."""
    weights = [often**0.5 for often in calls.values()]
    (call,) = world.rng.choices(list(calls), weights)
    number = _planned(world, world.rng.randint(1, calls[call]))
    world.run.call, world.run.kill_at = call, number
    (world.run.signal,) = world.rng.choices(list(SIGNALS), [4, 1, 1])
    world.ingredients.append(f"SIG{world.run.signal} at {call} {number}")


def _planned(world: World, drawn: int) -> int:
    """The n of the n-th, or a smaller one when a run did not come so far."""
    world.facts["planned_kill"] = world.earlier_kill or drawn
    return int(world.facts["planned_kill"])


def kill_process_of_file(world: World) -> None:
    kill_process(world, SERVER_CALLS if world.verb == "migrate-to-postgres" else FILE_CALLS)


def kill_process_of_server(world: World) -> None:
    writes_file = world.verb in ("backup", "export-sqlite")
    kill_process(world, world.rng.choice([SERVER_CALLS, FILE_CALLS]) if writes_file else SERVER_CALLS)


class Proxy:
    """Passes bytes between the program and the server, and cuts the way at a chosen moment.

    `moment`: a number of bytes from the server, or the n-th COMMIT of the program, with whether the server still gets it."""

    def __init__(self, port: int, bytes_before: int | None, commit: int | None, is_passed_on: bool) -> None:
        self.server_port, self.bytes_before, self.commit, self.is_passed_on = port, bytes_before, commit, is_passed_on
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.has_cut, self.answered = threading.Event(), threading.Event()
        self.open: list[socket.socket] = []
        self.seen = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.has_cut.is_set():
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.server_port))
            self.open += [client, server]
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_to_server: bool) -> None:
        passed = 0
        try:
            while data := source.recv(1 << 16):
                if is_to_server and self.commit is not None and self._is_the_commit(data):
                    if self.is_passed_on:
                        # The program's side goes first, so that no answer reaches it.
                        self.has_cut.set()
                        self._close(source)
                        sink.sendall(data)
                        # Answered, and so done, before the server's side goes too.
                        self.answered.wait(5)
                    self.cut()
                    return
                if not is_to_server and self.bytes_before is not None and passed + len(data) > self.bytes_before:
                    sink.sendall(data[: self.bytes_before - passed])
                    self.cut()
                    return
                if self.has_cut.is_set():
                    self.answered.set()
                    return
                sink.sendall(data)
                passed += len(data)
        except OSError:
            pass
        for end in (source, sink):
            self._close(end)

    def _is_the_commit(self, data: bytes) -> bool:
        self.seen += data.count(b"COMMIT")
        return self.seen >= (self.commit or 0) and b"COMMIT" in data

    def _close(self, end: socket.socket) -> None:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def cut(self) -> None:
        self.has_cut.set()
        for end in self.open:
            self._close(end)

    def end(self) -> None:
        self.listener.close()
        self.cut()


def settle(database: Database) -> None:
    """Waits until no session of the program is left: what the server still did for it is done or undone."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            with database.server.connect() as connection:
                left = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename <> 'postgres'"
                if connection.execute(left, [database.name]).fetchone() == (0,):
                    return
        except Exception:  # The server comes up again after a crash of one of its processes.
            pass
        time.sleep(0.02)
    raise TimeoutError("sessions of the program are still there")


def end_session(world: World) -> None:
    """The server's side ends: by an administrator, by a crash, or because nobody hears it any more."""
    database = world.databases()[-1]
    world.may_be_cut = True
    how = world.rng.choice(["terminate", "crash", "bytes", "before COMMIT", "COMMIT unanswered", "COMMIT unanswered"])
    world.ingredients.append(how)
    if how in ("terminate", "crash"):
        _at_lock(world, database, how)
    else:
        moment = _planned(world, world.rng.choice([600, 1500, 4000, 9000, 20000]) if how == "bytes" else world.rng.randint(1, 4))
        is_commit = how != "bytes"
        proxy = Proxy(database.server.port, None if is_commit else moment, moment if is_commit else None, how == "COMMIT unanswered")
        database.port = proxy.port
        world.after_run.append(proxy.end)
        world.facts["has_ended_session"] = proxy.has_cut.is_set
        world.ingredients.append(str(moment))
    world.after_run.append(lambda: settle(database))
    world.after_run.append(lambda: setattr(database, "port", None))


def _at_lock(world: World, database: Database, how: str) -> None:
    """While the verb waits for a table that somebody else has."""
    there = [table.name for table in TABLES]
    table = world.rng.choice(there)
    world.ingredients.append(f"at {table}")
    held: list[Any] = []
    ended: list[bool] = []

    def hold() -> None:
        connection = database.server.connect(database.name)
        connection.execute("BEGIN")
        lock = f"LOCK TABLE public.{table} IN ACCESS EXCLUSIVE MODE"
        connection.execute(f"DO $$ BEGIN IF to_regclass('public.{table}') IS NOT NULL THEN {lock}; END IF; END $$".encode())
        held.append(connection)

    def meanwhile(process: subprocess.Popen[bytes]) -> None:
        pid = wait_for_lock(database, process)
        if pid is not None:
            ended.append(True)
            if how == "crash":
                os.kill(pid, signal.SIGKILL)
            else:
                with database.server.connect() as connection:
                    connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        try:
            held[0].execute("ROLLBACK")
        except Exception:  # A crash has ended this session too.
            pass
        held[0].close()

    world.before_run.append(hold)
    world.run.meanwhile = meanwhile
    world.facts["has_ended_session"] = lambda: bool(ended)
