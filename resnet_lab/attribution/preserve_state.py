"""Borrowing a model: for one thread at a time, and given back as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")

_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_locks_lock = threading.Lock()


@contextmanager
def preserve_state(model: nn.Module) -> Iterator[None]:
    """Lends `model` in eval mode with frozen parameters; afterwards, or after an exception, it is as before.

    Put back are each module's own train or eval mode, the hooks, and each parameter's `requires_grad`; frozen
    parameters gather no `.grad`, and eval mode leaves the running statistics alone. The global random state is
    not rewound: no method here draws from it, and another thread may be drawing just now.

    Hooks belong to the module, so a forward pass of one thread fires those of another. Threads that share a
    model therefore wait for each other here, plain predictions too.
    """
    with _locks_lock:
        lock = _locks.setdefault(model, threading.RLock())
    with lock:
        modules = list(model.modules())
        training = [module for module in modules if module.training]
        hooks = {
            (module, name): set(found)
            for module in modules
            for name in HOOKS
            if (found := getattr(module, name))
        }
        parameters = list(model.parameters())
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        try:
            if training:
                model.eval()
            for parameter in learning:
                parameter.requires_grad_(False)
            yield
        finally:
            for module in modules:
                if module.training:
                    module.training = False
                for name in HOOKS:
                    if registered := getattr(module, name):
                        for added in set(registered) - hooks.get((module, name), set()):
                            del registered[added]
            for module in training:
                module.training = True  # train() would reach the children, which may differ
            for parameter in parameters:
                if parameter.requires_grad:
                    parameter.requires_grad_(False)
            for parameter in learning:
                parameter.requires_grad_(True)
