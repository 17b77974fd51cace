"""The page for a person who opens the endpoint's address in a browser."""

from html import escape

from sdr.catalog.lookups import Known
from sdr.cdn.locations import is_host
from sdr.registry.questions import Question

#: Repositories shown on one page; ``/v2/_catalog`` has them all.
_SHOWN = 1000

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{host}: container images</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}}\
pre{{background:#f3f3f3;padding:.8rem;overflow-x:auto}}</style>
<h1>{host}</h1>
<p>This is a container registry. Its images are static files; this endpoint answers the registry protocol
and redirects to them.</p>
<pre>docker pull {host}/{example}
podman pull {host}/{example}
ctr images pull {host}/{example}</pre>
{listing}</html>
"""


def front_page(question: Question, known: Known, *, browse: bool) -> bytes:
    """Return the page as UTF-8.

    :param browse: list the repositories.
    """
    host = escape(question.host) if is_host(question.host) else "this-host"
    names = known.names() if browse else ()
    items = "".join(f"<li><code>{escape(name)}</code></li>\n" for name in names[:_SHOWN])
    more = f"<p>… and {len(names) - _SHOWN} more.</p>\n" if len(names) > _SHOWN else ""
    listing = f"<h2>Repositories</h2>\n<ul>\n{items}</ul>\n{more}" if items else ""
    example = escape(f"{names[0]}:TAG" if names else "NAME:TAG")
    return _PAGE.format(host=host, example=example, listing=listing).encode()
