"""Tests of ``sdr`` by itself: help, version, and what makes no sense on its command line."""

import re
import subprocess
import sys

from tests.cli.commands import COMMANDS, CommandTestCase, environment


class WrongUsageTests(CommandTestCase):
    """What makes no sense on the command line: exit code 2, one line that names what is wrong."""

    def test_table(self) -> None:
        """Each mistake is named with its option or argument."""
        store = f"--store={self.root}"
        for arguments, words in (
            ([], ["command"]),
            (["publsh"], ["publsh"]),
            (["publish"], ["--help"]),
            (["publish", self.source, "a"], ["--store"]),
            (["publish", store, self.source], ["NAME[:TAG]"]),
            (["publish", store, self.source, "a", "b"], ["b"]),
            (["publish", store, "--wrong", self.source, "a"], ["--wrong"]),
            (["publish", "--store=ftp://host", self.source, "a"], ["--store", "ftp://host", "directory"]),
            (["publish", f"--store={__file__}", self.source, "a"], ["--store", "not a directory"]),
            (["publish", store, "docker-daemon:a", "a"], ["SOURCE", "docker-archive:", "oci:"]),
            (["publish", store, "image.tar", "a"], ["SOURCE", "docker-archive:"]),
            (["publish", store, "oci:", "a"], ["SOURCE", "oci:PATH"]),
            (["publish", store, "oci:a:", "a"], ["SOURCE", "oci:PATH"]),
            (["publish", store, "--platform=linux", self.source, "a"], ["--platform", "linux/arm64"]),
            (["publish", store, "--jobs=0", self.source, "a"], ["--jobs"]),
            (["publish", store, self.source, "Acme"], ["NAME", "'Acme'"]),
            (["publish", store, self.source, "acme:a b"], ["NAME", "'a b'"]),
            (["publish", store, "--also-tag=a b", self.source, "a"], ["--also-tag", "'a b'"]),
            (["publish", store, "--if-tag=present", self.source, "a"], ["--if-tag", "present"]),
            (["tag", store, "acme/app", "new"], ["NAME:TAG"]),
            (["tag", store, "acme/app:1"], ["NEWTAG"]),
            (["tag", store, "acme/app:1", "acme/app:2"], ["NEWTAG", "acme/app:2"]),
            (["untag", store, "acme/app"], ["NAME:TAG"]),
            (["untag", store, "--cdn=cdn.example.com", "a:1"], ["--cdn", "https://"]),
            (["rm", store], ["NAME[@DIGEST]"]),
            (["rm", store, "acme/app:1"], ["sdr untag"]),
            (["ls", store, "acme/app:1"], ["NAME", "acme/app:1"]),
            (["gc", store, "--older-than=24"], ["--older-than", "24h"]),
            (["index", store, "acme/app"], ["acme/app"]),
            (["check", store, "--cdn=ftp://cdn"], ["--cdn", "https://"]),
        ):
            error = self.failed(2, *arguments)
            for word in words:
                self.assertIn(word, error)
        self.assertFalse(self.root.exists())


class StoreOptionTests(CommandTestCase):
    """--store, which all commands need."""

    def test_required(self) -> None:
        """Without it each command says so."""
        for command, arguments in COMMANDS.items():
            self.assertIn("--store", self.failed(2, command, *arguments))

    def test_from_the_environment(self) -> None:
        """SDR_STORE in the environment stands for it, and the option goes before."""
        self.publish("-q", self.source, "acme/app")
        self.assertEqual(self.run_command("ls", SDR_STORE=str(self.root))[0], "acme/app\n")
        self.assertEqual(self.run_command("ls", "--store", str(self.root), SDR_STORE="/gone")[0], "acme/app\n")


class HelpTests(CommandTestCase):
    """sdr by itself."""

    def test_commands(self) -> None:
        """Help lists the commands in the order in which people come to need them, each with a sentence."""
        out, _ = self.run_command("--help")
        listed = re.findall(r"(?m)^  ([a-z0-9]+) +([A-Z].+\.)$", out.partition("Commands:")[2])
        self.assertEqual([name for name, _ in listed], list(COMMANDS))
        self.assertEqual(self.run_command("-h")[0], out)

    def test_every_command(self) -> None:
        """Help of each command has the options that all have, and fits a terminal."""
        for command in COMMANDS:
            out, _ = self.run_command(command, "--help")
            self.assertTrue(out.startswith(f"Usage: sdr {command} --store STORE [OPTIONS]"), out)
            for option in ("--store", "--jobs", "--quiet", "--json", "SDR_STORE"):
                self.assertIn(option, out, command)
            self.assertLessEqual(max(map(len, out.splitlines())), 80, command)
            # Whatever the terminal's encoding.
            self.assertTrue(out.isascii(), command)

    def test_publish(self) -> None:
        """Help of publish names the sources and its own options."""
        out, _ = self.run_command("publish", "--help")
        for word in ("--platform", "--also-tag", "--if-tag", "docker-archive:", "oci:", "oci-archive:"):
            self.assertIn(word, out)

    def test_version(self) -> None:
        """The version is one line."""
        self.assertRegex(self.run_command("--version")[0], r"\Asdr \S[^\n]*\n\Z")

    def test_starts_quickly(self) -> None:
        """Neither help nor a directory needs Twisted, or a library of some other store."""
        unwanted = (
            "twisted",
            "treq",
            "zope",
            "obstore",
            "boto3",
            "botocore",
            "swiftclient",
            "keystoneauth1",
            "openstack",
        )
        for arguments in (
            ["--help"],
            ["publish", "--help"],
            ["publish", "-q", f"--store={self.root}", self.source, "a"],
        ):
            script = f"""if True:
                import sys
                from sdr.cli import main
                try:
                    main({arguments!r})
                finally:
                    print({{name.partition(".")[0] for name in sys.modules}} & set({unwanted!r}), file=sys.stderr)
                """
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            self.assertEqual(done.stderr, "set()\n", arguments)


class MissingLibraryTests(CommandTestCase):
    """A library that is not installed."""

    def test_names_the_extra(self) -> None:
        """The line names the library, and the extra that brings it."""
        swift = {"ST_AUTH": "http://127.0.0.1:1/auth/v1.0", "ST_USER": "a:b", "ST_KEY": "c"}
        for module, extra, code, arguments in (
            ("click", "sdr[publish]", 1, ["ls"]),
            ("urllib3", "sdr[publish]", 1, ["check", f"--store={self.root}", "--cdn=http://127.0.0.1:1"]),
            ("obstore", "sdr[publish]", 2, ["ls", "--store=s3://bucket"]),
            ("requests", "sdr[swift]", 2, ["ls", "--store=swift://container"]),
        ):
            script = f"""if True:
                import sys
                class Finder:
                    def find_spec(self, name, path=None, target=None):
                        if name.partition(".")[0] == {module!r}:
                            raise ModuleNotFoundError(f"No module named {{name}}", name=name)
                sys.meta_path.insert(0, Finder())
                sys.argv = {["sdr", *arguments]!r}
                from sdr.__main__ import main
                main()
                """
            command = [sys.executable, "-c", script]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(**swift))
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (code, "", 1), done.stderr)
            self.assertIn(module, done.stderr)
            self.assertIn(extra, done.stderr)
