# pyright: reportMissingImports=false
"""The bilinear model and the Runge-Kutta step, as they are written in PyTorch."""

import torch


class Bilinear(torch.nn.Module):
    def __init__(self, size, products):
        super().__init__()
        self.linear = torch.nn.Linear(size, size)
        self.left = torch.nn.Linear(size, products)
        self.right = torch.nn.Linear(size, products)
        self.mixing = torch.nn.Linear(products, size, bias=False)

    def forward(self, state):
        return self.linear(state) + self.mixing(self.left(state) * self.right(state))


def bilinear(weights):
    """The model with the weights given, inputs first."""
    arrays = {name: torch.tensor(value) for name, value in weights.items()}
    arrays["mixing.weight"] = arrays.pop("mixing")
    model = Bilinear(*arrays["left.weight"].shape)
    model.load_state_dict({k: a.T if a.ndim == 2 else a for k, a in arrays.items()})
    return model


def rk4_step(tendency, state, dt):
    k1 = tendency(state)
    k2 = tendency(state + dt / 2 * k1)
    k3 = tendency(state + dt / 2 * k2)
    k4 = tendency(state + dt * k3)
    return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
