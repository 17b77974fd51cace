"""Where certificates are kept: a certificate's file and its key's, or a directory with a file for each."""

import os
from dataclasses import dataclass

from sdr.endpoint.tls.certificates import BadCertificate, Certificate, parse_certificate

#: The file in a directory that serves clients which ask for no name, or for one that nobody has.
DEFAULT_NAME = "default.pem"
#: The longest chains and keys are a hundredth of this many bytes.
_LIMIT = 1024 * 1024

#: What tells a file from the one that was under its name before.
State = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one certificate, as absolute paths.

    :param certificate: the file with the certificate and its chain.
    :param key: the file with the key; the same one will do.
    """

    certificate: str
    key: str

    def state(self) -> State:
        """Return what changes when a file does: links are followed, as certbot and Kubernetes renew by them."""
        paths = (self.certificate,) if self.key == self.certificate else (self.certificate, self.key)
        return tuple(_state(path) for path in paths)

    def read(self) -> Certificate:
        """Read the files.

        :raise BadCertificate: if they cannot be read or used.
        """
        certificates = _read(self.certificate)
        keys = certificates if self.key == self.certificate else _read(self.key)
        return parse_certificate(self.certificate, certificates, self.key, keys)


@dataclass(frozen=True, slots=True)
class Places:
    """Everywhere that certificates are.

    :param pair: the certificate for clients that ask for no name, or for one that nobody has.
    :param directory: an absolute path; each ``NAME.pem`` in it holds a certificate, its chain and its key.
    """

    pair: Place | None = None
    directory: str | None = None

    def find(self) -> tuple[Place, ...]:
        """Return what there is now, the default first.

        :raise BadCertificate: if the directory cannot be read.
        """
        found = [] if self.pair is None else [self.pair]
        if self.directory is not None:
            try:
                names = [name for name in os.listdir(self.directory) if is_name(name)]
            except OSError as error:
                raise BadCertificate(_unreadable(self.directory, error)) from error
            paths = (os.path.join(self.directory, name) for name in names)
            found.extend(Place(path, path) for path in paths)
        return tuple(sorted(set(found), key=self.rank))

    def rank(self, place: Place) -> tuple[bool, bool, str]:
        """Return what puts places in order: the first one serves who asks for nothing that is known."""
        name = os.path.basename(place.certificate)
        return (place != self.pair, name != DEFAULT_NAME, name)


def is_name(name: str) -> bool:
    """Tell whether a file in the directory is one of a certificate: editors and `mv` leave others."""
    return name.endswith(".pem") and not name.startswith(".")


def _state(path: str) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _read(path: str) -> bytes:
    try:
        # A named pipe must not hold up the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            data = file.read(_LIMIT + 1) or b""
    except OSError as error:
        raise BadCertificate(_unreadable(path, error)) from error
    if len(data) > _LIMIT:
        raise BadCertificate(f"{path}: it is larger than {_LIMIT} bytes; give a file with PEM")
    return data


def _unreadable(path: str, error: OSError) -> str:
    advice = ""
    if isinstance(error, PermissionError):
        advice = f"; let the user with id {os.geteuid()} read it, who the endpoint runs as"
    return f"{path}: it cannot be read: {error.strerror}{advice}"
