"""Tests of reading protocol v1's questions from raw paths."""

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sdr.registry.questions import (
    IndexV1,
    PartV1,
    PingV1,
    RefusedV1,
    SearchV1,
    TagsV1,
    TagV1,
    name_v1,
    read_path,
)
from sdr.tree.v1 import image_key, images_key, tag_key, tags_key

ID, SHORT_ID = "0123456789abcdef" * 4, "0123456789abcdef"
segments = st.sampled_from(
    [
        "a",
        "library",
        "app",
        "tags",
        "images",
        "repositories",
        "_x",
        "-",
        ".",
        "..",
        "...",
        ".x",
        "a b",
        "%2e",
        "",
        "A",
        "é",
    ]
)
paths = st.one_of(
    st.text(max_size=40).map("/v1/{}".format),
    st.builds("/v1/repositories/{}/{}".format, st.lists(segments, max_size=5).map("/".join), segments),
    st.builds(
        "/v1/images/{}/{}".format, st.sampled_from([ID, SHORT_ID, ID[1:]]) | segments, segments | st.just("layer")
    ),
)


class PathV1Tests(SynchronousTestCase):
    """What docker sends, and what nobody should."""

    def test_read(self) -> None:
        """Each path that docker asks for is read, with a slash at its end, too."""
        for path, asked in (
            ("_ping", PingV1()),
            ("search", SearchV1()),
            ("repositories/demo/hello/images", IndexV1("demo/hello")),
            ("repositories/demo/hello/tags", TagsV1("demo/hello")),
            ("repositories/demo/hello/tags/1.0", TagV1("demo/hello", "1.0")),
            ("repositories/hello/images", IndexV1("hello")),
            ("repositories/library/hello/images", IndexV1("hello")),
            ("repositories/library/hello/tags/1.0", TagV1("hello", "1.0")),
            ("repositories/library/a/b/tags", TagsV1("library/a/b")),
            ("repositories/a/b/c/d/tags/x", TagV1("a/b/c/d", "x")),
            ("repositories/a__b/-c.-_d/tags", TagsV1("a__b/-c.-_d")),
            ("repositories/a/.hidden/tags", TagsV1("a/.hidden")),
            ("repositories/tags/tags", TagsV1("tags")),
            ("repositories/images/images", IndexV1("images")),
            ("repositories/a/tags/tags", TagV1("a", "tags")),
            (f"images/{ID}/json", PartV1(ID, "json")),
            (f"images/{ID}/ancestry", PartV1(ID, "ancestry")),
            (f"images/{SHORT_ID}/layer", PartV1(SHORT_ID, "layer")),
        ):
            self.assertEqual(read_path(f"/v1/{path}"), asked, path)
            self.assertEqual(read_path(f"/v1/{path}/"), asked, path)

    def test_refused(self) -> None:
        """Anything else is refused."""
        for path in (
            "",
            "_ping//",
            "_ping/x",
            "users",
            "repositories/tags",
            "repositories//tags",
            "repositories/../tags",
            "repositories/a/../tags",
            "repositories/a/./b/images",
            "repositories/a%2Fb/tags",
            "repositories/a/b/tags/.x",
            "repositories/a/b/tags/..",
            "repositories/a/b/tags/x/y",
            "repositories/a/b",
            "repositories/a\\b/tags",
            "repositories/a:b/tags",
            f"images/{ID}/_inprogress",
            f"images/{ID[:-1]}/json",
            f"images/{ID}/layer/x",
            "images/../json",
        ):
            self.assertEqual(read_path(f"/v1/{path}"), RefusedV1(), path)

    def test_one_name(self) -> None:
        """The name of a repository in one part is the same with and without its namespace."""
        for name in ("app", "library/app"):
            self.assertEqual(name_v1(name), "app")
        for name in ("library", "library/a/b", "a/library", "a/b"):
            self.assertEqual(name_v1(name), name)

    @given(paths)
    def test_keys_are_safe(self, path: str) -> None:
        """Whatever is sent is read, and no key that comes of it leads out of the tree."""
        keys: list[str] = []
        match read_path(path):
            case IndexV1(name):
                keys.append(images_key(name))
            case TagsV1(name):
                keys.append(tags_key(name))
            case TagV1(name, tag):
                keys.append(tag_key(name, tag))
            case PartV1(image_id, part):
                keys.append(image_key(image_id, part))
        for key in keys:
            for segment in key.split("/"):
                self.assertTrue(re.fullmatch(r"[A-Za-z0-9._-]+", segment) and segment not in (".", ".."), key)
