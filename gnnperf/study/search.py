"""The chain of steps that fits a budget: tried by Optuna, scored on validation alone.

The test part is looked at once, for the chain that won.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gnnperf.compression import Compressed, RecipeError
from gnnperf.compression.retraining import is_usable
from gnnperf.errors import GnnperfError
from gnnperf.meters.latency import Pair
from gnnperf.recipes import compress, own_methods, parse_recipe
from gnnperf.records import Reading
from gnnperf.reports.pareto import front
from gnnperf.study.measure import headline, latency_readings, score_readings
from gnnperf.study.sizes import size_readings
from gnnperf.system.files import make_folder
from gnnperf.system.sources import code_digest
from gnnperf.system.store import key_of
from gnnperf.training import Trained, evaluate
from gnnperf.training.keys import described, state_digest

if TYPE_CHECKING:
    import optuna

Quantity = Literal["bytes", "cpu_ratio"]
_LATENCY_SECONDS = 2.5
_UNITS = {"B": 1, "kB": 1_000, "MB": 1_000_000, "": 1}
_PRUNINGS = ("none", "global", "layer", "width")
_QUANTIZERS = ("none", "ptq@int8", "qat@int8", "qat@int4")
_SPARSITIES = (0.3, 0.95, 0.05)
"""Least, greatest, step."""


class SearchError(GnnperfError):
    """A budget that is none, or that no chain fits."""


@dataclass(frozen=True)
class Budget:
    """What a model may cost: stored bytes, or CPU time over the dense twin's."""

    quantity: Quantity
    most: float


