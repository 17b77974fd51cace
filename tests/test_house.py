"""Tests of the house's plan: who imports whom, and what is free of I/O."""

import ast
import re
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sdr.__main__ import EXTRAS

ROOT = Path(__file__).parents[1]

#: Each part, and the parts that it may import besides itself.
MAY_IMPORT = {
    "registry": set(),
    "tree": {"registry"},
    "catalog": {"registry", "tree"},
    "cdn": {"registry", "tree", "catalog"},
    "endpoint": {"registry", "tree", "catalog", "cdn"},
    "stores": {"registry", "tree"},
    "publish": {"registry", "tree", "stores"},
    "cli": {"registry", "tree", "stores", "publish"},
}
#: What only the endpoint needs, and what only the publishing side needs: modules of other projects.
ENDPOINT_ONLY = {
    *("twisted", "treq", "zope", "OpenSSL", "service_identity"),
    *("prometheus_client", "h2", "hyperframe", "priority"),
}
PUBLISHING_ONLY = {module for modules in EXTRAS.values() for module in modules}
#: The distributions that have another name than their module.
DISTRIBUTIONS = {"swiftclient": "python-swiftclient", "openstack": "openstacksdk"}

#: Parts and modules that know neither Twisted nor anything else outside the standard library.
PURE = (
    "registry/",
    "tree/",
    "catalog/findings.py",
    "catalog/lookups.py",
    "catalog/v1_lookups.py",
    "catalog/listing_forms.py",
    "catalog/snapshot.py",
    "catalog/names.py",
    "catalog/memory.py",
    "catalog/budget.py",
    "cdn/locations.py",
    "endpoint/access.py",
    "endpoint/admin/hosts.py",
    "endpoint/admin/options.py",
    "endpoint/admin/readiness.py",
    "endpoint/admin/routes.py",
    "endpoint/admin/standing.py",
    "endpoint/admin/tallies.py",
    "endpoint/answer.py",
    "endpoint/answers.py",
    "endpoint/config.py",
    "endpoint/connections/addresses.py",
    "endpoint/connections/body.py",
    "endpoint/connections/forwarded.py",
    "endpoint/connections/limits.py",
    "endpoint/connections/proxy_protocol.py",
    "endpoint/connections/strict.py",
    "endpoint/destinations.py",
    "endpoint/v1_answers.py",
    "endpoint/fallback.py",
    "endpoint/rules.py",
    "endpoint/front.py",
    "endpoint/paging.py",
    "endpoint/life/changes.py",
    "endpoint/life/notify.py",
    "endpoint/ranges.py",
    "endpoint/request_ids.py",
    "endpoint/scrubbing.py",
    "endpoint/settings.py",
    "endpoint/fast/recognition.py",
    "endpoint/fast/standing.py",
    "endpoint/tls/hello.py",
    "endpoint/timestamps.py",
    "endpoint/tls/options.py",
)


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def modules() -> dict[str, set[str]]:
    """Return each file of the package, relative to it, with what it imports."""
    package = ROOT / "sdr"
    return {path.relative_to(package).as_posix(): imports(path) for path in sorted(package.rglob("*.py"))}


class HouseTests(SynchronousTestCase):
    """The layers."""

    def test_direction_of_imports(self) -> None:
        """A part imports only the parts that it may."""
        for path, imported in modules().items():
            part = path.removesuffix(".py").split("/")[0]
            if part in ("__init__", "__main__"):
                continue
            others = {name.split(".")[1] for name in imported if name.startswith("sdr.")} - {part}
            self.assertLessEqual(others, MAY_IMPORT[part], path)

    def test_pure_modules(self) -> None:
        """What is pure reaches Twisted, treq and zope by no path."""
        graph = modules()
        for path in graph:
            if path.startswith(PURE):
                reached, waiting = {path}, [path]
                while waiting:
                    for name in graph[waiting.pop()]:
                        self.assertNotIn(name.split(".")[0], ENDPOINT_ONLY | PUBLISHING_ONLY, path)
                        target = name.removeprefix("sdr.").replace(".", "/") + ".py"
                        if target in graph and target not in reached:
                            reached.add(target)
                            waiting.append(target)

    def test_publishing_side_has_no_twisted(self) -> None:
        """The publishing side runs without the endpoint's libraries, and the endpoint without the publisher's."""
        for path, imported in modules().items():
            roots = {name.split(".")[0] for name in imported}
            if path.startswith(("stores/", "publish/", "cli/")):
                self.assertEqual(roots & ENDPOINT_ONLY, set(), path)
            else:
                self.assertEqual(roots & PUBLISHING_ONLY, set(), path)

    def test_extras(self) -> None:
        """The command knows which extra brings which module, as the metadata has it."""
        listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for extra, modules in EXTRAS.items():
            requirements = {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in listed[extra]} - {"sdr"}
            self.assertEqual({DISTRIBUTIONS.get(module, module) for module in modules}, requirements)

    def test_one_composition_root(self) -> None:
        """Only the composition root names the reactor, and not when it is imported."""
        for path in modules():
            tree = ast.parse((ROOT / "sdr" / path).read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
                    names_it = "reactor" in [alias.name for alias in node.names]
                    self.assertFalse(names_it and (path != "endpoint/tap.py" or node in tree.body), path)

    def test_http2_is_optional(self) -> None:
        """What HTTP/2 needs is imported where it was asked for, and not before."""
        needed = {"h2", "hyperframe", "hpack", "priority"}
        for path, imported in modules().items():
            if path != "endpoint/connections/http2.py":
                self.assertEqual({name.split(".")[0] for name in imported} & needed, set(), path)
            tree = ast.parse((ROOT / "sdr" / path).read_text())
            at_once = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
            self.assertNotIn("sdr.endpoint.connections.http2", at_once, path)

    def test_every_package_ships(self) -> None:
        """The list of packages, which is kept by hand, has every one."""
        text = (ROOT / "pyproject.toml").read_text()
        for path in modules():
            if path.endswith("/__init__.py"):
                self.assertIn(f'"sdr.{path.removesuffix("/__init__.py").replace("/", ".")}"', text)
