"""From settings to the things an audit works with: data first, then the model that takes it, then the recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from safelight.attacks.base import Attack
from safelight.attacks.configure import configured
from safelight.cli.config import Config, DataTable
from safelight.data.functions import is_function, load_function, load_records
from safelight.data.images import load_images
from safelight.data.labels import require_every_class
from safelight.data.outputs import load_outputs
from safelight.data.records import Records, Split, Splits
from safelight.data.tables import Columns, load_table, read_frame
from safelight.errors import InputError
from safelight.measures.trade_off import DpSgd
from safelight.recipes.base import Recipe
from safelight.recipes.function import FunctionRecipe
from safelight.recipes.release import ReleaseRecipe
from safelight.targets.base import Images, Shadows, Table, Target
from safelight.targets.loading import load_target
from safelight.targets.recorded import from_outputs
from safelight.targets.released import from_release
from safelight.threat import Access, Knows, Observes, ThreatModel
from safelight.verdict.dp_claim import DpClaim
from safelight.verdict.levels import Policy


@dataclass(frozen=True)
class Built:
    """Everything that `safelight.audit` takes."""

    target: Target
    splits: Splits
    threat: ThreatModel
    recipe: Recipe | None
    policy: Policy
    hashes: dict[str, str]
    tuned: tuple[Attack, ...]
    shadows: Shadows | None = None
    base: Target | None = None


def build(config: Config, may_test: bool = False) -> Built:
    """Load data, model and recipe.

    Args:
        may_test: the owner's word that a remote address may be tested.

    Raises:
        InputError, UntrustedFile, MissingExtra, NotAllowed: something cannot be used; the message says what to do.
    """
    data = config.data
    inputs: Images | Table
    if data.kind == "images":
        splits, classes = _pictures(config)
        inputs = Images(splits.members.x.shape[1:], data.low, data.high)
    else:
        splits, columns = _table(config)
        classes, inputs = columns.classes, Table(columns.inputs)
    target = _target(config, inputs, tuple(config.target.classes or classes), may_test)
    recipe = _recipe(config, inputs if isinstance(inputs, Images) else None)
    base = _base(config, inputs)
    return Built(target, splits, _threat(config), recipe, _policy(config), _hashes(config), _tuned(config), base=base)


def build_from_outputs(config: Config, seed: int) -> Built:
    """Load a file of outputs, named as the model: members, nonmembers, and the recorded model that answered them.

    Raises:
        InputError: the file cannot be used; the message says what to do.
    """
    outputs = load_outputs(config.folder / config.target.model, np.random.default_rng([seed, 12]))
    target, shadows = from_outputs(outputs, config.target.name or Path(config.target.model).name)
    members, nonmembers = outputs.records.take(outputs.member), outputs.records.take(~outputs.member)
    splits = Splits(members, nonmembers, drawn=Split(config.data.split))
    return Built(target, splits, _threat(config), None, _policy(config), _hashes(config), _tuned(config), shadows)


def build_from_release(config: Config) -> Built:
    """Load a released table, named as the model, and the records behind it, without columns that were not released.

    Raises:
        InputError: a file cannot be used, or no column was released; the message says what to do.
    """
    if config.data.kind != "table" or config.data.label is not None:
        raise InputError("A released table is compared with tables, and predicts nothing; leave kind and label out.")
    release = read_frame(config.folder / config.target.model)
    splits, columns = _table(config)
    owner = config.target.owner
    shared = [name for name in columns.inputs if name in release.columns and name != owner]
    if not shared:
        raise InputError(
            f"{config.target.model} and the members share no column; it has {', '.join(map(str, release.columns))}."
        )
    groups = {
        name: replace(group, x=group.x[shared])
        for name in ("members", "nonmembers", "public")
        if (group := getattr(splits, name)) is not None
    }
    kept = [*shared, owner] if owner in release.columns else shared
    target = from_release(release[kept], config.target.name or Path(config.target.model).name, owner)
    target = replace(target, description=f"{target.description}, {len(shared)} of {len(columns.inputs)} columns")
    function = None if config.recipe is None else load_function(config.recipe.train, config.folder)
    recipe = function if function is None or isinstance(function, Recipe) else ReleaseRecipe(function)
    splits, threat = replace(splits, **groups), replace(_threat(config), observes=Observes.RELEASE)
    return Built(target, splits, threat, recipe, _policy(config), _hashes(config), _tuned(config))


def _threat(config: Config) -> ThreatModel:
    return ThreatModel(
        Access.named(config.threat.access),
        queries=config.threat.queries,
        top_k=config.threat.top_k,
        decimals=config.threat.decimals,
        knows=frozenset(_known(word) for word in config.threat.knows),
    )


def _policy(config: Config) -> Policy:
    return Policy(config.policy.fail_on, config.policy.alpha, config.policy.tolerate, config.policy.look_for)


def claim_of(config: Config) -> DpClaim | None:
    """Return the promise of differential privacy that the settings state, or None.

    Raises:
        InputError: a number of it cannot be.
    """
    stated = config.claim
    if stated is None:
        return None
    mechanism = None
    if stated.dp_sgd is not None:
        if len(stated.dp_sgd) != 3:
            raise InputError(
                f"[claim] dp_sgd has {len(stated.dp_sgd)} numbers; give noise multiplier, sampling rate and steps, "
                "such as [1.1, 0.01, 1000]."
            )
        mechanism = DpSgd(stated.dp_sgd[0], stated.dp_sgd[1], int(stated.dp_sgd[2]))
    return DpClaim(stated.epsilon, stated.delta, stated.unit, stated.adjacency, mechanism, stated.records_per_person)


def _tuned(config: Config) -> tuple[Attack, ...]:
    return tuple(configured(code, values) for code, values in config.attacks.items())


def _target(config: Config, inputs: Images | Table, classes: tuple[str, ...], may_test: bool) -> Target:
    table = config.target
    options: dict[str, Any] = {}
    if "://" in table.model:
        options = {
            "protocol": table.protocol,
            "auth_env": table.auth_env,
            "rate": table.rate,
            "timeout": table.timeout,
            "inexact": table.inexact,
            "allowed": may_test,
        }
    target = load_target(
        table.model,
        trusted=table.trusted,
        folder=config.folder,
        inputs=inputs,
        classes=classes,
        output=table.output,
        factory=table.factory,
        input_name=table.input_name,
        output_name=table.output_name,
        name=table.name,
        **options,
    )
    return target if table.name is None else replace(target, name=table.name)


def _base(config: Config, inputs: Images | Table) -> Target | None:
    """Load the model that the target was fine-tuned from; its own classes are kept, so that others are noticed."""
    table = config.target
    if table.base is None:
        return None
    if "://" in table.base:
        raise InputError(f"[target] base is {table.base!r}; name a file or a function, not an address.")
    return load_target(
        table.base,
        trusted=table.trusted,
        folder=config.folder,
        inputs=inputs,
        output=table.output,
        factory=table.factory,
        input_name=table.input_name,
        output_name=table.output_name,
    )


def _recipe(config: Config, inputs: Images | None) -> Recipe | None:
    if config.recipe is None:
        return None
    train = load_function(config.recipe.train, config.folder)
    return train if isinstance(train, Recipe) else FunctionRecipe(train, inputs)


def _pictures(config: Config) -> tuple[Splits, tuple[str, ...]]:
    data = config.data
    members, classes = _load_pictures(data.members, config.folder, None)
    nonmembers = None if data.nonmembers is None else _load_pictures(data.nonmembers, config.folder, classes)[0]
    public = None
    if data.public is not None:
        public, names = _load_pictures(data.public, config.folder, None)
        if names:
            public = public.relabelled(_joined(public, names, classes))
    for name, group in (("nonmembers", nonmembers), ("public", public)):
        if group is not None and group.x.shape[1:] != members.x.shape[1:]:
            raise InputError(
                f"The {name} have images of shape {group.x.shape[1:]} and the members {members.x.shape[1:]}; "
                "make them equal."
            )
    classes = classes or tuple(str(number) for number in range(int(members.y.max()) + 1))
    require_every_class(members.y, classes, "The members")
    return _splits(data, members, nonmembers, public), classes


def _load_pictures(spec: str, folder: Path, classes: Sequence[str] | None) -> tuple[Records, tuple[str, ...]]:
    if is_function(spec):
        return load_records(spec, folder), ()
    return load_images(folder / spec, classes or None)


def _joined(public: Records, names: tuple[str, ...], classes: tuple[str, ...]) -> np.ndarray:
    """Number public classes like the members' where the names agree, and beyond them where they do not."""
    others = [name for name in names if name not in classes]
    place = [classes.index(name) if name in classes else len(classes) + others.index(name) for name in names]
    return np.array(place)[public.y]


