"""The state dict that fits a net, wherever a file keeps it and whatever precedes its names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnet_lab.models.files.pickles import Foreign
from resnet_lab.models.files.weights_file import ADVICE, WeightsError, foreign_reason, mappings

LAB_NAME = re.compile(  # of a tensor in any net of this lab
    r"(conv1|bn1|bn_last)\.(\d\.)?\w+|fc\.(weight|bias)|layer\d\.\d+\.\w+\.(\d\.|gate\.)?\w+"
)
AVERAGE = re.compile(r"(^|[._])ema([._]|$)")  # timm's state_dict_ema, torchvision's model_ema, …
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
MAX_PARTS = 8  # of a prefix
COUNTER = "num_batches_tracked"  # absent in old files

Names = Collection[str]


@dataclass(frozen=True)
class FoundState:
    """A state dict out of a file.

    Args:
        state: under this lab's names.
        renamed: the file's names that were changed, each with this lab's.
        left_out: the file's names of tensors beside the net's, such as a loss's class weights.
        where: the keys and the prefix under which it lay, as in "state_dict_ema.module"; "" for none.
    """

    state: dict[str, Tensor]
    renamed: dict[str, str]
    left_out: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class _Group:
    """The tensors of one dict whose names share a prefix."""

    path: str  # of the dict
    entries: dict[str, Any]  # all of the dict's: tensors and `Foreign`
    odd: tuple[Any, ...]  # keys of the dict's tensors that are no text
    prefix: str
    matches: int  # how many of the net's names it has

    @property
    def extras(self) -> int:
        return sum(name.startswith(self.prefix) for name in self.entries) - self.matches

    @property
    def title(self) -> str:
        return f"{self.path}{self.prefix}".removesuffix(".")


def find_state(content: Any, source: str, names: Names | None = None) -> FoundState:
    """The state dict that fits a net best: in any dict of the content, behind any prefix.

    Of a net and its moving average, where a file has both, the average is taken, as timm does.

    Args:
        content: as `read_weights` returns it.
        source: names the file in errors.
        names: of the net's tensors; None for any net of this lab.

    Raises:
        WeightsError: there is none, there are several, or something in it is no plain tensor.
    """
    group = _best(list(_groups(content, names)), source, names)
    inside = {name: value for name, value in group.entries.items() if name.startswith(group.prefix)}
    if foreign := [value for value in inside.values() if isinstance(value, Foreign)]:
        raise WeightsError(f"{source} {foreign_reason(foreign[0])}.")
    if not inside:
        raise WeightsError(f"{source} holds no named tensors; {ADVICE}.")
    if group.odd:
        kind = getattr(group.odd[0], "name", type(group.odd[0]).__name__)
        raise WeightsError(
            f"{source} has a tensor under a key of type {kind}, where a name belongs; {ADVICE}."
        )
    state: dict[str, Tensor] = {}
    for name, tensor in inside.items():
        ours = _ours(name.removeprefix(group.prefix))
        if ours in state:
            raise WeightsError(f"{source} has two tensors for {_short(ours)}, one of them {_short(name)}.")
        state[ours] = tensor
    renamed = {theirs: ours for theirs, ours in zip(inside, state, strict=True) if theirs != ours}
    left_out = tuple(name for name in group.entries if name not in inside)
    return FoundState(state, renamed, left_out, group.title)


def check_fit(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Compares names, shapes and dtypes with the model's; either may be without values.

    Raises:
        WeightsError: the plainest reason why they do not fit; `source` names the file.
    """
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in state and not name.endswith(COUNTER)]
    extra = [name for name in state if name not in wanted]
    common = [name for name in wanted if name in state]
    problem = ""
    if extra and len(missing) > len(wanted) / 2:
        problem = f"it has no {missing[0]!r}{_more(missing)}, but {_short(extra[0])}"
    elif misfits := [name for name in common if wanted[name].shape != state[name].shape]:
        ours, theirs = (tuple(tensors[misfits[0]].shape) for tensors in (wanted, state))
        problem = f"{misfits[0]!r} has shape {theirs} in the file and {ours} in the net"
    elif missing:
        problem = f"it lacks {missing[0]!r}{_more(missing)}"
    elif extra:
        problem = f"it has {_short(extra[0])} too{_more(extra)}"
    elif wrong := [name for name in common if not _converts(state[name].dtype, wanted[name].dtype)]:
        kind = str(state[wrong[0]].dtype).removeprefix("torch.")
        problem = f"{wrong[0]!r} is of type {kind} in the file, where floats belong"
    if problem:
        raise WeightsError(f"{source} does not fit this net: {problem}.")


def _groups(content: Any, names: Names | None) -> Iterator[_Group]:
    yield _Group("", {}, (), "", 0)
    for path, mapping in mappings(content):
        held = {k: v for k, v in mapping.items() if isinstance(v, Tensor | Foreign)}
        entries = {k: v for k, v in held.items() if isinstance(k, str)}
        odd = tuple(k for k in held if not isinstance(k, str))
        counts = Counter(prefix for name in entries for prefix in _prefixes(name, names))
        for prefix, matches in [*counts.items(), ("", 0)]:  # the last for a net with none of the names
            yield _Group(path, entries, odd, prefix, matches)


def _prefixes(name: str, names: Names | None) -> Iterator[str]:
    """All prefixes of whole parts behind which a name of the net stands."""
    end = 0
    for _ in range(MAX_PARTS + 1):
        rest = _ours(name[end:])
        if LAB_NAME.fullmatch(rest) if names is None else rest in names:
            yield name[:end]
        end = name.find(".", end) + 1
        if not end:
            return


def _best(groups: list[_Group], source: str, names: Names | None) -> _Group:
    """The group with the most of the net's names and the fewest others."""
    most = max(group.matches for group in groups)
    enough = 1 if names is None else len(names) / 2
    if most < enough:  # weights of another net: compared as they are, to tell it
        return max((group for group in groups if not group.matches), key=lambda group: len(group.entries))
    groups = [group for group in groups if group.matches == most]
    fewest = min(group.extras for group in groups)
    groups = [group for group in groups if group.extras == fewest]
    averages = [group for group in groups if AVERAGE.search(group.title)]
    if len(groups) > 1 and len(averages) != 1:
        raise WeightsError(
            f"{source} holds several nets that fit ({_short(groups[0].title)} and "
            f"{_short(groups[1].title)}); save the state dict of one."
        )
    return (averages or groups)[0]


def _ours(name: str) -> str:
    """Two names differ in akamaster/pytorch_resnet_cifar10 and kuangliu/pytorch-cifar."""
    return re.sub(r"^linear\.", "fc.", name).replace(".shortcut.", ".downsample.")


def _converts(theirs: torch.dtype, ours: torch.dtype) -> bool:
    return theirs in FLOATS if ours.is_floating_point else not theirs.is_complex


def _short(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:77]}…")


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1:,} more" if len(names) > 1 else ""
