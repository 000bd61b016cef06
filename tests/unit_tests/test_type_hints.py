"""The annotations of public names resolve at run time, as langchain_core and other tools ask for them."""

import importlib
import inspect
import pkgutil
import typing
from typing import Any

import pytest

import langchain_darkai

# Nobody imports from the command, whose types are imported for the checkers alone, to begin fast.
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(langchain_darkai.__path__, "langchain_darkai.")
    if "._" not in name and not name.startswith("langchain_darkai.cli")
]


def public_callables() -> list[Any]:
    """Return the public functions, and the public methods of the public classes, each under its full name."""
    found: dict[str, Any] = {}
    for module in map(importlib.import_module, MODULES):
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isfunction(value):
                found[f"{module.__name__}.{name}"] = value
            elif inspect.isclass(value):
                found[f"{module.__name__}.{name}"] = value
                methods = inspect.getmembers(
                    value, lambda member: inspect.isfunction(member) or inspect.ismethod(member)
                )
                for method, function in methods:
                    is_ours = getattr(function, "__module__", "").startswith("langchain_darkai")
                    if is_ours and (not method.startswith("_") or method == "__init__"):
                        found[f"{module.__name__}.{name}.{method}"] = function
    return [pytest.param(value, id=name) for name, value in sorted(found.items())]


@pytest.mark.parametrize("public", public_callables())
def test_the_type_hints_of_a_public_name_resolve(public: Any) -> None:
    typing.get_type_hints(public)
