"""Rows for the recurrent layers and cells, which PyTorch's table of ops lacks."""

import torch

from conformance.rows import ROWS, Row, Sample

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def weights(make, gates, inputs, hidden, layers, directions, biases, projection=0):
    params, width = [], projection or hidden
    for layer in range(layers):
        size = inputs if layer == 0 else width * directions
        for _ in range(directions):
            params += [make(gates * hidden, size), make(gates * hidden, width)]
            params += [make(gates * hidden), make(gates * hidden)] if biases else []
            params += [make(projection, hidden)] if projection else []
    return params


def states(name, make, layers, batch, hidden, projection=0):
    h = make(layers, batch, projection or hidden)
    return [h, make(layers, batch, hidden)] if name == "lstm" else h


def layer_samples(name):
    gates = GATES[name]

    def of(make):
        for batch, inputs, hidden, layers, both, biases, first in (
            (2, 3, 4, 1, False, True, False), (1, 5, 17, 2, True, True, True),
            (3, 2, 5, 2, True, False, False)):
            directions = 2 if both else 1
            x = make(batch, 4, inputs) if first else make(4, batch, inputs)
            params = weights(make, gates, inputs, hidden, layers, directions, biases)
            hx = states(name, make, layers * directions, batch, hidden)
            yield Sample(x, (hx, params, biases, layers, 0.0, False, both, first))
        sizes = torch.tensor([3, 3, 2, 1])
        params = weights(make, gates, 3, 4, 1, 2, True)
        hx = states(name, make, 2, 3, 4)
        yield Sample(make(9, 3), (sizes, hx, params, True, 1, 0.0, False, True))
        if name == "lstm":
            params = weights(make, gates, 3, 4, 1, 1, True, projection=2)
            hx = states(name, make, 1, 2, 4, projection=2)
            yield Sample(make(4, 2, 3), (hx, params, True, 1, 0.0, False, False, False))

    return of


def cell_samples(name):
    def of(make):
        for batch, biases in ((2, True), (1, False), (5, True)):
            h = make(batch, 4)
            hx = [h, make(batch, 4)] if name == "lstm" else h
            params = weights(make, GATES[name], 3, 4, 1, 1, biases)
            yield Sample(make(batch, 3), (hx, *params))

    return of


ROWS += [Row(name, getattr(torch, name), layer_samples(name)) for name in GATES]
ROWS += [Row(f"{name}_cell", getattr(torch, f"{name}_cell"), cell_samples(name)) for name in GATES]
