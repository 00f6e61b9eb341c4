"""The drawing of the tape: its boxes and arrows are the operations and arguments that backward() walks through."""

import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import minidiff as md
from minidiff import functional as F
from minidiff.engine.node import Node
from minidiff.nn import Linear, Module

BOX = re.compile(r'^  n(\d+) \[label="(.*?)\\n(.*?)", tooltip="(.*?)", fillcolor="(.*?)"', re.MULTILINE)
ARROW = re.compile(r'^  n(\d+) -> n(\d+) \[label="(.*?)"\]', re.MULTILINE)
GREEN, YELLOW = "#d8ecd9", "#fbefc9"


class Net(Module):
    def __init__(self):
        self.lin1 = Linear(2, 3, rng=md.RNG(0))
        self.lin2 = Linear(3, 1, rng=md.RNG(1))

    def forward(self, x):
        return self.lin2(F.swish(self.lin1(x)))


def leaf(*shape):
    return md.Tensor(np.ones(shape, np.float32), requires_grad=True)


def read(graph):
    """{box: (label, shape)}, [(from, argument, to)] by labels."""
    boxes = {number: (label, shape) for number, label, shape, _, _ in BOX.findall(graph.dot)}
    arrows = [(boxes[start][0], argument, boxes[end][0]) for start, end, argument in ARROW.findall(graph.dot)]
    return boxes, arrows


def test_operations_shapes_arguments_and_parameters_by_name():
    w, b = leaf(4, 3), leaf(3)
    graph = md.draw_graph(((leaf(8, 4) @ w + b) ** 2).mean(), {"w": w, "b": b})
    boxes, arrows = read(graph)
    assert sorted(boxes.values()) == sorted([
        ("w", "4 x 3"), ("b", "3"), ("leaf", "8 x 4"), ("matmul", "8 x 3"), ("add", "8 x 3"), ("power", "8 x 3"), ("mean", "a number"),
    ])  # fmt: skip
    assert sorted(arrows) == sorted([
        ("leaf", "x", "matmul"), ("w", "y", "matmul"), ("matmul", "x", "add"), ("b", "y", "add"), ("add", "x", "power"), ("power", "x", "mean"),
    ])  # fmt: skip
    assert (graph.operations, graph.leaves) == (4, 3) and repr(graph).startswith("Graph(4 operations, 3 leaves;")
    fills = {label: fill for _, label, _, _, fill in BOX.findall(graph.dot)}
    assert fills["w"] == fills["b"] == GREEN and fills["leaf"] == YELLOW
    line = next(tip for _, label, _, tip, _ in BOX.findall(graph.dot) if label == "mean")
    assert re.fullmatch(r".*test_draw_graph\.py:\d+", line)


def test_every_operation_that_backward_runs_is_drawn_once_and_no_other(monkeypatch):
    model, x = Net(), np.ones((5, 2), np.float32)
    loss = F.mse_loss(model(md.Tensor(x)), np.zeros((5, 1), np.float32))
    graph = md.draw_graph(loss, model)
    ran = []
    original = Node.input_gradients
    monkeypatch.setattr(Node, "input_gradients", lambda node, *rest: ran.append(node.operation.name) or original(node, *rest))
    loss.backward()
    boxes, _ = read(graph)
    named = {name for name, _ in model.named_parameters()}
    drawn = [label for label, _ in boxes.values() if label not in named]
    assert sorted(drawn) == sorted(ran)
    assert {label for label, _ in boxes.values()} >= named and graph.leaves == len(named)
    assert dict(boxes.values())["lin1.weight"] == "3 x 2"


def test_what_is_used_twice_is_one_box_with_two_arrows():
    x = leaf(2)
    _, arrows = read(md.draw_graph((x * x).sum(), {"x": x}))
    assert arrows == [("x", "x", "multiply"), ("x", "y", "multiply"), ("multiply", "x", "sum")]


def test_items_of_a_list_are_numbered_and_names_are_escaped():
    a, b = leaf(1), leaf(2)
    graph = md.draw_graph(F.concatenate([a, b], 0), {'a "quoted" \\ name': a, "b": b})
    assert 'a \\"quoted\\" \\\\ name' in graph.dot
    assert {argument for _, _, argument in ARROW.findall(graph.dot)} == {"tensors[0]", "tensors[1]"}


def test_a_leaf_alone_and_a_tape_as_deep_as_a_long_training():
    x = leaf(3)
    assert (md.draw_graph(x).operations, md.draw_graph(x).leaves) == (0, 1)
    y = x
    for _ in range(5000):
        y = y + x
    assert md.draw_graph(y).operations == 5000


def test_what_is_on_no_tape_is_refused():
    x = leaf(2)
    with pytest.raises(TypeError, match="draw_graph: result must be a Tensor, got ndarray"):
        md.draw_graph(np.ones(2))
    with pytest.raises(ValueError, match=r"result must be on the tape, .*, or it was computed inside no_grad\(\)"):
        with md.no_grad():
            md.draw_graph(x * x)
    with pytest.raises(TypeError, match=r"parameters must be a module or \{name: tensor\}, got list"):
        md.draw_graph((x * x).sum(), [x])
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(ValueError, match=r"the tape of sum was freed by an earlier backward\(\): draw before it"):
        md.draw_graph(loss)
    again = (x * x).sum()
    again.backward(retain_graph=True)
    assert md.draw_graph(again).operations == 2


def test_text_needs_no_library_and_pictures_say_what_they_need(tmp_path, monkeypatch):
    x = leaf(2)
    graph = md.draw_graph((x * x).sum())
    monkeypatch.setitem(sys.modules, "graphviz", None)
    graph.save(tmp_path / "tape.dot")
    assert (tmp_path / "tape.dot").read_text() == graph.dot
    with pytest.raises(RuntimeError, match=r'wants the package graphviz \(pip install "minidiff\[graph\]"\) and Graphviz\' program dot; a .dot file needs neither'):
        graph.save(tmp_path / "tape.svg")
    with pytest.raises(ValueError, match="path must end in .dot, .gv, .svg, .png, .pdf, got 'tape.jpg'"):
        graph.save(tmp_path / "tape.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["tape.dot"]
    assert graph._repr_svg_() is None


def test_without_the_program_dot_it_says_so(monkeypatch):
    pytest.importorskip("graphviz", reason="pip install minidiff[graph]")
    x = leaf(2)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="and Graphviz' program dot"):
        md.draw_graph((x * x).sum()).draw()


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz' program dot")
def test_the_picture_shows_the_names(tmp_path):
    pytest.importorskip("graphviz", reason="pip install minidiff[graph]")
    model = Net()
    graph = md.draw_graph(F.mse_loss(model(np.ones((5, 2), np.float32)), np.zeros((5, 1), np.float32)), model)
    graph.save(tmp_path / "tape.svg")
    picture = ElementTree.parse(tmp_path / "tape.svg")
    words = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"lin1.weight", "lin2.bias", "swish", "mse_loss", "3 x 2", "a number"} <= words
    assert graph._repr_svg_().startswith("<?xml")
