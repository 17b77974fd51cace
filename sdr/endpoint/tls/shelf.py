"""The certificates at hand: what is served, what is wrong with the files, and how a look at the files changes both."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sdr.endpoint.tls.certificates import BadCertificate, Certificate, in_force
from sdr.endpoint.tls.places import Place, Places, State


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a file from being used.

    :param text: names the file, the reason and the way out.
    :param since: when that was first found.
    """

    text: str
    since: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One place, and what came of it.

    :param read: the state of the files when they were read, if they were.
    :param seen: the state of the files at the last look.
    :param certificate: what is served, if anything could be used yet.
    """

    place: Place
    read: State | None
    seen: State
    certificate: Certificate | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """All the places at one time, immutable.

    :param directory_problem: why the directory cannot be looked through.
    """

    entries: tuple[Entry, ...] = ()
    directory_problem: Problem | None = None

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """What is served, the default first."""
        return tuple(entry.certificate for entry in self.entries if entry.certificate is not None)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong."""
        of_entries = (entry.problem for entry in self.entries)
        return tuple(problem for problem in (self.directory_problem, *of_entries) if problem is not None)


def first_shelf(places: Places, check: Callable[[Certificate], None]) -> Shelf:
    """Read everything for the first time; blocking.

    A certificate that has expired is taken: it may be this endpoint through which it is renewed.

    :param check: raises :exc:`BadCertificate` for what the TLS library does not take.
    :raise BadCertificate: if a file cannot be used, or there is none.
    """
    entries = []
    for place in places.find():
        state = place.state()
        certificate = place.read()
        check(certificate)
        entries.append(Entry(place, state, state, certificate))
    if not entries:
        raise BadCertificate(f"{places.directory}: there is no certificate in it; put a NAME.pem there first")
    return Shelf(tuple(entries))


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the files.

    :param check: raises :exc:`BadCertificate` for what the TLS library does not take.
    :param now: seconds since 1970.
    :param believe: somebody says that the files are as they should be: nothing is waited for, and what is not
        there any more is dropped.
    """

    places: Places
    check: Callable[[Certificate], None]
    now: float
    believe: bool = False

    def at(self, before: Shelf) -> Shelf:
        """Return what there is after a shelf; blocking. No certificate is lost to a file that cannot be used."""
        known = {entry.place: entry for entry in before.entries}
        trouble = None
        try:
            found = self.places.find()
        except BadCertificate as error:
            found = tuple(known)
            trouble = self._problem(str(error), before.directory_problem)
        entries = [self._entry(place, known.get(place)) for place in found]
        gone = [self._gone(entry) for place, entry in known.items() if place not in found and entry.certificate]
        if not self.believe or not any(entry.certificate for entry in entries):
            entries.extend(gone)
        entries.sort(key=lambda entry: self.places.rank(entry.place))
        return Shelf(tuple(entries), trouble)

    def _entry(self, place: Place, before: Entry | None) -> Entry:
        state = place.state()
        if before is None:
            before = Entry(place, None, ())
        if not self.believe:
            if state == before.read and before.problem is None:
                return before
            if state != before.seen:
                # It is being written just now, or its key is yet to come.
                return replace(before, seen=state)
        try:
            certificate = place.read()
            in_force(certificate, self.now)
            self.check(certificate)
        except BadCertificate as error:
            return replace(before, read=None, seen=state, problem=self._problem(str(error), before.problem))
        if place.state() != state:
            return replace(before, seen=())
        return Entry(place, state, state, certificate)

    def _gone(self, entry: Entry) -> Entry:
        text = f"{entry.place.certificate}: it is not there any more; reload (SIGHUP) to stop serving what it held"
        if self.believe:
            text = f"{entry.place.certificate}: it is not there any more, and nothing else is; put it back"
        return replace(entry, read=None, problem=self._problem(text, entry.problem))

    def _problem(self, text: str, before: Problem | None) -> Problem:
        return before if before is not None and before.text == text else Problem(text, self.now)
