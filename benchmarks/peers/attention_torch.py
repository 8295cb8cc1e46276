# pyright: reportMissingImports=false
"""`torch.nn.Transformer`, trained, and asked token by token with what it told kept."""

import warnings

import torch
from torch.nn import functional

PAIRS, TOLD, HEADS = 64, 24, 4
BEGIN = 1


class Translator(torch.nn.Module):
    def __init__(self, problem):
        super().__init__()
        embedding = torch.tensor(problem["embedding"])
        size = embedding.shape[1]
        depth = 1 + max(
            int(name.split(".")[2]) for name in problem["weights"] if "layers" in name
        )
        with (
            warnings.catch_warnings()
        ):  # of nested tensors, which are for the other order
            warnings.simplefilter("ignore")
            self.stacks = torch.nn.Transformer(
                size, HEADS, depth, depth, 4 * size, 0.0, batch_first=True,
                norm_first=True,
            )  # fmt: skip
        weights = {name: torch.tensor(w) for name, w in problem["weights"].items()}
        self.stacks.load_state_dict(weights)
        self.embedding = torch.nn.Parameter(embedding)
        self.bias = torch.nn.Parameter(torch.tensor(problem["bias"]))
        self.register_buffer("waves", torch.tensor(problem["waves"]))
        self.scale = size**0.5

    def placed(self, tokens, first=0):
        waves = self.waves[first : first + tokens.shape[1]]
        return functional.embedding(tokens, self.embedding) * self.scale + waves

    def forward(self, source, given):
        mask = self.stacks.generate_square_subsequent_mask(given.shape[1])
        told = self.stacks(
            self.placed(source), self.placed(given), tgt_mask=mask, tgt_is_causal=True
        )
        return functional.linear(told, self.embedding, self.bias)

    def greedy(self, source, length):
        memory = self.stacks.encoder(self.placed(source))
        layers = self.stacks.decoder.layers
        known = [self.keys_values(layer.multihead_attn, memory) for layer in layers]
        kept = [None] * len(layers)
        token = torch.full((len(source), 1), BEGIN)
        told = []
        for index in range(length):
            x = self.placed(token, index)
            for i, layer in enumerate(layers):
                own = layer.norm1(x)
                new = self.keys_values(layer.self_attn, own)
                if kept[i] is not None:
                    pairs = zip(kept[i], new, strict=True)
                    new = tuple(torch.cat(pair, 2) for pair in pairs)
                kept[i] = new
                x = x + self.read(layer.self_attn, own, *new)
                x = x + self.read(layer.multihead_attn, layer.norm2(x), *known[i])
                hidden = functional.relu(layer.linear1(layer.norm3(x)))
                x = x + layer.linear2(hidden)
            x = self.stacks.decoder.norm(x)
            logits = functional.linear(x, self.embedding, self.bias)
            logits[..., :2] = -torch.inf
            token = logits.argmax(-1)
            told.append(token)
        return torch.cat(told, 1)

    def keys_values(self, attention, memory):
        size = memory.shape[-1]
        weight, bias = attention.in_proj_weight[size:], attention.in_proj_bias[size:]
        both = functional.linear(memory, weight, bias)
        return tuple(self.split(part) for part in both.chunk(2, -1))

    def read(self, attention, x, keys, values):
        size = x.shape[-1]
        weight, bias = attention.in_proj_weight[:size], attention.in_proj_bias[:size]
        query = self.split(functional.linear(x, weight, bias))
        y = functional.scaled_dot_product_attention(query, keys, values)
        return attention.out_proj(y.transpose(1, 2).flatten(2))

    def split(self, x):
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def prepare(problem, work, sentences=PAIRS, dtype="float32"):
    torch.set_default_dtype(getattr(torch, dtype))
    model = Translator(problem)
    source, target = (torch.tensor(problem[name]) for name in ("source", "target"))
    if work == "greedy":
        model.eval()

        def tell(times):
            with torch.inference_mode():
                for _ in range(times):
                    told = model.greedy(source[:sentences], TOLD)
            return told

        return {"agreed": tell(1).tolist()}, tell

    def loss(index):
        logits = model(source[index], target[index, :-1])
        return functional.cross_entropy(
            logits.flatten(0, 1), target[index, 1:].flatten()
        )

    value = loss(torch.arange(PAIRS))
    value.backward()
    size = model.embedding.shape[1]
    slope = model.stacks.encoder.layers[0].self_attn.in_proj_weight.grad[:size]
    agreed = {"loss": value.item(), "slope": slope.tolist()}
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    order = torch.arange(0)

    def run(times):
        nonlocal order
        for _ in range(times):
            if len(order) < PAIRS:
                order = torch.randperm(len(source))
            index, order = order[:PAIRS], order[PAIRS:]
            optimiser.zero_grad()
            loss(index).backward()
            optimiser.step()

    return {"agreed": agreed}, run
