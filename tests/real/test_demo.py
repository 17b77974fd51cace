"""``make demo``, from nothing to a pull."""

import functools
import os
import socket
import unittest
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.real.clients import Skopeo
from tests.real.programs import ROOT, Failed, Process, answers, folder, free_port, installed_only, required, run, until


@functools.cache
def _venv() -> Path:
    """Return where the demo's virtual environment is made; the second demo of a run uses it again."""
    return folder() / "venv"


class _Demo(Process):
    """``make demo`` on a port and in folders of its own."""

    #: A virtual environment is made and filled, perhaps on a slow line.
    patience = 300.0

    def __init__(self, *, port: int | None = None, **variables: str) -> None:
        self.port = port or free_port()
        make = [required("make", "make"), "--no-print-directory", "-C", str(ROOT), "demo"]
        places = [f"DEMO_PORT={self.port}", f"DEMO_DIR={folder()}/demo", f"VENV={_venv()}"]
        # A make that runs these tests hands its own variables down.
        env = {name: value for name, value in installed_only().items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES")}
        super().__init__([*make, *places, *(f"{name}={value}" for name, value in variables.items())], env=env)

    def ready(self) -> bool:
        """Tell whether the demo's image can be pulled."""
        return answers(f"http://127.0.0.1:{self.port}/v2/demo/hello/tags/list")

    def begin(self) -> "_Demo":
        """Start it; without a network there is nothing to install from."""
        try:
            return self.start()
        except Failed as why:
            if os.environ.get("CI") != "true" and "pip" in str(why) and "No matching distribution" in str(why):
                raise unittest.SkipTest("what is to be installed cannot be had") from None
            raise


class DemoTests(SynchronousTestCase):
    """The first thing that a newcomer runs."""

    def test_image_can_be_pulled(self) -> None:
        """The demo serves the image whose ``docker pull`` line it prints, and shows the commands that it ran."""
        skopeo = Skopeo()
        demo = _Demo().begin()
        self.addCleanup(demo.kill)
        reference = f"127.0.0.1:{demo.port}/demo/hello:1"
        printed = demo.log()
        self.assertIn(f"docker pull {reference}\n", printed)
        for command in ("python -m tests.images oci ", "sdr publish --store ", "twistd -n "):
            self.assertRegex(printed, rf"(?m)^\$ .*{command}")
        copied = skopeo.copy(reference)
        self.assertTrue((copied / "manifest.json").exists())

        demo.stop()
        until(lambda: not demo.ready(), "the endpoint ends with the demo")

    def test_unattended_demo_ends_by_itself(self) -> None:
        """With ``DEMO_SECONDS`` the demo ends well after so many seconds."""
        demo = _Demo(DEMO_SECONDS="5").begin()
        self.addCleanup(demo.kill)
        self.assertEqual(demo.wait(30), 0, demo.log())
        self.assertNotIn("Traceback", demo.log())

    def test_busy_port_is_named(self) -> None:
        """A port that is taken is said in words, with what to do, and nothing is served."""
        with socket.create_server(("127.0.0.1", 0)) as busy:
            demo = _Demo(port=busy.getsockname()[1])
            done = run(demo.arguments, env=demo.env, ok=False, seconds=demo.patience)
        self.assertIn(f"Port {demo.port} of 127.0.0.1 is in use", done.stderr)
        self.assertIn("DEMO_PORT=", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
