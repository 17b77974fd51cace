"""What is shipped for service managers and clusters: checked by their own tools, built, and run."""

import functools
import importlib
import importlib.util
import json
import re
import shlex
import shutil
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.python.usage import Options
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]
from twisted.trial.unittest import SynchronousTestCase

from sdr.endpoint import tap
from tests.missing import missing
from tests.real.clients import Podman
from tests.real.programs import ROOT, Failed, Process, answers, environment, folder, free_port, required, run
from tests.real.servers import Endpoint, publish

PACKAGING = ROOT / "packaging"
SYSTEMD = PACKAGING / "systemd"
KUBERNETES = PACKAGING / "kubernetes"

#: Debian's packages are loaded and unpacked, on a slow line.
_BUILD = 600.0


def named(options: Options) -> set[str]:
    """Return the options that there are, without dashes."""
    return {name.rstrip("=") for name in options.longOpt}


def said(words: list[str]) -> tuple[set[str], set[str]]:
    """Return the options of a command line: twistd's, and sdr's."""
    between = words.index("sdr")
    before, after = (
        {word[2:].partition("=")[0] for word in part if word.startswith("--")}
        for part in (words[:between], words[between:])
    )
    return before, after


class CommandLineTestCase(SynchronousTestCase):
    """Where a command line is written down."""

    def assert_options_exist(self, words: list[str]) -> None:
        """Fail if twistd, or the endpoint, does not have an option."""
        before, after = said(words)
        self.assertLessEqual(before, named(ServerOptions()))
        self.assertLessEqual(after, named(tap.Options()))


class UnitTests(CommandLineTestCase):
    """The units of systemd."""

    def unit(self) -> dict[str, list[str]]:
        """Return each key of the service, with its values."""
        keys: dict[str, list[str]] = {}
        for line in (SYSTEMD / "sdr.service").read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                keys.setdefault(key, []).append(value)
        return keys

    def copied(self) -> Path:
        """Return a folder with the units, which name a program that is there."""
        copies = folder()
        for path in SYSTEMD.iterdir():
            text = path.read_text().replace("/opt/sdr/bin/twistd", str(Path(sys.executable)))
            (copies / path.name).write_text(text)
        return copies

    def test_verify(self) -> None:
        """Systemd finds nothing to say about them."""
        program = required("systemd-analyze", "systemd")
        done = run([program, "verify", *map(str, sorted(self.copied().iterdir()))])
        self.assertEqual(done.stdout + done.stderr, "")

    def test_hardened(self) -> None:
        """What the service may do beyond what it needs is little, as systemd counts it: 2.0 of 10 at most."""
        program = required("systemd-analyze", "systemd")
        unit = str(self.copied() / "sdr.service")
        run([program, "security", "--offline=yes", "--no-pager", "--threshold=20", unit])

    def test_options_exist(self) -> None:
        """Every option in the unit is one."""
        (line,) = self.unit()["ExecStart"]
        self.assert_options_exist(shlex.split(line))

    def test_drain_fits(self) -> None:
        """Systemd waits for longer than the endpoint drains."""
        drain = tomllib.loads((PACKAGING / "sdr.toml").read_text())["drain"]
        self.assertGreater(int(self.unit()["TimeoutStopSec"][0].removesuffix("s")), drain + 5)

    def test_socket_has_its_name(self) -> None:
        """The service asks for the socket by the name that it has."""
        name = re.search(r"(?m)^FileDescriptorName=(.+)$", (SYSTEMD / "sdr.socket").read_text())
        assert name is not None
        self.assertIn(f"--listen=systemd:name={name[1]}", self.unit()["ExecStart"][0])


