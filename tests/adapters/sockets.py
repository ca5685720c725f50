"""A provider on a real socket of this machine, which answers request after request as it is told, also badly."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

from tests.adapters.desk import sse

Act = Callable[[socket.socket], None]
"""What becomes of a connection whose request has come. It is closed afterwards."""


class Server:
    """Answers in the order of its acts, each on a connection of its own; `requests` are the heads and bodies."""

    def __init__(self, *acts: Act) -> None:
        self._acts = list(acts)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse connections from now on, but for one that a thread may wait for."""
        self._listening.close()

    @property
    def models(self) -> list[str]:
        return [body["model"] for _, body in self.requests]

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head, _, body = read_until(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
            (length,) = (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            while len(body) < length:
                body += connection.recv(65536)
            self.requests.append((head.decode().lower(), json.loads(body)))
            self._acts.pop(0)(connection)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    found = b""
    while end not in found:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the client has gone")
        found += more
    return found


def until_gone(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        connection.recv(1)


def says(body: Any, status: int = 200, kind: str = "application/json", **headers: str) -> Act:
    """A whole answer."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {"content-type": kind, "content-length": len(content), "connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return lambda connection: connection.sendall(f"HTTP/1.1 {status} x\r\n{head}\r\n".encode() + content)


def resets(connection: socket.socket) -> None:
    """The connection is torn down."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half(connection: socket.socket) -> None:
    """A body that is shorter than was said."""
    connection.sendall(
        b'HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"id": "r", "ob'
    )


def streams(events: Iterable[Any], end: str = "whole", gap: float = 0) -> Act:
    """A stream of events. Its end is `whole`, `short` (no last chunk), `half` a chunk, a `reset`, or `never`."""

    def act(connection: socket.socket) -> None:
        head = b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close"
        connection.sendall(b"HTTP/1.1 200 x\r\n" + head + b"\r\n\r\n")
        for event in events:
            said = sse(event)
            connection.sendall(f"{len(said):x}\r\n".encode() + said + b"\r\n")
            time.sleep(gap)
        if end == "whole":
            connection.sendall(b"0\r\n\r\n")
        elif end == "half":
            connection.sendall(b"40\r\ndata: {")
        elif end == "reset":
            time.sleep(0.05)  # what was sent is read first
            resets(connection)
        elif end == "never":
            until_gone(connection)

    return act
