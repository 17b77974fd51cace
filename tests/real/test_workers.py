"""An endpoint of several processes: what dies, what is told to all, and how it ends."""

import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.real.certificates import certificates
from tests.real.clients import Podman
from tests.real.programs import fetch, folder, free_port, until
from tests.real.samples import HOST, Samples
from tests.real.servers import Endpoint, publish

POLL = 1.0


class Workers(Endpoint):
    """An endpoint with two workers, and a look at its admin pages."""

    def __init__(self, *options: str) -> None:
        self.admin = f"http://127.0.0.1:{free_port()}"
        port = self.admin.rpartition(":")[2]
        super().__init__("--workers=2", f"--admin=tcp:{port}:interface=127.0.0.1", *options)

    def ready(self) -> bool:
        """Tell whether both answer."""
        return super().ready() and len(self.workers()) == 2 and self.log().count(" answers on ") >= 2

    def workers(self) -> list[int]:
        """Return the process ids of those that run."""
        assert self._running is not None
        children = Path(f"/proc/{self._running.pid}/task/{self._running.pid}/children").read_text()
        return [int(number) for number in children.split()]

    def metric(self, pattern: str) -> float:
        """Return the sum of the metrics that a pattern fits."""
        text = fetch(f"{self.admin}/metrics").body.decode()
        return sum(float(each) for each in re.findall(rf"(?m)^{pattern} ([0-9.e+]+)$", text))


class WorkersTests(SynchronousTestCase):
    """Two workers over a directory."""

    def serve(self, *options: str) -> Workers:
        """Start them over a store with one image."""
        self.samples = Samples(folder(), "first")
        self.store = folder()
        publish(self.store, self.samples.source(self.samples.single), "acme/base:1.0")
        endpoint = Workers(f"--cdn={self.store}", f"--poll={POLL}", *options)
        endpoint.start()
        self.addCleanup(endpoint.stop)
        return endpoint

    def digests(self, endpoint: Workers, times: int = 30) -> list[str | None]:
        """Ask as often as both workers are sure to be asked, on a connection each."""
        return [endpoint.digest("acme/base", "1.0") for _ in range(times)]

    def test_both_answer(self) -> None:
        """Connections are shared by the workers, and what they count is added up."""
        endpoint = self.serve()
        self.assertEqual(set(self.digests(endpoint)), {self.samples.single.digest})
        until(
            lambda: endpoint.metric('sdr_requests_total{code="200",method="HEAD",route="manifest"}') == 30, "30 counted"
        )
        self.assertEqual(endpoint.metric("sdr_workers"), 2)
        self.assertEqual(Podman().pull(f"{endpoint.host}/acme/base:1.0", HOST), self.samples.single.trees[HOST])

    def test_moved_tag(self) -> None:
        """No worker answers from an older catalog than another for longer than a second."""
        endpoint = self.serve()
        second = Samples(folder(), "second")
        publish(self.store, second.source(second.single), "acme/base:1.0")
        until(lambda: second.single.digest in self.digests(endpoint, 1), "one worker knows", seconds=10, step=0.01)
        time.sleep(1)
        self.assertEqual(set(self.digests(endpoint)), {second.single.digest})

    def test_killed(self) -> None:
        """A worker that is killed is replaced, while pulls go on from the other one; counters never go down."""
        endpoint = self.serve()
        self.digests(endpoint)
        pattern = 'sdr_requests_total{code="200",method="HEAD",route="manifest"}'
        until(lambda: endpoint.metric(pattern) == 30, "30 counted")
        victim, other = endpoint.workers()
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in endpoint.workers(), "it is dead")
        self.assertEqual(set(self.digests(endpoint)), {self.samples.single.digest})
        until(lambda: len(endpoint.workers()) == 2 and endpoint.log().count(" answers on ") == 3, "it is replaced")
        self.assertIn(other, endpoint.workers())
        self.assertRegex(endpoint.log(), "worker [01] has ended by signal 9")
        until(lambda: endpoint.metric(pattern) == 60, "60 counted")
        self.assertEqual(endpoint.metric("sdr_worker_restarts_total"), 1)
        self.assertEqual(set(self.digests(endpoint)), {self.samples.single.digest})

    def test_cannot_begin(self) -> None:
        """A worker that cannot begin says why, in the parent's log; the other one answers meanwhile."""
        made = certificates()
        key = folder() / "key"
        key.write_bytes(Path(made.key).read_bytes())
        tls = f"--tls=tcp:{free_port()}:interface=127.0.0.1"
        endpoint = self.serve(tls, f"--tls-cert={made.certificate}", f"--tls-key={key}")
        key.write_text("garbage")
        os.kill(endpoint.workers()[0], signal.SIGKILL)
        until(lambda: f"{key}: there is no private key in it" in endpoint.log(), "it says why")
        self.assertEqual(set(self.digests(endpoint)), {self.samples.single.digest})
        key.write_bytes(Path(made.key).read_bytes())
        until(lambda: endpoint.log().count(" answers on ") == 3, "it is replaced")

    def test_parent_killed(self) -> None:
        """Workers do not outlive their parent, and the port is free."""
        endpoint = self.serve()
        workers = endpoint.workers()
        endpoint.send(signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), "the workers are gone")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", endpoint.port))

    def test_reload(self) -> None:
        """What SIGHUP changes is changed in every worker."""
        config = folder() / "sdr.toml"
        config.write_text("browse = false\n")
        endpoint = self.serve(f"--config={config}")
        self.assertEqual({fetch(f"{endpoint.url}/v2/_catalog").status for _ in range(20)}, {404})
        config.write_text("browse = true\n")
        endpoint.send(signal.SIGHUP)
        until(lambda: "changed: browse" in endpoint.log(), "the configuration is read again")
        until(lambda: {fetch(f"{endpoint.url}/v2/_catalog").status for _ in range(20)} == {200}, "all have heard of it")

    def test_drain(self) -> None:
        """SIGTERM ends all of them with 0, and an answer that is under way in one of them is finished."""
        endpoint = self.serve()
        (self.store / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        big = os.urandom(1024) * 16 * 1024  # more than the kernel takes in the place of the client
        name = "a" * 64
        (self.store / "blobs/sha256" / name).write_bytes(big)
        got: list[bytes] = []
        with socket.create_connection(("127.0.0.1", endpoint.port)) as plug:
            plug.sendall(f"GET /tree/blobs/sha256/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            got.append(plug.recv(1000))
            ended: list[int] = []
            ending = threading.Thread(target=lambda: ended.append(endpoint.stop()))
            ending.start()
            until(lambda: "draining for at most" in endpoint.log(), "it drains")
            while data := plug.recv(1 << 20):
                got.append(data)
            ending.join()
        self.assertEqual(len(b"".join(got).partition(b"\r\n\r\n")[2]), len(big))
        self.assertEqual(ended, [0])
        self.assertNotIn("Traceback", endpoint.log())

    def test_state(self) -> None:
        """What the workers have learnt is saved, and known at the next start with the store gone."""
        state = folder()
        endpoint = self.serve(f"--state-dir={state}")
        self.assertTrue(endpoint.knows("acme/base", "1.0"))
        saved = state / "v2/acme/base/_repository.json"
        until(saved.exists, "it is saved")
        self.assertEqual(endpoint.stop(), 0)
        gone = f"http://127.0.0.1:{free_port()}/gone"
        again = Workers(f"--cdn={self.store}", f"--store={gone}", f"--state-dir={state}")
        again.start()
        self.addCleanup(again.stop)
        self.assertEqual(set(self.digests(again)), {self.samples.single.digest})
