"""Lower a traced function to a program.

torch.export traces the function to a graph of simple operations. What depends on no input is computed here, once:
masks, nodes of a quadrature, the pseudo-inputs of a prior. The rest becomes views and steps.
"""

import operator
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.fx.node import Node, map_arg

from vaelab.explorer.elementwise import copied
from vaelab.explorer.functions import Function, drawn
from vaelab.explorer.program import DTYPES, Builder, Port, Program, Ref
from vaelab.explorer.rules import RULES, SAME, VIEWS
from vaelab.serving.export.programs import quiet
from vaelab.system.errors import SpecError

DO = "use --serve, which runs the model in Python"


def lowered(function: Function) -> Program:
    """Trace a function and lower it.

    Raises:
        SpecError: torch cannot trace it, or the page has no such operation.
    """
    given = (*function.inputs.values(), *(drawn(each) for each in function.draws))
    try:
        with torch.no_grad(), quiet():
            traced = torch.export.export(function.module, given).run_decompositions()
    except Exception as error:  # of any kind: the parts may be the user's own
        why = " ".join(str(error).split())[:120]
        found = f"{function.name}, which torch.export cannot trace ({type(error).__name__}: {why})"
        raise SpecError(
            found=found, expected="parts that can be traced, for a page that runs the model", do=DO
        ) from error
    build, env = Builder(), _constants(traced)
    entries = [node for node in traced.graph.nodes if node.op == "placeholder" and node not in env]
    for node in entries:
        env[node] = build.new(node.meta["val"].shape, node.meta["val"].dtype)
    (last,) = (node for node in traced.graph.nodes if node.op == "output")
    flat: Any = last.args[0]
    names: Any = traced.call_spec.out_spec
    returned: dict[str, Node] = dict(zip(names.context, flat, strict=True))
    with torch.no_grad():
        for node in _needed(traced.graph.nodes, returned.values()):
            env[node] = _call(function.name, build, node, env)
    ports = [_port(env[node]) for node in entries]
    count = len(function.inputs)
    return Program(
        inputs=dict(zip(function.inputs, ports[:count], strict=True)),
        noise=tuple(
            Port(port.operand, port.shape, port.dtype, draw.kind)
            for port, draw in zip(ports[count:], function.draws, strict=True)
        ),
        outputs={name: _port(build.ref(env[node])) for name, node in returned.items()},
        constants=build.constants,
        steps=tuple(build.steps),
        values=build.values,
    )


def _constants(traced: Any) -> dict[Node, Any]:
    """The weights, buffers and other constants of the graph, by their nodes."""
    signature, state = traced.graph_signature, {**traced.state_dict, **traced.constants}
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {node: state[names[node.name]].detach() for node in traced.graph.nodes if node.name in names}


def _needed(nodes: Iterable[Node], returned: Iterable[Node]) -> list[Node]:
    """The operations that lead to what is returned, in their order: checks and the like do not."""
    used = set(returned)
    for node in reversed(list(nodes)):
        if node in used:
            used.update(node.all_input_nodes)
    return [node for node in nodes if node in used and node.op == "call_function"]


def _call(name: str, build: Builder, node: Node, env: dict[Node, Any]) -> Any:
    target: Any = node.target
    args: Any = map_arg(node.args, env.__getitem__)
    kwargs: Any = map_arg(node.kwargs, env.__getitem__)
    if target is operator.getitem:
        return args[0][args[1]]
    if torch.Tag.nondeterministic_seeded in target.tags:
        found = f"{name} with the random operation {target.overloadpacket.__name__}, whose noise is no input"
        raise SpecError(found=found, expected="draws by torch.rand, torch.randn and the like", do=DO)
    if not any(_unknown(env[of]) for of in node.all_input_nodes):
        return target(*args, **kwargs)
    operation = target.overloadpacket.__name__
    if operation in SAME:
        return args[0]
    if operation in VIEWS:
        return _view(build, target, *args, **kwargs)
    try:
        return RULES[operation](build, node.meta["val"], *args, **kwargs)
    except (KeyError, NotImplementedError) as error:
        found = f"{name} with the operation {error}, which the page cannot run"
        raise SpecError(found=found, expected="operations of the table in vaelab/explorer/rules.py", do=DO) from error


def _unknown(value: Any) -> bool:
    """Whether a value, or a part of it, is not known before the program runs."""
    return any(map(_unknown, value)) if isinstance(value, list | tuple) else isinstance(value, Ref)


def _view(build: Builder, target: Any, of: Ref, *args: Any, **kwargs: Any) -> Any:
    try:
        made = target(of.meta, *args, **kwargs)
    except RuntimeError:  # such a view of these strides does not exist: a copy without gaps has it
        of = copied(build, of)
        made = target(of.meta, *args, **kwargs)
    return Ref(of.value, made) if isinstance(made, Tensor) else [Ref(of.value, each) for each in made]


def _port(ref: Ref) -> Port:
    return Port(ref.operand, ref.shape, DTYPES[ref.dtype])