def parse_budget(text: str) -> Budget:
    """Read `bytes=20kB` or `cpu_ratio=0.5`; raises SearchError."""
    name, _, rest = text.partition("=")
    unit = next((u for u in ("kB", "MB", "B") if rest.endswith(u)), "") if name == "bytes" else ""
    try:
        most = float(rest.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        most = 0.0
    if name not in ("bytes", "cpu_ratio") or not 0 < most < float("inf"):
        raise SearchError(f"--budget {text!r}: name bytes=20kB, or cpu_ratio=0.5")
    return Budget("bytes" if name == "bytes" else "cpu_ratio", most)


@dataclass(frozen=True)
class Tried:
    """A recipe with what it costs, and its drop on validation."""

    recipe: str
    cost: float
    drop: float


@dataclass(frozen=True)
class Found:
    """What a search gives.

    Attributes:
        front: those that none is better than in cost and drop, the cheapest first.
        winner: the cheapest within budget and drop.
        test: the winner's scores on the test part, which nothing before has looked at.
        trials, refused: how many there were, and how many of them no recipe could be made of.
    """

    front: tuple[Tried, ...]
    winner: Tried
    test: Mapping[str, Reading]
    trials: int
    refused: int


def search(
    trained: Trained,
    budget: Budget,
    max_drop: float,
    trials: int,
    recipes: Sequence[str] = (),
    announce: Callable[[str], None] = lambda text: None,
) -> Found:
    """Try chains until there are so many trials, those of an interrupted search among them.

    Args:
        trained: the dense base; the trials are kept beside its trainings.
        budget: what the model may cost.
        max_drop: of the headline, on validation.
        trials: in all.
        recipes: to choose from; empty: chains of pruning, fine-tuning and quantization.
        announce: told how each trial went.

    Raises SearchError where none fits, with the nearest, and where Optuna is not installed.
    """
    library = _optuna()
    texts = list(dict.fromkeys(parse_recipe(text).text for text in recipes))
    if not len(trained.parts.validation):
        raise SearchError(f"{trained.workload} has no validation part to choose on; give it one")
    trials = min(trials, len(texts)) if texts else trials
    study = _study(library, trained, budget, max_drop, texts)
    known = {t.user_attrs["recipe"]: t for t in _ended(study)}

    def attempt(trial: optuna.Trial) -> tuple[float, float]:
        recipe = _next(texts, known) if texts else _suggested(trial)
        trial.set_user_attr("recipe", recipe)
        if recipe in known:
            return _within(trial, _again(library, known[recipe]), budget, max_drop)
        try:
            tried = _tried(trained, recipe, budget)
        except GnnperfError as error:
            announce(f"trial {trial.number + 1} of {trials}: {error}")
            raise library.TrialPruned(str(error)) from error
        announce(
            f"trial {trial.number + 1} of {trials}: {recipe}: {budget.quantity} {tried.cost:.4g}, "
            f"drop {tried.drop:+.4f}"
        )
        return _within(trial, (tried.cost, tried.drop), budget, max_drop)

    def remember(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        known.setdefault(trial.user_attrs["recipe"], trial)

    left = max(0, trials - len(_ended(study)))
    study.optimize(attempt, n_trials=left, callbacks=[remember])
    return _found(trained, budget, max_drop, study)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise SearchError("gnnperf search needs a package: pip install 'gnnperf[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(
    library: Any, trained: Trained, budget: Budget, max_drop: float, texts: Sequence[str]
) -> optuna.Study:
    """The search that all of this decides, new or as it was left."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
        sampler = library.samplers.TPESampler(seed=trained.seed)
        storage = None
        if trained.checkpoints is not None:
            folder = trained.checkpoints.parent / "searches"
            make_folder(folder)
            name = _key(trained, budget, max_drop, texts)
            backend = library.storages.journal.JournalFileBackend(str(folder / f"{name}.journal"))
            storage = library.storages.JournalStorage(backend)
    study: optuna.Study = library.create_study(
        storage=storage,
        sampler=sampler,
        study_name="search",
        directions=("minimize", "minimize"),
        load_if_exists=True,
    )
    return study


def _key(trained: Trained, budget: Budget, max_drop: float, texts: Sequence[str]) -> str:
    own = [m.apply for text in texts for m in own_methods(text).values()]
    decides = {
        "workload": trained.workload,
        "seed": trained.seed,
        "base": state_digest(trained.model),
        "task": described(trained.task),
        "finetune": described(trained.finetune),
        "budget": described(budget),
        "max_drop": max_drop,
        "recipes": list(texts),
        "code": code_digest([__name__, *own]),
    }
    return f"{trained.workload}-seed{trained.seed}-{key_of(decides)}"


def _within(
    trial: optuna.Trial, values: tuple[float, float], budget: Budget, max_drop: float
) -> tuple[float, float]:
    """The values, with what they exceed noted for the sampler."""
    trial.set_constraint("budget", values[0] / budget.most - 1)
    trial.set_constraint("drop", values[1] - max_drop)
    return values


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Without those that were interrupted."""
    return [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]


def _next(texts: Sequence[str], known: Mapping[str, object]) -> str:
    """The first that was not tried; an interrupted search left a trial that never ended."""
    return next((text for text in texts if text not in known), texts[0])


def _suggested(trial: optuna.Trial) -> str:
    """A chain of the grammar: perhaps pruned, then perhaps fine-tuned, perhaps quantized."""
    pruning = trial.suggest_categorical("pruning", _PRUNINGS)
    steps = []
    if pruning != "none":
        least, greatest, step = _SPARSITIES
        sparsity = trial.suggest_float("sparsity", least, greatest, step=step)
        steps.append(f"{pruning}@{round(sparsity, 2):g}")
        if trial.suggest_categorical("finetune", (False, True)):
            steps.append("finetune")
    quantizer = trial.suggest_categorical("quantizer", _QUANTIZERS)
    if quantizer != "none":
        steps.append(quantizer)
    return parse_recipe("+".join(steps or ["dense"])).text


def _again(library: Any, trial: optuna.trial.FrozenTrial) -> tuple[float, float]:
    """What a recipe gave before: nothing is compressed twice."""
    if trial.values is None:
        raise library.TrialPruned("refused before")
    cost, drop = trial.values
    return cost, drop


def _tried(trained: Trained, recipe: str, budget: Budget) -> Tried:
    compressed = compress(trained, recipe)
    if not is_usable(compressed.readings):
        raise RecipeError(f"recipe {recipe}: its training gave no usable weights")
    return Tried(recipe, _cost(compressed, budget.quantity), _validation_drop(compressed))


def _validation_drop(compressed: Compressed) -> float:
    twin, metric = compressed.twin, headline(compressed.twin)
    dense, mine = (
        evaluate(model, twin.task, twin.parts.validation)[metric.name]
        for model in (twin.model, compressed.model)
    )
    return metric.worse_by(dense, mine)


def _cost(compressed: Compressed, quantity: Quantity) -> float:
    if quantity == "bytes":
        reading = size_readings(compressed)["stored_bytes"]
    else:
        reading = latency_readings(compressed, _in_time)["cpu_ratio"]
    if reading.value is None:
        raise RecipeError(f"recipe {compressed.recipe}: {reading.reason}")
    return reading.value


def _in_time(pair: Pair) -> None:
    pair.run(time_limit_seconds=_LATENCY_SECONDS)


def _found(trained: Trained, budget: Budget, max_drop: float, study: optuna.Study) -> Found:
    complete = {
        trial.user_attrs["recipe"]: Tried(trial.user_attrs["recipe"], *trial.values)
        for trial in _ended(study)
        if trial.values is not None
    }
    finished = _ended(study)
    refused = sum(trial.values is None for trial in finished)
    best = front({name: (tried.cost, tried.drop) for name, tried in complete.items()})
    ordered = sorted((complete[name] for name in best), key=lambda tried: tried.cost)
    fitting = [t for t in ordered if t.cost <= budget.most and t.drop <= max_drop]
    if not fitting:
        raise _none_fits(budget, max_drop, ordered, len(finished))
    winner = fitting[0]
    test = score_readings(compress(trained, winner.recipe))
    return Found(tuple(ordered), winner, test, len(finished), refused)


def _none_fits(
    budget: Budget, max_drop: float, ordered: Sequence[Tried], trials: int
) -> SearchError:
    within = [tried for tried in ordered if tried.drop <= max_drop]
    nearest = ""
    if within:
        nearest = f"; with that drop the cheapest is {within[0].recipe}, {within[0].cost:.4g}"
    return SearchError(
        f"none of {trials} trials has {budget.quantity} of at most {budget.most:g} and a drop of "
        f"at most {max_drop:g} on validation{nearest}; allow more, or more --trials"
    )
