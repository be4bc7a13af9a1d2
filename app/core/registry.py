"""Adapters by name, through entry points: `ondol.backends`, `ondol.sources`, `ondol.readers`, `ondol.embedders`.

The built-in ones come through the same door as a stranger's. Nothing is imported until its name is asked for, so a plug-in
that is broken harms only who asks for it. `package.module:Class` names a class that is registered nowhere.
"""

from __future__ import annotations

import importlib
import logging
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

from app.core.errors import BadSetting
from app.core.settings_check import nearest

log = logging.getLogger(__name__)
Group = Literal["backends", "sources", "readers", "embedders"]
OUR_DISTRIBUTION = "ondol"


def names(group: Group) -> list[str]:
    """What is registered, without importing any of it."""
    return sorted(entry_points(group=f"ondol.{group}").names)


def load(group: Group, name: str) -> object:
    """The object behind a name. BadSetting: no such name (with the nearest), or it can't be imported (with whose it is)."""
    if ":" in name:
        return _import(name, EntryPoint(name, name, f"ondol.{group}"), "")
    found = sorted(entry_points(group=f"ondol.{group}", name=name), key=lambda point: (_owner(point) != OUR_DISTRIBUTION, _owner(point)))
    if not found:
        raise BadSetting(f"There is no {group.removesuffix('s')} type `{name}`.{nearest(name, names(group))}")
    if len({point.value for point in found}) > 1:
        owners = ", ".join(_owner(point) for point in found)
        log.warning("`%s` is registered by %s; %s is used", name, owners, _owner(found[0]))
    return _import(name, found[0], _owner(found[0]))


def _import(name: str, point: EntryPoint, owner: str) -> object:
    by = f" of the package {owner}" if owner and owner != OUR_DISTRIBUTION else ""
    try:
        module = importlib.import_module(point.module)
    except ModuleNotFoundError as error:
        missing = error.name or str(error)
        hint = f"Install it: {missing}." if not point.module.startswith(missing) else "Is it installed in Ondol's environment?"
        if owner == OUR_DISTRIBUTION:
            hint = 'Install the local part: pip install "ondol[local]".'
        raise BadSetting(f"`{name}`{by} needs the module {missing}, which is not there.", hint=hint) from error
    except Exception as error:
        raise BadSetting(
            f"`{name}`{by} failed when it was imported: {type(error).__name__}: {error}.", hint="Update or remove it."
        ) from error
    target: object = module
    for part in point.attr.split("."):
        if not hasattr(target, part):
            known = [public for public in vars(module) if not public.startswith("_")]
            raise BadSetting(f"`{name}`{by}: the module {point.module} has no `{point.attr}`.{nearest(point.attr, known)}")
        target = getattr(target, part)
    return target


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else ""
