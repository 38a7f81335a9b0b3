"""A bundle is a store that travels: on a stick, over a courier, past an air gap.

What other rooms and the command line use:

- `is_bundle(path)`: whether a folder is a bundle. Cheap, touches nothing, follows no name in it.
- `take_in(folder, store, trust, watch) -> Taken`: a bundle into a store. What is sound is in
  afterwards; `Taken.problems` are errors with sentences and exit codes (`errors.first_by_table`),
  `Taken.names` the commits that are now whole, which the caller shows in the view
  (`Mirror.take_in` does both).
- `into_cache(folder, cache, trust) -> Placed`: a bundle into a plain Hub cache, without a store.
- `Trust(keys, required)`, `PublicKey.parse(text_or_file)`: whose signature is asked for.
- `plan_export(store, folder, wishes, known, most) -> Plan`, `carry_out(plan, store, signer, watch)`:
  the way out; `known(path)` and `state_bytes(digests)`: what the other side has.

The names are imported when first used: a bundle is needed by few commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfmirror.bundle.cache import Placed, into_cache
    from hfmirror.bundle.export import Exported, carry_out
    from hfmirror.bundle.plan import Plan, Wish, is_bundle, plan_export
    from hfmirror.bundle.reading import ANYBODY, Trust
    from hfmirror.bundle.sign import PublicKey, SecretKey
    from hfmirror.bundle.since import known, state_bytes
    from hfmirror.bundle.take import Taken, take_in

_HOMES = {
    "cache": ("Placed", "into_cache"),
    "export": ("Exported", "carry_out"),
    "plan": ("Plan", "Wish", "is_bundle", "plan_export"),
    "reading": ("ANYBODY", "Trust"),
    "sign": ("PublicKey", "SecretKey"),
    "since": ("known", "state_bytes"),
    "take": ("Taken", "take_in"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - by room
    "Placed",
    "into_cache",
    "Exported",
    "carry_out",
    "Plan",
    "Wish",
    "is_bundle",
    "plan_export",
    "ANYBODY",
    "Trust",
    "PublicKey",
    "SecretKey",
    "known",
    "state_bytes",
    "Taken",
    "take_in",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        from importlib import import_module  # noqa: PLC0415 - only when something is used

        return getattr(import_module(f"hfmirror.bundle.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'hfmirror.bundle' has no attribute {name!r}")
