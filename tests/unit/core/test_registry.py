from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.core import registry
from app.core.errors import BadSetting


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Real distributions on the import path: one good, one broken, one that lacks a module."""

    def distribution(name: str, module: str, code: str, points: str) -> None:
        (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)

    distribution("good-plugin", "good_plugin_x", "class Wiki:\n    class Inner: ...\n", "[ondol.sources]\nwiki_x = good_plugin_x:Wiki\n")
    distribution(
        "broken-plugin", "broken_plugin_x", "raise ValueError('of its own')\n", "[ondol.sources]\nbroken_x = broken_plugin_x:Wiki\n"
    )
    distribution("poor-plugin", "poor_plugin_x", "import no_such_module_x\n", "[ondol.sources]\npoor_x = poor_plugin_x:Wiki\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.endswith("_plugin_x")]:
        del sys.modules[name]


def test_a_registered_name_loads_its_object(plugins: Path) -> None:
    assert registry.load("sources", "wiki_x").__name__ == "Wiki"


def test_nothing_is_imported_until_it_is_asked_for(plugins: Path) -> None:
    assert {"wiki_x", "broken_x", "poor_x"} <= set(registry.names("sources"))
    registry.load("sources", "wiki_x")
    assert "good_plugin_x" in sys.modules
    assert "broken_plugin_x" not in sys.modules


def test_an_unknown_name_is_told_the_nearest(plugins: Path) -> None:
    with pytest.raises(BadSetting, match=r"no source type `wikki_x`\. Did you mean `wiki_x`\?"):
        registry.load("sources", "wikki_x")


def test_a_broken_plugin_is_told_with_its_package_and_harms_no_other(plugins: Path) -> None:
    with pytest.raises(BadSetting, match=r"`broken_x` of the package broken-plugin failed .* ValueError: of its own"):
        registry.load("sources", "broken_x")
    with pytest.raises(BadSetting, match="`poor_x` of the package poor-plugin needs the module no_such_module_x"):
        registry.load("sources", "poor_x")
    assert registry.load("sources", "wiki_x")


def test_a_dotted_form_names_a_class_that_is_registered_nowhere(plugins: Path) -> None:
    assert registry.load("backends", "good_plugin_x:Wiki.Inner").__name__ == "Inner"
    with pytest.raises(BadSetting, match=r"has no `Wikki`\. Did you mean `Wiki`\?"):
        registry.load("backends", "good_plugin_x:Wikki")
    with pytest.raises(BadSetting, match="no_such_module_y"):
        registry.load("backends", "no_such_module_y:Thing")


@pytest.mark.parametrize("name", [":", "a:", ":b", "a b:c", "../x:y"])
def test_a_dotted_form_that_is_none_is_a_bad_setting(name: str) -> None:
    with pytest.raises(BadSetting):
        registry.load("backends", name)
