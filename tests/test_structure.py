"""The structure that `docs/architecture.md` describes: imports, sizes, file formats, pages."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import typer

from foresell.cli import app

ROOT = Path(__file__).parents[1]
LAYERS = ("features", "training", "serving", "foresell")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for layer in LAYERS
    for path in (ROOT / layer).rglob("*.py")
}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
MODELS = "training.models."
DATA_FILE = re.compile(r"[\w{}-]+\.(parquet|npy|npz|json|jsonl|csv)")


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs: function bodies too, but not what only the type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from executed(child)


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Return the modules of the product that some statements import."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else str(node.module) for name in members}
    return names & set(MODULES)


IMPORTS = {name: imported(executed(tree)) - {name} for name, tree in TREES.items()}


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name):
    layer = LAYERS.index(name.split(".")[0])
    above = {
        module
        for module in imported(ast.walk(TREES[name]))
        if LAYERS.index(module.split(".")[0]) > layer and module != "foresell.settings"
    }
    assert not above


def test_no_modules_import_each_other_in_a_cycle():
    """Imports inside functions count: they would only hide a cycle."""
    TopologicalSorter(IMPORTS).prepare()


def test_no_model_imports_another():
    def model_of(module: str) -> str | None:
        return module.removeprefix(MODELS).split(".")[0] if module.startswith(MODELS) else None

    crossing = {
        (name, module)
        for name, modules in IMPORTS.items()
        for module in modules
        if model_of(name) and model_of(module) and model_of(name) != model_of(module)
    }
    assert not crossing


def data_files(tree: ast.Module) -> set[str]:
    """Return the names of data files among a module's string literals, docstrings excepted."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
        and DATA_FILE.fullmatch(node.value)
    }


def test_a_data_file_is_named_by_the_module_that_writes_and_reads_it():
    """Serving names no file, and of one folder of formats no two modules name the same."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, tree in TREES.items():
        for file in data_files(tree):
            home = ".".join(name.split(".")[: 3 if name.startswith(MODELS) else 2])
            owners[home, file].append(name)
    shared = {key: names for key, names in owners.items() if len(names) > 1}
    assert not shared
    published = {file for (home, file) in owners if home.startswith("training.")}
    elsewhere = {
        (home, file)
        for home, file in owners
        if home.split(".")[0] in ("serving", "foresell") and file in published
    }
    assert not elsewhere


@pytest.mark.parametrize("name", MODULES)
def test_modules_and_functions_are_short(name):
    assert len(MODULES[name].read_text().splitlines()) <= 400
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(TREES[name])
        if isinstance(node, functions) and node.end_lineno - node.lineno + 1 > 60
    }
    assert not long


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    text = page.read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    named = re.findall(r"`((?:\w+/)+\w+\.\w+)`", text)
    paths = [page.parent / link for link in links]
    paths += [ROOT / name for name in named if name.split("/")[0] in (*LAYERS, "docs", "tests")]
    assert not [path for path in paths if not path.exists()]


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


def test_pre_commit_runs_what_continuous_integration_runs():
    makefile = (ROOT / "Makefile").read_text()
    hooks = re.findall(r"entry: make (\w+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "test" in hooks
    assert all(f"\n{target}:" in makefile for target in hooks)
