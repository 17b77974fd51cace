"""Options of the command line that a file may give too."""

import os.path
from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.python.usage import Options

from sdr.endpoint.config import COMMAND_LINE_ONLY, Kind, absolute, merged, read_config_file


class ConfiguredOptions(Options):
    """Options with `--config`.

    A subclass has ``optParameters`` without defaults (:func:`sdr.endpoint.config.split_defaults`), and keeps what a
    repeatable option was given in a list under the option's name.
    """

    #: Each option that a file may have.
    known: ClassVar[Mapping[str, Kind]] = {}
    #: What an option is where nobody says it.
    default_values: ClassVar[Mapping[str, Any]] = {}

    #: The file's absolute path, if there is one.
    config: str | None = None
    #: Each option's value as :meth:`read_again` would return it at the start: to be compared with.
    first_values: Mapping[str, Any]

    def merge(self) -> None:
        """Take what the command line does not say from the file, and else from the defaults; first in postOptions.

        :raise sdr.endpoint.config.BadConfig: if the file cannot be used.
        """
        given = {name: value for name, value in self.items() if name not in COMMAND_LINE_ONLY}
        if self["config"] is not None:
            self.config = os.path.abspath(self["config"])
        self._given = absolute(given, self.known)
        configured = self._configured()
        self.update(merged(self.default_values, configured, given))
        self.first_values = merged(self.default_values, configured, self._given)

    def read_again(self) -> dict[str, Any]:
        """Return each option's value as the file has it now; reads a file, changes nothing.

        :raise sdr.endpoint.config.BadConfig: if the file cannot be used.
        """
        return merged(self.default_values, self._configured(), self._given)

    def _configured(self) -> dict[str, Any]:
        return {} if self.config is None else dict(read_config_file(self.config, self.known))
