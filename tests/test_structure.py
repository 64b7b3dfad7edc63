"""The house as its pages tell it: imports run one way, links lead somewhere, commands exist."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import typer

from foresell.cli import app

ROOT = Path(__file__).parents[1]
FLOORS = ("features", "training", "serving", "foresell")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for floor in FLOORS
    for path in (ROOT / floor).rglob("*.py")
}
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]


def imported(nodes: list[ast.stmt]) -> set[str]:
    """Modules of the house that some statements import."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{one.name}" for one in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found & set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name):
    tree = ast.parse(MODULES[name].read_text())
    floor = FLOORS.index(name.split(".")[0])
    above = {
        one
        for one in imported(list(ast.walk(tree)))
        if FLOORS.index(one.split(".")[0]) > floor and one != "foresell.settings"
    }
    assert not above


def test_no_modules_import_each_other_in_a_circle():
    trees = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
    TopologicalSorter({name: imported(tree.body) for name, tree in trees.items()}).prepare()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    text = page.read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    named = re.findall(r"`((?:\w+/)+\w+\.\w+)`", text)
    places = [page.parent / link for link in links]
    places += [ROOT / name for name in named if name.split("/")[0] in (*FLOORS, "docs", "tests")]
    assert not [place for place in places if not place.exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_that_a_page_names_exist(page):
    for line in re.findall(r"\bforesell ([a-z]+\b[^`\n]*)", page.read_text()):
        words = line.split()
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= options, line
