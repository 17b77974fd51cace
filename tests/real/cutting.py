"""A network between a client and a server that cuts connections in the middle."""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Cutting:
    """Passes connections on to a server, and cuts those that it is told to.

    :param url: the server.
    :ivar url: where it listens instead.
    :ivar cuts: how many it has cut.
    """

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._server = (place.hostname or "", place.port or 80)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._limits: dict[str, int | None] = {"sent": None, "received": None}
        self._times = self.cuts = 0
        self._lock = threading.Lock()

    def cut(self, *, sent: int | None = None, received: int | None = None, times: int = 1) -> None:
        """Cut connections once so much has passed from now on.

        :param sent: from the client, in bytes.
        :param received: from the server, in bytes.
        :param times: how many connections; each counts anew.
        """
        self._limits = {"sent": sent, "received": received}
        self._times = times

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
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._open += [client, server]
            for source, target, direction in ((client, server, "sent"), (server, client, "received")):
                threading.Thread(target=self._pass, args=[source, target, direction, client], daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, direction: str, client: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                passed += len(piece)
                limit = self._limits[direction]
                if limit is not None and passed > limit and self._may_cut():
                    # No linger: the client sees a reset, as from a router that has lost the connection.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                target.sendall(piece)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _may_cut(self) -> bool:
        with self._lock:
            if self._times == 0:
                return False
            self._times -= 1
            self.cuts += 1
            return True
