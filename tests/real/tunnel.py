"""A proxy that leads whoever asks for any host to one port of this machine: names without a name server."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Tunnel:
    """An HTTP proxy that knows CONNECT, to one place.

    :param port: of 127.0.0.1: where every host is.
    :ivar url: for ``HTTPS_PROXY``.
    :ivar asked: the hosts, with their ports.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            # A byte at a time: what follows the head is the server's.
            piece = client.recv(1)
            if not piece:
                client.close()
                return
            head += piece
        self.asked.append(head.split()[1].decode())
        server = socket.create_connection(("127.0.0.1", self._port))
        self._open += [client, server]
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pass, args=[source, target], daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
