"""Type stubs and docstrings of the SWIG module agree with what it really holds."""

import ast
import inspect
import pathlib

import openmm
import openmmscore
import pytest
from openmmscore import plugin

STUB = ast.parse((pathlib.Path(openmmscore.__file__).parent / "plugin.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
# Machinery of SWIG and Python, which no user calls.
MACHINERY = {"thisown", "this"}


def stubMethods(name):
    methods = {node.name: node for node in CLASSES[name].body if isinstance(node, ast.FunctionDef)}
    constants = {node.target.id for node in CLASSES[name].body if isinstance(node, ast.AnnAssign)}
    return methods, constants


def runtimeNames(cls):
    return {n for n in vars(cls) if not n.startswith("_")} - MACHINERY


def test_everyClassHasAStub():
    own = {n for n, c in vars(plugin).items() if inspect.isclass(c) and c.__module__ == plugin.__name__}
    assert own - {"_SwigNonDynamicMeta"} == set(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_namesAgree(name):
    methods, constants = stubMethods(name)
    stubbed = {n for n in methods if not n.startswith("_")} | constants
    assert stubbed == runtimeNames(getattr(plugin, name))


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_argumentsAgree(name):
    methods, _ = stubMethods(name)
    for method, node in methods.items():
        function = getattr(plugin, name).__dict__[method]
        function = getattr(function, "__func__", function)
        stubbed = [a.arg for a in node.args.args]
        runtime = [p for p in inspect.signature(function).parameters]
        assert stubbed == runtime, f"{name}.{method}"


@pytest.mark.parametrize("name", sorted(n for n in CLASSES if not n.startswith("_")))
def test_everythingPublicHasADocstring(name):
    cls = getattr(plugin, name)
    assert inspect.getdoc(cls)
    missing = [
        n for n in runtimeNames(cls) if callable(getattr(cls, n)) and not inspect.getdoc(getattr(cls, n))
    ]
    assert missing == []


def test_exportedNamesExistAndAreDocumented():
    for name in openmmscore.__all__:
        value = getattr(openmmscore, name)
        assert not callable(value) or inspect.getdoc(value)


def test_packageSaysThatItIsTyped():
    assert (pathlib.Path(openmmscore.__file__).parent / "py.typed").exists()


def test_ourForcesAreOpenMMForces():
    assert issubclass(openmmscore.ScoreForce, openmm.Force)
