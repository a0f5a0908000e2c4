import sys
import textwrap
from functools import partial
from importlib import metadata

import pytest

from gnnperf.system import sources

FILES = {
    "mine/__init__.py": "from mine.net import Net\nfrom mine.other import Other\n",
    "mine/net.py": """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        import mine.deep.layers
        from . import sibling
        from .constants import *
        if TYPE_CHECKING:
            from mine.typing_only import Hint

        class Net:
            def forward(self):
                from mine import late
        """,
    "mine/other.py": "class Other: pass\n",
    "mine/sibling.py": "import json\n",
    "mine/late.py": "",
    "mine/constants.py": "SIZE = 3\n",
    "mine/typing_only.py": "class Hint: pass\n",
    "mine/deep/__init__.py": "DEPTH = 2\n",
    "mine/deep/layers.py": "from mine.deep import DEPTH\n",
    "mine/user.py": "from mine import Net\n",
}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A package of one's own; gives its folder."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "mine"
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]
    forget()


def forget():
    for cached in (sources._source, sources._spec, sources._is_library):
        cached.cache_clear()


USED = ("net", "sibling", "late", "constants", "deep/__init__", "deep/layers", "user")
UNUSED = ("other", "typing_only")


@pytest.mark.parametrize("name", [*USED, *UNUSED])
def test_an_edit_counts_where_the_file_is_imported(mine, name):
    forget()
    before = sources.code_digest(["mine.user"])
    assert sources.code_digest(["mine.user"]) == before
    path = mine / f"{name}.py"
    path.write_text(path.read_text() + "# edited\n")
    forget()
    assert (sources.code_digest(["mine.user"]) != before) == (name in USED)


def test_a_digest_is_of_the_code_that_the_process_has(mine):
    before = sources.code_digest(["mine.user"])
    (mine / "net.py").write_text("edited = True")
    assert sources.code_digest(["mine.user"]) == before


def test_libraries_count_by_their_version(mine, monkeypatch):
    (mine / "user.py").write_text("import hypothesis")
    before = sources.code_digest(["mine.user"])
    sources._version.cache_clear()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0")
    changed = sources.code_digest(["mine.user"])
    sources._version.cache_clear()
    assert changed != before


def test_whether_a_library_is_loaded_does_not_count(mine, monkeypatch):
    (mine / "user.py").write_text("import hypothesis, yaml_of_nobody, sklearn, json")
    before = sources.code_digest(["mine.user"])
    for name in ("hypothesis", "sklearn"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert sources.code_digest(["mine.user"]) == before


def test_a_library_is_known_by_what_it_is_imported_as():
    assert sources._version("sklearn") == metadata.version("scikit-learn")
    assert sources._version("json") == ""


def test_the_module_of_a_part(mine):
    from mine import Net, Other

    assert sources.module_of(Net) == "mine.net"
    assert sources.module_of(Net()) == "mine.net"
    assert sources.module_of(Net().forward) == "mine.net"
    assert sources.module_of(partial(partial(Other), 1)) == "mine.other"


@pytest.mark.parametrize("text", ["def", "\0", "import nowhere_to_be_found.at_all"])
def test_what_cannot_be_read_or_found_is_passed_over(mine, text):
    (mine / "sibling.py").write_text(text)
    assert sources.code_digest(["mine.user", "made_up_in_a_prompt"])
