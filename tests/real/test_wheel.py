"""What is built and installed: the wheel, the source distribution, and the endpoint without the publishing side."""

import contextlib
import functools
import importlib.util
import re
import shutil
import socket
import sys
import tarfile
import time
import zipfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.missing import missing
from tests.real.programs import ROOT, Failed, Process, answers, fetch, folder, free_port, installed_only, run, until

#: What working in the tree leaves there, and no release has.
_LEFT_BEHIND = shutil.ignore_patterns(
    ".git", ".venv", ".demo", "build", "dist", "*.egg-info", "__pycache__", "_trial_temp*", ".*_cache", "dropin.cache"
)

#: Downloads and builds, on a slow line.
_INSTALL = 300.0


def _venv() -> Path:
    made = folder() / "venv"
    run([sys.executable, "-m", "venv", str(made)], seconds=_INSTALL)
    return made


def _install(python: Path, *what: str) -> None:
    arguments = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    try:
        run(arguments, seconds=_INSTALL, env=installed_only())
    except Failed as why:
        missing(f"what is to be installed cannot be had: {why}")


@functools.cache
def _built() -> Path:
    """Build the wheel and the source distribution, once a run, and return their folder."""
    made = folder()
    source, dist = made / "source", made / "dist"
    shutil.copytree(ROOT, source, ignore=_LEFT_BEHIND)
    python = Path(sys.executable)
    if importlib.util.find_spec("build") is None:
        python = _venv() / "bin" / "python"
        _install(python, "build")
    run(
        [str(python), "-m", "build", "--outdir", str(dist), str(source)],
        seconds=_INSTALL,
        env=installed_only(),
    )
    return dist


@functools.cache
def _endpoint_only() -> Path:
    """Install the wheel without extras, once a run, and return the folder of its programs."""
    (wheel,) = _built().glob("*.whl")
    programs = _venv() / "bin"
    _install(programs / "python", str(wheel))
    return programs


class EditableTests(SynchronousTestCase):
    """A checkout, installed for working on it."""

    def test_twistd_sees_it(self) -> None:
        """An editable install is seen by ``twistd`` and ``twist``, from any folder."""
        source = folder() / "source"
        shutil.copytree(ROOT, source, ignore=_LEFT_BEHIND)
        programs = _venv() / "bin"
        _install(programs / "python", "-e", str(source))
        for program in ("twistd", "twist"):
            shown = run([str(programs / program), "--help"], env=installed_only(), cwd=folder())
            self.assertRegex(shown.stdout, r"(?m)^\s+sdr\s+\S", program)


class BuiltTests(SynchronousTestCase):
    """The files of a release."""

    def test_wheel_has_the_plugin_and_no_tests(self) -> None:
        """The wheel holds sdr and its line for twistd, and nothing else."""
        (wheel,) = _built().glob("*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        self.assertIn("twisted/plugins/sdr_plugin.py", names)
        self.assertIn("sdr/py.typed", names)
        tops = {name.partition("/")[0] for name in names}
        self.assertEqual({top for top in tops if not top.endswith(".dist-info")}, {"sdr", "twisted"})
        self.assertEqual([name for name in names if name.startswith("twisted/")], ["twisted/plugins/sdr_plugin.py"])

    def test_wheel_has_every_module(self) -> None:
        """A package that was forgotten in the metadata would be missing here."""
        (wheel,) = _built().glob("*.whl")
        packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("sdr/")}
        modules = {str(path.relative_to(ROOT)) for path in (ROOT / "sdr").rglob("*.py")}
        self.assertEqual(modules - packed, set())

    def test_source_distribution_is_whole(self) -> None:
        """The source distribution has what the build and the documents need, and neither tests nor a cache."""
        (archive,) = _built().glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            names = {name.partition("/")[2] for name in opened.getnames()}
        wanted = {
            "twisted/plugins/sdr_plugin.py",
            "setup.py",
            "setup.cfg",
            "pyproject.toml",
            "LICENSE",
            "README.md",
            "CHANGELOG.md",
            "docs/operations.md",
            "docs/nginx/directory.conf",
        }
        self.assertEqual(wanted - names, set())
        unwanted = re.compile(r"tests(?:/|$)|.*dropin\.cache|.*\.pyc")
        self.assertEqual({name for name in names if unwanted.match(name)}, set())


