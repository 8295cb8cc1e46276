"""Networks in double precision beside PyTorch's with the same weights, untimed.

Compared are what they answer or the loss, and a gradient.
"""

import contextlib
import sys
from typing import Any

from benchmarks.measure import Peer, Side, apart

ASKED = 1e-6
HERE = "benchmarks.equality"
# What, our module, its peer, what both are told, what the peer is told beside.
CHECKS: tuple[tuple[str, str, str, dict[str, Any], dict[str, Any]], ...] = (
    ("LSTM", "benchmarks.recurrent", "recurrent_torch", {"form": "roll-out"}, {}),
    ("GRU", HERE, "gated_torch", {"network": "GRU"}, {}),
    ("ConvGRU", HERE, "gated_torch", {"network": "ConvGRU"}, {}),
    *(
        (
            network,
            "benchmarks.convolutional",
            "convolutional_torch",
            {"network": network, "work": "training"},
            {"form": "eager"},
        )
        for network in ("ConvLSTM", "UNet")
    ),
    (
        "transformer",
        "benchmarks.attention",
        "attention_torch",
        {"work": "training"},
        {},
    ),
)


def measure() -> list[dict[str, Any]]:
    """A row for each: the largest difference over the largest number."""
    rows = []
    for name, module, peer_module, told, beside in CHECKS:
        peer = Peer("PyTorch", peer_module)
        if reason := peer.missing():
            print(reason, file=sys.stderr)
            continue
        told = {**told, "dtype": "float64"}
        with contextlib.ExitStack() as stack:
            ours, theirs = (
                stack.enter_context(contextlib.closing(Side(*of, None)))
                for of in (
                    (module, sys.executable),
                    (f"benchmarks.peers.{peer.module}", peer.python),
                )
            )
            answer = ours.prepare(**told)
            other = theirs.prepare(problem=answer["problem"], **told, **beside)
        difference = apart(answer["agreed"], other["agreed"])
        rows.append({"what": name, "difference": difference, "asked": ASKED})
    return rows


def prepare(network, dtype):
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    import jax.numpy as jnp

    from tendency.networks import GRU
    from tendency.networks.maps import ConvGRU

    keys = jax.random.split(jax.random.key(0), 3)
    layer: Any
    slope: Any
    if network == "GRU":
        layer, shape = GRU(3, 16, key=keys[0]), (10, 3)
        start = layer.init()
    else:
        layer, shape = ConvGRU(3, 8, key=keys[0]), (6, 3, 12, 10)
        start = layer.init(shape[2:], jnp.dtype(dtype))
    xs = jax.random.normal(keys[1], shape)
    ys, back = jax.vjp(lambda layer: layer.scan(start, xs)[1], layer)
    (slope,) = back(jnp.cos(ys))
    if network == "GRU":
        nothing = jnp.zeros(32)
        weights = {
            "weight_ih_l0": layer.input_weight.T,
            "weight_hh_l0": layer.hidden_weight.T,
            "bias_ih_l0": layer.bias,
            "bias_hh_l0": jnp.concatenate([nothing, layer.held_bias]),
        }
        slope = slope.hidden_weight.T
    else:
        weights = {
            f"{name}.{kind}": array
            for name, part in (("gates", layer.gates), ("candidate", layer.candidate))
            for kind, array in (("weight", part.kernel), ("bias", part.bias))
        }
        slope = slope.gates.kernel
    weights = {name: array.tolist() for name, array in weights.items()}
    agreed = {"ys": ys.tolist(), "slope": slope.tolist()}
    return {"problem": {"xs": xs.tolist(), "weights": weights}, "agreed": agreed}, None
