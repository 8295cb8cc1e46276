# pyright: reportMissingImports=false
"""A GRU of PyTorch, and one of convolutions by hand: what they answer, a gradient."""

import torch


class ConvGRU(torch.nn.Module):
    def __init__(self, inputs, units):
        super().__init__()
        self.gates = torch.nn.Conv2d(inputs + units, 2 * units, 3, padding=1)
        self.candidate = torch.nn.Conv2d(inputs + units, units, 3, padding=1)

    def forward(self, xs):
        h = torch.zeros(1, self.candidate.out_channels, *xs.shape[2:])
        answers = []
        for x in xs:
            gates = torch.sigmoid(self.gates(torch.cat([x[None], h], 1)))
            reset, keep = gates.chunk(2, 1)
            new = torch.tanh(self.candidate(torch.cat([x[None], reset * h], 1)))
            h = (1 - keep) * new + keep * h
            answers.append(h[0])
        return torch.stack(answers)


def prepare(problem, network, dtype):
    torch.set_default_dtype(getattr(torch, dtype))
    xs = torch.tensor(problem["xs"])
    weights = {name: torch.tensor(w) for name, w in problem["weights"].items()}
    if network == "GRU":
        model = torch.nn.GRU(3, 16)
        model.load_state_dict(weights)
        ys, weight = model(xs)[0], model.weight_hh_l0
    else:
        model = ConvGRU(3, 8)
        model.load_state_dict(weights)
        ys, weight = model(xs), model.gates.weight
    ys.backward(torch.cos(ys.detach()))
    return {"agreed": {"ys": ys.tolist(), "slope": weight.grad.tolist()}}, None
