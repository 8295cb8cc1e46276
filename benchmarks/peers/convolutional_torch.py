# pyright: reportMissingImports=false
"""A UNet and a ConvLSTM in PyTorch, trained and told on from the same weights."""

import torch
from torch.nn import functional

NETWORKS = {"UNet": (2, 1), "ConvLSTM": (6, 4)}  # states read, states told
BATCH, TOLD = 8, 10


class Pair(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = torch.nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = torch.nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x):
        x = functional.gelu(self.first(x), approximate="tanh")
        return functional.gelu(self.second(x), approximate="tanh")


class UNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        sizes = [(5, 16), (16, 32), (32, 64), (96, 32), (48, 16)]
        self.pairs = torch.nn.ModuleList([Pair(*size) for size in sizes])
        self.head = torch.nn.Conv2d(16, 2, 1)

    def forward(self, states, told):
        """`told` states after those of (time, batch, channel, row, column)."""
        before, now = states
        here = torch.ones_like(now[:, :1])
        answers = []
        for _ in range(told):
            x = self.maps(torch.cat([before, now, here], 1))
            before, now = now, now + x
            answers.append(now)
        return torch.stack(answers)

    def maps(self, x):
        fine = self.pairs[0](x)
        middle = self.pairs[1](functional.avg_pool2d(fine, 2))
        x = self.pairs[2](functional.avg_pool2d(middle, 2))
        for pair, kept in ((self.pairs[3], middle), (self.pairs[4], fine)):
            x = pair(torch.cat([functional.interpolate(x, scale_factor=2), kept], 1))
        return self.head(x)


class ConvLSTM(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gates = torch.nn.Conv2d(35, 128, 3, padding=1)
        self.head = torch.nn.Conv2d(32, 2, 3, padding=1)

    def forward(self, states, told):
        here = torch.ones_like(states[0][:, :1])
        h = c = here.expand(-1, 32, -1, -1) * 0
        answers = []
        for step in range(len(states) + told - 1):
            state = states[step] if step < len(states) else answers[-1]
            gates = self.gates(torch.cat([state, here, h], 1))
            i, f, g, o = gates.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            if step >= len(states) - 1:
                answers.append(state + self.head(h))
        return torch.stack(answers)


def prepare(problem, network, work, form, dtype="float32"):
    torch.set_default_dtype(getattr(torch, dtype))
    read, told = NETWORKS[network]
    last = form == "channels last"
    states = torch.tensor(problem["states"])
    model = {"UNet": UNet, "ConvLSTM": ConvLSTM}[network]()
    weights = {name: torch.tensor(w) for name, w in problem["weights"].items()}
    model.load_state_dict(weights)
    if last:
        states = states.contiguous(memory_format=torch.channels_last)
        model = model.to(memory_format=torch.channels_last)
    count = len(states) - read - told + 1

    def batch(index, length):
        """(time, batch, channel, row, column)"""
        return [states[index + time] for time in range(length)]

    if work == "forecast":
        past = batch(torch.arange(BATCH), read)

        def tell(times):
            with torch.inference_mode():
                for _ in range(times):
                    answer = model(past, TOLD)
            return answer

        return {"agreed": {"first": tell(1)[0].tolist()}, "work": TOLD}, tell

    def loss(index):
        window = batch(index, read + told)
        answers = model(window[:read], told)
        return torch.mean((answers - torch.stack(window[read:])) ** 2)

    value = loss(torch.arange(BATCH))
    value.backward()
    agreed = {"loss": value.item(), "slope": model.head.weight.grad.tolist()}
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    order = torch.arange(0)

    def run(times):
        nonlocal order
        for _ in range(times):
            if len(order) < BATCH:
                order = torch.randperm(count)
            index, order = order[:BATCH], order[BATCH:]
            optimiser.zero_grad()
            loss(index).backward()
            optimiser.step()

    return {"agreed": agreed}, run
