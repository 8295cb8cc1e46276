# pyright: reportMissingImports=false
"""The training step of the bilinear model in PyTorch, eager or compiled."""

import torch

from benchmarks.peers.bilinear_torch import bilinear, rk4_step


def prepare(problem, compiled):
    states = torch.tensor(problem["states"])
    windows = states.unfold(0, 6, 1).permute(2, 0, 1).contiguous()  # time first
    model = bilinear(problem["weights"])

    def rollout_loss(batch):
        state, loss = batch[0], 0.0
        for target in batch[1:]:
            state = rk4_step(model, state, 0.01)
            loss = loss + torch.mean((state - target) ** 2)
        return loss / 5

    loss = torch.compile(rollout_loss) if compiled else rollout_loss
    loss(windows[:, :32]).backward()
    agreed = {
        "loss": loss(windows[:, :32]).item(),
        "slope": model.left.weight.grad.T.tolist(),
    }
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True)
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
