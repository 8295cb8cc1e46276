# pyright: reportMissingImports=false
"""The roll-out in PyTorch: a loop over Runge-Kutta steps, or torchdiffeq's."""

import torch
from torchdiffeq import odeint

from benchmarks.peers.bilinear_torch import bilinear, rk4_step

STEPS = 100


def prepare(problem, by):
    model = bilinear(problem["weights"])
    start = torch.tensor(problem["start"])
    times = 0.01 * torch.arange(STEPS + 1)

    def by_hand(state):
        states = []
        for _ in range(STEPS):
            state = rk4_step(model, state, 0.01)
            states.append(state)
        return torch.stack(states)

    def by_torchdiffeq(state):  # the 3/8 rule, which differs by what is of fifth order
        return odeint(lambda t, x: model(x), state, times, method="rk4")[1:]

    advance = by_hand if by == "hand" else by_torchdiffeq
    advance = torch.no_grad()(advance)

    def run(repeated):
        state = start
        for _ in range(repeated):
            state = advance(state)[-1]

    return {"agreed": {"state": advance(start).tolist()}, "work": STEPS}, run