def documents() -> Iterator[Any]:
    """Return each Kubernetes object."""
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        missing("PyYAML is not there: pip install 'sdr[test]'")
    for path in sorted(KUBERNETES.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


class KubernetesTests(SynchronousTestCase):
    """The objects for a cluster."""

    def one(self, kind: str) -> Any:
        """Return the object of a kind."""
        (found,) = (each for each in documents() if each["kind"] == kind)
        return found

    def test_schema(self) -> None:
        """Every object is as the API has it, of old clusters and of new ones."""
        try:
            validator = importlib.import_module("kubernetes_validate")
        except ImportError:
            missing("kubernetes-validate is not there: pip install 'sdr[test]'")
        for document in documents():
            for version in ("1.26", validator.latest_version()):
                validator.validate(document, version, strict=True)

    def test_configuration(self) -> None:
        """The configuration is TOML, and its keys are options."""
        values = tomllib.loads(self.one("ConfigMap")["data"]["sdr.toml"])
        self.assertLessEqual(values.keys(), named(tap.Options()))

    def test_end_fits(self) -> None:
        """Kubernetes waits for longer than the pause before the end and the drain together."""
        pod = self.one("Deployment")["spec"]["template"]["spec"]
        drain = tomllib.loads(self.one("ConfigMap")["data"]["sdr.toml"])["drain"]
        pause = int(re.findall(r"sleep\((\d+)\)", str(pod["containers"][0]["lifecycle"]))[0])
        self.assertGreater(pod["terminationGracePeriodSeconds"], pause + drain + 5)

    def test_selectors(self) -> None:
        """All objects are about the same pods, and ports are called by names that there are."""
        deployment = self.one("Deployment")["spec"]
        labels = deployment["template"]["metadata"]["labels"]
        for selector in (
            deployment["selector"]["matchLabels"],
            self.one("Service")["spec"]["selector"],
            self.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        ):
            self.assertEqual(selector, labels)
        (container,) = deployment["template"]["spec"]["containers"]
        ports = {port["name"] for port in container["ports"]}
        probes = (container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "liveness", "readiness"))
        self.assertLessEqual({*probes, self.one("Service")["spec"]["ports"][0]["targetPort"]}, ports)


class ExampleTests(SynchronousTestCase):
    """The example of a configuration."""

    def test_keys_are_options(self) -> None:
        """Each key is an option, also those in comments."""
        text = (PACKAGING / "sdr.toml").read_text()
        values = tomllib.loads(re.sub(r"(?m)^#(?=[a-z-]+ = )", "", text))
        self.assertIn("tls-cert", values)
        self.assertLessEqual(values.keys(), named(tap.Options()))


class DockerfileTests(CommandLineTestCase):
    """What the image's file says."""

    def test_options_exist(self) -> None:
        """Every option in it is one."""
        text = (PACKAGING / "Dockerfile").read_text()
        words = [json.loads(found) for found in re.findall(r"(?m)^(?:ENTRYPOINT|CMD) (\[.*\])$", text)]
        self.assert_options_exist([word for part in words for word in part])


class _Buildah:
    """Buildah, with a storage of its own, and no need of a registry."""

    def __init__(self) -> None:
        self.folder = folder()
        program = required("buildah", "buildah", root=True)
        self.command = [program, f"--root={self.folder}/root", f"--runroot={self.folder}/run", "--storage-driver=vfs"]

    def __call__(self, *arguments: str) -> str:
        """Run a command, and return what it printed."""
        return run([*self.command, *arguments], seconds=_BUILD, env=environment(BUILDAH_ISOLATION="chroot")).stdout

    def base(self) -> str:
        """Make an image from nothing but Debian's packages, in the place of the base that a registry would have."""
        debootstrap = required("debootstrap", "debootstrap", root=True)
        system = self.folder / "debian"
        include = "--include=python3,python3-venv,ca-certificates"
        try:
            run([debootstrap, "--variant=minbase", include, "bookworm", str(system)], seconds=_BUILD)
        except Failed as why:
            missing(f"Debian's packages cannot be had: {why}")
        with tarfile.open(self.folder / "debian.tar", "w") as archive:
            archive.add(system, ".", filter=lambda each: None if each.isdev() else each)
        shutil.rmtree(system)
        (self.folder / "Containerfile").write_text("FROM scratch\nADD debian.tar /\n")
        self("bud", "-q", "-t", "base", str(self.folder))
        return "localhost/base"

    def wheels(self) -> Path:
        """Return a folder with all that pip needs to install sdr."""
        source, wheels = self.folder / "source", self.folder / "wheels"
        shutil.copytree(ROOT, source, ignore=lambda path, names: set(names) - _SOURCES if path == str(ROOT) else [])
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "-w", str(wheels), str(source), "setuptools>=77"]
        try:
            run(command, seconds=_BUILD)
        except Failed as why:
            missing(f"what is to be installed cannot be had: {why}")
        return wheels


