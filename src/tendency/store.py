"""Floor 4: models on disk, as safetensors with a JSON header.

The header describes the tree of modules field by field; the arrays stand beside it by
name. Loading looks classes up in a closed list and fills in their fields: no code in a
file is ever run, and a class not in the list is refused by name.
"""

import dataclasses
import importlib
import math
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import PyTree

from tendency.errors import InputError
from tendency.files import read_tensors, write_tensors

_FORMAT = "tendency-model-1"
_MODULES = (
    "tendency.cell",
    "tendency.integrate",
    "tendency.stiff",
    "tendency.wrappers",
    "tendency.physics",
    "tendency.symbolic",
    "tendency.networks",
    "tendency.statistical",
    "tendency.data",
    "tendency.observing",
    "tendency.assimilation",
    "diffrax",
    "optimistix",
    "lineax",
)
_NAMED: Mapping[str, Any] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "sin": jnp.sin,
    "rms_norm": optx.rms_norm,
    "max_norm": optx.max_norm,
    "two_norm": optx.two_norm,
    "controller_tolerance": diffrax.with_stepsize_controller_tols(optx.Newton)().rtol,
}


def save(
    path: str | Path, model: PyTree, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a model, or any tree of modules, and what is to be known of it.

    Arguments:
        metadata: anything JSON holds: the configuration, labels, scores.

    Raises:
        InputError: the model holds something that cannot be rebuilt (a lambda, an
            object of no known kind), or the file cannot be written.
    """
    tensors: dict[str, np.ndarray] = {}
    header = {
        "format": _FORMAT,
        "versions": {name: version(name) for name in ("tendency", "jax", "equinox")},
        "metadata": dict(metadata or {}),
        "model": _described(model, "model", tensors),
    }
    write_tensors(path, tensors, header)


def load(
    path: str | Path, classes: Iterable[type] = ()
) -> tuple[Any, Mapping[str, Any]]:
    """The model in a file by `save`, and its metadata.

    Arguments:
        classes: modules of your own that the file may hold, besides tendency's.

    Raises:
        InputError: the file is missing, damaged, of another program or a newer
            version, or holds a class that is neither known nor in `classes`.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != _FORMAT:
        raise InputError(
            f"{path} holds {header.get('format', 'no format mark')!r} and {_FORMAT!r} "
            "was expected: it is no saved model, or comes from another version"
        )
    known = {_name(c): c for c in classes}
    try:
        model = _rebuilt(header["model"], tensors, known, str(path))
        return model, dict(header["metadata"])
    except InputError:
        raise
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:
        raise InputError(
            f"the header of {path} does not describe a whole model ({error!r}): the "
            "file is damaged; get or write it anew"
        ) from error


def _described(node: Any, place: str, tensors: dict[str, np.ndarray]) -> Any:
    if node is None or isinstance(node, bool | int | str):
        return node
    if isinstance(node, float):
        return node if math.isfinite(node) else {"float": repr(node)}
    if eqx.is_array(node) or isinstance(node, np.generic):
        tensors[place] = np.asarray(node)
        return {"array": place}
    if isinstance(node, tuple | list):
        items = [_described(x, f"{place}.{i}", tensors) for i, x in enumerate(node)]
        return {"tuple" if isinstance(node, tuple) else "list": items}
    if isinstance(node, dict) and all(isinstance(k, str) for k in node):
        items = {k: _described(v, f"{place}.{k}", tensors) for k, v in node.items()}
        return {"dict": items}
    if isinstance(node, eqx.Module):
        fields = {
            f.name: _described(getattr(node, f.name), f"{place}.{f.name}", tensors)
            for f in dataclasses.fields(node)
        }
        return {"class": _name(type(node)), "fields": fields}
    for name, value in _NAMED.items():
        if node is value:
            return {"named": name}
    raise InputError(
        f"{place} is {node!r}, which a file cannot hold: use arrays, numbers, text, "
        f"modules, or one of {', '.join(_NAMED)}"
    )


def _rebuilt(node: Any, tensors: Mapping, known: Mapping[str, type], path: str) -> Any:
    if not isinstance(node, dict):
        return node
    (kind, *_) = node
    if kind == "array":
        return jnp.asarray(tensors[node["array"]])
    if kind == "float":
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[node["float"]]
    if kind in ("tuple", "list"):
        items = [_rebuilt(x, tensors, known, path) for x in node[kind]]
        return tuple(items) if kind == "tuple" else items
    if kind == "dict":
        return {k: _rebuilt(v, tensors, known, path) for k, v in node["dict"].items()}
    if kind == "named":
        return _NAMED[node["named"]]
    cls = _class(node["class"], known, path)
    names = {f.name for f in dataclasses.fields(cls)}
    if names != set(node["fields"]):
        raise InputError(
            f"{path} holds a {cls.__name__} with the fields {sorted(node['fields'])} "
            f"and this version's has {sorted(names)}: load it with the version of "
            "tendency that wrote it"
        )
    module = object.__new__(cls)
    for name, value in node["fields"].items():
        object.__setattr__(module, name, _rebuilt(value, tensors, known, path))
    return module


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _class(name: str, known: Mapping[str, type], path: str) -> type:
    """A module class by its name, from tendency, Diffrax or the classes given."""
    if name in known:
        return known[name]
    module, _, qualname = name.rpartition(".")
    if any(module == m or module.startswith(m + ".") for m in _MODULES):
        try:
            found = getattr(importlib.import_module(module), qualname)
        except (ImportError, AttributeError):
            found = None
        if isinstance(found, type) and issubclass(found, eqx.Module):
            return found
    raise InputError(
        f"{path} holds a {name}, which is not a class of this version of tendency: "
        "pass your own classes to load, or use the version that wrote it"
    )
