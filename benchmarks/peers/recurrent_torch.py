# pyright: reportMissingImports=false
"""The training step of an LSTM in PyTorch: what is read, in one call of its layer."""

import torch

READ = 20


class Forecaster(torch.nn.Module):
    def __init__(self, units, change):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, units)
        self.readout = torch.nn.Linear(units, 3)
        self.change = change

    def forward(self, states, told):
        """What is told after each state read or, where asked, after the last."""
        hs, hidden = self.lstm(states)
        if not told:
            return states + self.change * self.readout(hs)
        state = states[-1] + self.change * self.readout(hs[-1])
        answers = [state]
        for _ in range(told - 1):
            h, hidden = self.lstm(state[None], hidden)
            state = state + self.change * self.readout(h[0])
            answers.append(state)
        return torch.stack(answers)


def prepare(problem, form, dtype):
    torch.set_default_dtype(getattr(torch, dtype))
    told = 8 if form == "roll-out" else 0
    states = torch.tensor(problem["states"])
    windows = states.unfold(0, READ + max(told, 1), 1).permute(2, 0, 1).contiguous()
    weights = {name: torch.tensor(w) for name, w in problem["weights"].items()}
    change = torch.tensor(problem["change"])
    model = Forecaster(len(weights["lstm.bias_ih_l0"]) // 4, change)
    model.load_state_dict(weights)

    def loss(batch):
        targets = batch[READ:] if told else batch[1:]
        return torch.mean((model(batch[:READ], told) - targets) ** 2)

    value = loss(windows[:, :32])
    value.backward()
    agreed = {"loss": value.item(), "slope": model.lstm.weight_hh_l0.grad.tolist()}
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    order = torch.arange(0)

    def run(times):
        nonlocal order
        for _ in range(times):
            if len(order) < 32:
                order = torch.randperm(windows.shape[1])
            index, order = order[:32], order[32:]
            optimiser.zero_grad()
            loss(windows[:, index]).backward()
            optimiser.step()

    return {"agreed": agreed}, run