#: What the image is built from.
_SOURCES = {"pyproject.toml", "setup.py", "setup.cfg", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "sdr"} | {
    "twisted"
}


@functools.cache
def _built() -> _Buildah:
    """Build the image once a run."""
    buildah = _Buildah()
    base = buildah.base()
    pip = buildah.folder / "pip.conf"
    pip.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
    buildah(
        "bud", "--pull-never", "--format=docker", "--build-arg", f"BASE={base}",
        "--volume", f"{pip}:/etc/pip.conf:ro", "--volume", f"{buildah.wheels()}:/wheels:ro",
        "--ignorefile", str(PACKAGING / "Dockerfile.dockerignore"), "-f", str(PACKAGING / "Dockerfile"),
        "-t", "sdr", str(ROOT),
    )  # fmt: skip
    return buildah


class _InImage(Process):
    """The endpoint of an image, with the image's own files, user and command."""

    def __init__(self, buildah: _Buildah, image: str, tree: Path) -> None:
        self.port = free_port()
        self.container = buildah("from", "--pull-never", image).strip()
        described = json.loads(buildah("inspect", "--type=image", image))["Docker"]["config"]
        entry = [word for word in described["Entrypoint"] if not word.startswith("--admin")]
        listen = f"--listen=tcp:{self.port}:interface=127.0.0.1"
        in_container = ["run", "--volume", f"{tree}:/tree:ro", self.container, "--", *entry, "--cdn=/tree", listen]
        super().__init__([*buildah.command, *in_container], env=environment(BUILDAH_ISOLATION="chroot"))

    def ready(self) -> bool:
        """Tell whether it answers."""
        return answers(f"http://127.0.0.1:{self.port}/v2/")


class ImageTests(SynchronousTestCase):
    """The image, built from nothing but Debian's packages."""

    def test_configuration(self) -> None:
        """It is not root, says how its health is seen, and how it ends."""
        described = json.loads(_built()("inspect", "--type=image", "localhost/sdr"))["Docker"]["config"]
        self.assertEqual(described["User"], "65532:65532")
        self.assertEqual(described["StopSignal"], "SIGTERM")
        self.assertIn("/livez", str(described["Healthcheck"]["Test"]))

    def test_published_pulled_and_run(self) -> None:
        """It is published, pulled through an endpoint, and is an endpoint itself, without root and without writing."""
        buildah, tree, podman = _built(), folder(), Podman()
        archive = buildah.folder / "sdr.tar"
        buildah("push", "-q", "localhost/sdr", f"docker-archive:{archive}:sdr:1")
        publish(tree, f"docker-archive:{archive}", "sdr/endpoint:1")
        # A temporary folder is for its owner only, and the image's user is not that one.
        run(["chmod", "-R", "a+rX", str(tree)])
        with Endpoint(f"--cdn={tree}") as endpoint:
            reference = f"{endpoint.host}/sdr/endpoint:1"
            podman("pull", "-q", "--tls-verify=false", reference)
            podman("save", "-q", "--format=docker-archive", "-o", f"{buildah.folder}/pulled.tar", reference)
        pulled = buildah("pull", "-q", f"docker-archive:{buildah.folder}/pulled.tar").strip()
        with _InImage(buildah, pulled, tree) as inside:
            Podman()("pull", "-q", "--tls-verify=false", f"127.0.0.1:{inside.port}/sdr/endpoint:1")
            self.assertNotIn("Unable to write", inside.log())
            self.assertNotIn("Traceback", inside.log())
