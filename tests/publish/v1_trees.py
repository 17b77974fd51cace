"""Looking at a tree as clients of protocol v1 do, without any of sdr's own code; and publishing for them."""

import json
import time
from collections.abc import Callable
from typing import Any

from sdr.publish.jobs import Jobs
from sdr.publish.platforms import Platform
from sdr.publish.progress import Silent
from sdr.publish.publisher import Publisher
from sdr.publish.sources.opening import Source, open_image
from sdr.publish.v1.publishing import V1Publication, V1Publishing, published_image
from sdr.stores.interface import Store


class Said(Silent):
    """Keeps the lines that are told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Keep one."""
        self.lines.append(text)


def publish_v1(
    store: Store,
    source: str,
    name: str = "acme/app",
    *tags: str,
    platform: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
    jobs: int = 1,
) -> V1Publication:
    """Publish as ``sdr publish --v1`` does."""
    threads, report, named = Jobs(jobs), Silent(), tags or ("1.0",)
    with open_image(Source.parse(source), Platform.parse(platform) if platform else None, threads, report) as image:
        publishing = V1Publishing(store, threads, report, name, sleep=sleep)
        chain = publishing.check(image)
        Publisher(store, threads, report, sleep=sleep).publish(image, name, named)
        return publishing.publish(chain, named)


def v1_of(
    store: Store,
    name: str = "acme/app",
    tag: str = "1.0",
    platform: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> V1Publication:
    """Publish for protocol v1 what is in the store, as ``sdr v1`` does."""
    publishing = V1Publishing(store, Jobs(1), Silent(), name, sleep=sleep)
    image = published_image(store, name, tag)
    return publishing.publish(publishing.check(image, Platform.parse(platform) if platform else None), [tag])


def broken_v1(tree: dict[str, bytes]) -> list[str]:
    """Return, in words, what a client that came upon a tag, a list or an image would miss; at best nothing."""
    wrong = []
    for key, data in tree.items():
        if key.startswith("images/") and key.endswith("/json"):
            wrong += _torn(tree, key.split("/")[1])
        elif key.startswith("repositories/") and "/tag_" in key:
            wrong += [f"{key}: {each}" for each in _torn(tree, data.decode())]
        elif key.startswith("repositories/") and key.endswith("/tags"):
            wrong += [f"{key}: {each}" for image_id in json.loads(data).values() for each in _torn(tree, image_id)]
    return wrong


def _torn(tree: dict[str, bytes], image_id: str) -> list[str]:
    ancestry = json.loads(tree.get(f"images/{image_id}/ancestry", b"[]"))
    wrong = [] if ancestry[:1] == [image_id] else [f"the ancestry of {image_id} is not there"]
    for position, each in enumerate(ancestry):
        if f"images/{each}/layer" not in tree:
            wrong.append(f"the layer of {each} is not there")
        document = json.loads(tree.get(f"images/{each}/json", b"{}"))
        parent = ancestry[position + 1] if position + 1 < len(ancestry) else None
        if (document.get("id"), document.get("parent")) != (each, parent):
            wrong.append(f"the json of {each} is not there, or another's")
        if json.loads(tree.get(f"images/{each}/ancestry", b"[]")) != ancestry[position:]:
            wrong.append(f"the ancestry of {each} is not that of {image_id}")
    return wrong


def stale_v1(tree: dict[str, bytes]) -> list[str]:
    """Return, in words, what the derived documents should say and do not, or the other way round."""
    named: dict[str, dict[str, str]] = {}
    for key, data in tree.items():
        if key.startswith("repositories/"):
            folder, _, last = key.rpartition("/")
            tags = named.setdefault(folder, {})
            if last.startswith("tag_"):
                tags[last.removeprefix("tag_")] = data.decode()
    wrong = []
    for folder, tags in named.items():
        if json.loads(tree.get(f"{folder}/tags", b"{}")) != tags:
            wrong.append(f"{folder}/tags is {tree.get(f'{folder}/tags')!r}, not {tags}")
        images: list[dict[str, Any]] = json.loads(tree.get(f"{folder}/images", b"[]"))
        needed = {each for image_id in tags.values() for each in json.loads(tree[f"images/{image_id}/ancestry"])}
        if {image["id"] for image in images} != needed:
            wrong.append(f"{folder}/images does not have what the tags need")
        if {image["Tag"]: image["id"] for image in images if "Tag" in image} != tags:
            wrong.append(f"{folder}/images does not name the tags")
    return wrong
