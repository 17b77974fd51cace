"""Listing a store over HTTP, in whichever form it does that; the form is found out once."""

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from sdr.catalog.listing_forms import Form, Page, forms
from sdr.catalog.sources import CannotList, FetchFailed, Listed

#: The most pages of one listing: some 100 000 objects.
PAGES = 100
#: How long a store that lists in no known form is not asked again, in seconds: its owner may let it list.
CANNOT_SECONDS = 300.0

#: Gets a URL: the body of a 200, ``None`` for any other answer; or raises FetchFailed where it may be another soon.
Get = Callable[[str], Awaitable[bytes | None]]


class HTTPListing:
    """The listing of one store.

    :param base: the store's URL, perhaps with a root below its container.
    """

    _log = Logger()

    def __init__(self, base: str, clock: IReactorTime) -> None:
        self._base = base
        self._clock = clock
        self._form: Form | None = None
        self._cannot_until = 0.0

    async def list(self, prefix: str, get: Get) -> Sequence[Listed]:
        """Return the objects whose keys begin with this, and have no slash after it.

        :raise CannotList: if the store does not list in a form that is known.
        :raise FetchFailed: if it did not say what there is.
        """
        form, page = await self._first_page(prefix, get)
        whole = form.root + prefix
        found: list[Listed] = []
        for _ in range(PAGES):
            names = ((key.removeprefix(whole), validator) for key, validator in page.keys if key.startswith(whole))
            found += [Listed(name, validator) for name, validator in names if name and "/" not in name]
            if page.after is None:
                return found
            following = await self._page(form, whole, page.after, get)
            if following is None:
                raise FetchFailed("a page of its listing is missing")
            if following.after == page.after:
                raise FetchFailed("its listing does not end")
            page = following
        raise FetchFailed(f"its listing has more than {PAGES} pages")

    async def _first_page(self, prefix: str, get: Get) -> tuple[Form, Page]:
        if self._clock.seconds() < self._cannot_until:
            raise CannotList
        for form in (self._form,) if self._form is not None else forms(self._base):
            page = await self._page(form, form.root + prefix, None, get)
            if page is not None:
                self._form = form
                return form, page
        self._form = None
        self._cannot_until = self._clock.seconds() + CANNOT_SECONDS
        self._log.warn(
            "{base} does not list its objects, so only repositories with a file of tags have a list of tags;"
            " let everybody list it (Swift: .rlistings, S3: s3:ListBucket), or give --v1-store its directory",
            base=self._base,
        )
        raise CannotList

    async def _page(self, form: Form, prefix: str, after: str | None, get: Get) -> Page | None:
        body = await get(form.url(prefix, after))
        return None if body is None else form.read(body)
