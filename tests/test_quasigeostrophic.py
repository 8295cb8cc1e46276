"""The two-layer model: its tendency beside pyqg-jax, the memory of its gradients."""

import json

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from support import child

from tendency.studies.quasigeostrophic.setting import MIDLAT, model

# In programs of their own: pyqg-jax knows no strict promotion, and memory is that of a
# program compiled as ever, with all optimisations.
PEER = """
import json, sys
import jax.numpy as jnp
import pyqg_jax
parameters, states = json.loads(sys.argv[1])
points = len(states[0][0])
layers = pyqg_jax.qg_model.QGModel(
    nx=points, ny=points, precision=pyqg_jax.state.Precision.DOUBLE, **parameters
)
start = layers.create_initial_state(jax.random.key(0))
found = [layers.get_updates(start.update(q=jnp.asarray(q))).q for q in states]
print(json.dumps([q.tolist() for q in found]))
"""
GRADIENT = """
import json
import jax.numpy as jnp
from tendency import forecast
from tendency.studies.quasigeostrophic.setting import model, noise
cell, found = model(128), {}
def enstrophy(state):
    carry = cell.init(state)
    end, _ = forecast(cell, carry, 1000, save=lambda c: None, checkpoint=True)
    return sum(jnp.sum(q**2) for q in end.state.values())
for dtype in ("float32", "float64"):
    start = jax.tree.map(lambda x: x.astype(dtype), noise(128, jax.random.key(0)))
    compiled = jax.jit(jax.grad(enstrophy)).lower(start).compile()
    found[dtype] = compiled.memory_analysis().temp_size_in_bytes
print(json.dumps(found))
"""


def printed(program):
    out, err = program.communicate()
    assert program.returncode == 0, err
    return json.loads(out)


def smooth(points, seed):
    """Random waves of five wavelengths a side at most, in both layers [1 / s]."""
    rng = np.random.default_rng(seed)
    k = np.abs(np.fft.fftfreq(points, 1 / points))
    white = np.fft.fft2(rng.normal(size=(2, points, points)))
    return 1e-5 * np.fft.ifft2(np.where(np.maximum(k, k[:, None]) < 6, white, 0)).real


def test_the_tendency_is_that_of_pyqg_jax():
    """On smooth random states; scaled by the largest rate of each layer."""
    parameters = {
        "L": MIDLAT.length,
        "W": MIDLAT.length,
        "rd": MIDLAT.deformation_radius,
        "delta": MIDLAT.thickness_ratio,
        "U1": MIDLAT.shear,
        "U2": 0.0,
        "beta": MIDLAT.beta,
        "rek": MIDLAT.bottom_drag,
    }
    states = [smooth(24, seed) for seed in range(3)]
    peer = child(PEER, json.dumps([parameters, [q.tolist() for q in states]]))
    tendency = eqx.filter_jit(model(24).tendency)
    for q, theirs in zip(states, printed(peer), strict=True):
        ours = tendency({"q1": jnp.asarray(q[0]), "q2": jnp.asarray(q[1])})
        for name, expected in zip(("q1", "q2"), theirs, strict=True):
            scale = np.abs(expected).max()
            assert np.abs(ours[name] - np.asarray(expected)).max() < 1e-12 * scale


def test_a_gradient_of_a_thousand_steps_takes_less_than_20_mib():
    """Of `midlat` on 128 x 128 points, in both precisions."""
    found = printed(child(GRADIENT, JAX_DISABLE_MOST_OPTIMIZATIONS="0"))
    assert found["float64"] < 20 * 2**20
    assert found["float32"] < 10 * 2**20
