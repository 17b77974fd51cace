"""An HTTP server of the tests' own, in a thread of its own."""

import threading
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Served:
    """Serves on 127.0.0.1 for as long as it is entered."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.host = f"127.0.0.1:{server.server_port}"
        self._thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
