"""Which files of this machine the visitors of the app may have read.

Whoever runs the command line reads their own files. A visitor of the app sits elsewhere, perhaps, and must not
make the server read any folder by naming it: the app's `RunManager` asks `require_inside` before it takes a run.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from resnet_lab.data.base import DatasetError
from resnet_lab.data.loading import data_root, folder_of
from resnet_lab.data.names import printable

Roots = Sequence[Path]


def roots_from_environment() -> Roots:
    """The folders in $RESNET_LAB_IMAGES (separated as in $PATH), else the working folder and the home; besides
    these, the lab's own folders of data and runs.
    """
    if named := os.environ.get("RESNET_LAB_IMAGES"):
        roots = [_resolved(os.path.expanduser(path)) for path in named.split(os.pathsep) if path]
    else:  # the home of a service is often /, which would be everything
        roots = [path for path in (_resolved("."), _resolved(os.path.expanduser("~"))) if path != path.parent]
    return *roots, _resolved(data_root()), _resolved(os.environ.get("RESNET_LAB_RUNS") or "runs")


def require_inside(roots: Roots, dataset: str, weights: str | None) -> None:
    """That the folder of `folder:<path>` and the weights file lie within `roots`, once links are resolved.

    Links inside such a folder may lead out of it: whoever can put them there has more rights than a visitor.

    Raises:
        DatasetError: one lies outside. Whether it exists is not told.
    """
    for path in (folder_of(dataset), Path(weights) if weights not in (None, "imagenet") else None):
        if path is not None and not _is_inside(path, roots):
            raise DatasetError(
                f"{printable(str(path))} lies outside the folders that this server reads; whoever starts it can name "
                "more in RESNET_LAB_IMAGES."
            )


def _is_inside(path: Path, roots: Roots) -> bool:
    try:
        return any(_resolved(path).is_relative_to(root) for root in roots)
    except ValueError:  # no path at all: it has a null byte, say
        return False


def _resolved(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