def _table(config: Config) -> tuple[Splits, Columns]:
    data = config.data
    if data.label is None and config.target.kind == "model":
        raise InputError('[data] needs the key "label" for a table: the column that the model predicts.')
    options: dict[str, Any] = {"person": data.person, "sensitive": data.sensitive}
    members, columns = _load_rows(data.members, config, "members", {**options, "classes": config.target.classes})
    others = [
        None if spec is None else _load_rows(spec, config, name, {**options, "like": columns})[0]
        for name, spec in (("nonmembers", data.nonmembers), ("public", data.public))
    ]
    if columns.classes:
        require_every_class(members.y, columns.classes, "The members")
    return _splits(data, members, *others), columns


def _load_rows(spec: str, config: Config, name: str, options: dict[str, Any]) -> tuple[Records, Columns]:
    source = load_function(spec, config.folder)() if is_function(spec) else config.folder / spec
    return load_table(source, config.data.label, name=name, **options)


def _splits(data: DataTable, members: Records, nonmembers: Records | None, public: Records | None) -> Splits:
    return Splits(members, nonmembers, public, Split(data.split), tuple(data.sensitive), data.class_is_person)


def _known(word: str) -> Knows:
    try:
        return Knows(word)
    except ValueError:
        raise InputError(f'knows holds {word!r}; use "public" and "recipe".') from None


def _hashes(config: Config) -> dict[str, str]:
    """Return the sha256 of the files of the model and its base model, where there are some."""
    named = {"model": config.target.model, "base": config.target.base}
    files = {name: config.folder / spec for name, spec in named.items() if spec is not None and "://" not in spec}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if path.is_file()}