class _Twistd(Process):
    """The installed twistd, with nothing importable but what is installed."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        listen = f"--listen=tcp:{self.port}:interface=127.0.0.1"
        program = str(_endpoint_only() / "twistd")
        super().__init__([program, "-n", "--pidfile=", "sdr", listen, *options], env=installed_only())

    def ready(self) -> bool:
        """Tell whether it answers the registry handshake."""
        return answers(f"http://127.0.0.1:{self.port}/v2/")


class _HangingStore:
    """Takes connections and never answers."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self._taken: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def asked(self) -> bool:
        """Tell whether somebody has connected."""
        with contextlib.suppress(BlockingIOError):
            self._taken.append(self._server.accept()[0])
        return bool(self._taken)

    def close(self) -> None:
        """Close what is open."""
        for each in (self._server, *self._taken):
            each.close()


class InstalledTests(SynchronousTestCase):
    """The wheel in a virtual environment of its own, without the extra for publishing."""

    def test_publishing_side_is_not_there(self) -> None:
        """The endpoint brings neither click nor rich with it."""
        code = "import importlib.util, sys; sys.exit(any(map(importlib.util.find_spec, ('click', 'rich'))))"
        run([str(_endpoint_only() / "python"), "-c", code], env=installed_only(), cwd=folder())

    def test_twistd_lists_sdr(self) -> None:
        """``twistd --help`` has a line for sdr."""
        shown = run([str(_endpoint_only() / "twistd"), "--help"], env=installed_only(), cwd=folder())
        self.assertRegex(shown.stdout, r"(?m)^\s+sdr\s+\S")

    def test_twist_lists_sdr(self) -> None:
        """``twist --help`` has a line for sdr."""
        shown = run([str(_endpoint_only() / "twist"), "--help"], env=installed_only(), cwd=folder())
        self.assertRegex(shown.stdout, r"(?m)^\s+sdr\s+\S")

    def test_help_names_every_option(self) -> None:
        """``twistd sdr --help`` names the options and succeeds."""
        shown = run([str(_endpoint_only() / "twistd"), "sdr", "--help"], env=installed_only(), cwd=folder())
        for option in ("cdn", "store", "public-url", "listen", "poll", "state-dir", "manifests", "browse"):
            self.assertIn(f"--{option}", shown.stdout)

    def test_answers_over_a_socket(self) -> None:
        """A request over a socket is answered, as a registry answers it."""
        with _Twistd(f"--cdn={folder()}") as endpoint:
            got = fetch(f"http://127.0.0.1:{endpoint.port}/v2/")
            self.assertEqual(
                (got.status, got.headers["Docker-Distribution-Api-Version"], got.json()), (200, "registry/2.0", {})
            )

    def test_twist_runs_it_too(self) -> None:
        """``twist sdr`` serves as ``twistd -n sdr`` does."""
        endpoint = _Twistd(f"--cdn={folder()}")
        endpoint.arguments = [str(_endpoint_only() / "twist"), *endpoint.arguments[3:]]
        with endpoint:
            pass

    def assert_ends_well(self, endpoint: _Twistd) -> None:
        """Fail unless SIGTERM ends it with 0 within a second."""
        began = time.monotonic()
        code = endpoint.stop()
        took = time.monotonic() - began
        self.assertEqual(code, 0, endpoint.log())
        self.assertLess(took, 1.0, endpoint.log())
        self.assertNotIn("Traceback", endpoint.log())

    def test_sigterm_ends_it(self) -> None:
        """SIGTERM ends the endpoint with 0 within a second."""
        endpoint = _Twistd(f"--cdn={folder()}").start()
        self.addCleanup(endpoint.kill)
        self.assert_ends_well(endpoint)

    def test_sigterm_ends_it_during_a_poll(self) -> None:
        """A store that takes the poll's connection and says nothing does not hold up the end."""
        store = _HangingStore()
        self.addCleanup(store.close)
        endpoint = _Twistd(f"--cdn={store.url}", f"--store={store.url}").start()
        self.addCleanup(endpoint.kill)
        until(store.asked, "the endpoint polls the store")
        self.assert_ends_well(endpoint)

    def test_command_says_what_is_missing(self) -> None:
        """``sdr`` without its extra names the extra in one line, without a traceback."""
        done = run([str(_endpoint_only() / "sdr"), "publish"], env=installed_only(), cwd=folder(), ok=False)
        self.assertNotIn("Traceback", done.stderr)
        self.assertIn("sdr[publish]", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
