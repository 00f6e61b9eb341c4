"""`Module`: a named tree of parameters with a `forward`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minidiff.engine import anomaly
from minidiff.engine.backend import array_module, is_array, on_device, to_device
from minidiff.engine.tensor import Tensor
from minidiff.nn.summary import summary


class Parameter(Tensor):
    """A Tensor that a Module trains."""

    __slots__ = ()

    def __init__(self, data: Any):
        super().__init__(data, requires_grad=True)


class Module:
    """A layer or a network.

    Attributes that are Parameters or Modules become its parts, named by the attribute, as in
    PyTorch. Subclasses write `forward`; call the module itself.
    """

    training = True
    config: Any  # of a whole network: the dataclass of its settings, which a checkpoint stores

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not anomaly.enabled():
            return self.forward(*args, **kwargs)
        with anomaly.inside_module(self, self._path_below(anomaly.current_root())):
            return self.forward(*args, **kwargs)

    def _path_below(self, root: Module | None) -> str:
        """This module's name seen from `root`, the outermost module that is running."""
        for name, module in (root or self).named_modules():
            if module is self:
                return name or type(self).__name__
        return type(self).__name__

    # -- the tree ----------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (named "") and all below it, as ("up.3.res", module), each once."""
        seen: set[int] = set()
        waiting: list[tuple[str, Module]] = [(prefix, self)]
        while waiting:
            path, module = waiting.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module
                children = [(_join(path, name), child) for name, child in module.named_children()]
                waiting += reversed(children)

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """("up.3.res.conv1.weight", parameter) for all parameters in this tree, each once.

        They come in the order in which they were made. One that several layers share has the first
        of its names.
        """
        seen: set[int] = set()
        for name, parameter in self._all_names(prefix, ()):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def _all_names(
        self, prefix: str, above: tuple[Module, ...]
    ) -> Iterator[tuple[str, Parameter]]:
        """As `named_parameters`, with all names of a shared one.    above: not entered again"""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield _join(prefix, name), value
            elif isinstance(value, Module) and not any(value is m for m in (*above, self)):
                yield from value._all_names(_join(prefix, name), (*above, self))

    def parameters(self) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters())

    def parameter_count(self) -> int:
        """The number of trained numbers."""
        return sum(parameter.size for parameter in self.parameters())

    def summary(self, *inputs: Any, depth: int | None = None) -> None:
        """Print a table of the modules with their numbers of parameters.

        inputs: with arguments for `forward` there is a column for the shapes that the modules
        return. depth: so many levels below this module are shown.
        """
        print(summary(self, inputs, depth))

    # -- modes -------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        """Set training mode, in which dropout drops, or evaluation mode for the whole tree.

        -> the module itself
        """
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        return self.train(False)

    def requires_grad_(self, value: bool = True) -> Module:
        """Let gradients flow to the parameters or, with False, freeze them.

        -> the module itself
        """
        for parameter in self.parameters():
            parameter.requires_grad = value
        return self

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device: str) -> Module:
        """Move the parameters and their gradients, in place, to "cpu" or "cuda".

        -> the module itself
        """
        for parameter in self.parameters():
            parameter.data = to_device(parameter.data, device)
            if parameter.grad is not None:
                parameter.grad = to_device(parameter.grad, device)
        return self

    def cpu(self) -> Module:
        """Move the parameters and their gradients, in place, to the main memory.

        -> the module itself
        """
        return self.to("cpu")

    # -- the state ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{name: array} of the parameters: the arrays themselves, no copies.

        A shared parameter is there under each of its names, as in PyTorch.
        """
        return {name: parameter.data for name, parameter in self._all_names("", ())}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copy the arrays of `state` into the parameters. Nothing changes if anything does not fit.

        strict: names must agree exactly.

        Raises: KeyError for missing or unknown names; ValueError for wrong shapes; TypeError for
        arrays without numbers.
        """
        own = dict(self._all_names("", ()))
        if strict and own.keys() != state.keys():
            missing = [name for name in own if name not in state]
            unknown = [name for name in state if name not in own]
            raise KeyError(f"load_state_dict: missing {_some(missing)}; unknown {_some(unknown)}")
        shared = [name for name in own if name in state]
        wrong = [
            f"{name}: wanted {own[name].shape}, got {np.shape(state[name])}"
            for name in shared
            if own[name].shape != np.shape(state[name])
        ]
        if wrong:
            raise ValueError(
                f"load_state_dict: shapes differ: "
                f"{'; '.join(wrong[:5])}{' ...' if len(wrong) > 5 else ''}"
            )
        copies = {name: _like(own[name], name, state[name]) for name in shared}
        for name, array in copies.items():
            own[name].assign(array)

    def __repr__(self) -> str:
        return self._describe(())

    def _describe(self, above: tuple[Module, ...]) -> str:
        """The tree below this module.    above: the modules that it is in"""
        above = (*above, self)
        children = [
            f"  ({name}): " + child._describe(above).replace("\n", "\n  ")
            for name, child in self.named_children()
            if not any(child is module for module in above)
        ]
        head = f"{type(self).__name__}({self.extra_repr()}"
        return head + ("\n" + "\n".join(children) + "\n)" if children else ")")

    def extra_repr(self) -> str:
        return ""


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _some(names: list[str]) -> str:
    return (
        f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        if names
        else "none"
    )


def _like(parameter: Parameter, name: str, array: Any) -> Any:
    """A copy of `array` with the parameter's dtype and on its device.

    The array may be of another library.
    """
    array = array.data if isinstance(array, Tensor) else array
    source = array if is_array(array) else np.asarray(array)
    if source.dtype.kind not in "fiub":
        raise TypeError(f"load_state_dict: wanted numbers for {name}, got dtype {source.dtype}")
    with on_device(parameter.device):
        moved = to_device(source, parameter.device)
        return array_module(moved).array(moved, dtype=parameter.dtype)
