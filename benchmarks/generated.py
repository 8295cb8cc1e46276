"""Models generated from symbolic equations, step by step."""

from benchmarks.measure import Case, Peer

STEPS = 2_000
_HAND = "stencils_jax"
_NET = "stencils_pdenetgen"
_HANDS = (Peer("JAX by hand", _HAND, asked=0.9),)
_NETS = (
    Peer("PDE-NetGen, XLA", _NET, asked=25.0, environment=".keras"),
    Peer("PDE-NetGen, XLA, looped", _NET, {"looped": True}, environment=".keras"),
)


def _both(name: str, model: str, points: int = 241, peers=_HANDS) -> tuple[Case, Case]:
    """Alone, and 64 members together."""
    setting = {"model": model, "points": points}
    more = {**setting, "members": 64}
    return (
        Case(name, "step", peers, setting, tolerance=1e-10),
        Case(f"{name}, 64 members", "step", peers, more, tolerance=1e-10),
    )


CASES = (
    *_both("Burgers, 241 points", "burgers", peers=(*_HANDS, *_NETS)),
    *_both("mean, variance, aspect, 241 points", "moments"),
    *_both("diffusion, 100 x 100", "diffusion", 100),
    Case(
        "diffusion, 256 x 256",
        "step",
        (
            Peer("JAX by hand", _HAND, asked=0.9),
            Peer("py-pde, numba", "stencils_pypde", asked=3.0),
        ),
        {"model": "diffusion", "points": 256},
        tolerance=1e-10,
    ),
    Case(
        "two-layer QG, 128 x 128, AB3",
        "step",
        (
            Peer("pyqg-jax", "layers_pyqg_jax", asked=4.0),
            Peer("pyqg, FFTW", "layers_pyqg", asked=1.8, environment=".pyqg"),
        ),
        {"model": "layers", "points": 128},
        tolerance=1e-6,
    ),
)
MOMENTS = (
    "d_t u = kappa*d_xx u - u*d_x u - d_x V/2",
    "d_t V = -kappa*V/nu + kappa*d_xx V - kappa*(d_x V)**2/(2*V) - u*d_x V - 2*V*d_x u",
    "d_t nu = 4*kappa*nu**2*(d_xx nu/nu**2 + 3/(4*nu**2) - 2*(d_x nu)**2/nu**3)"
    " - 3*kappa*d_xx nu - kappa + 6*kappa*(d_x nu)**2/nu - 2*kappa*nu*d_xx V/V"
    " + kappa*d_x V*d_x nu/V + 2*kappa*nu*(d_x V)**2/V**2 - u*d_x nu + 2*nu*d_x u",
)


def prepare(model, members=1, points=241):
    import jax
    import jax.numpy as jnp
    import numpy as np

    import tendency
    from tendency.grid import Axis, Grid
    from tendency.symbolic.fourier import InFourierSpace, small_scale_filter
    from tendency.symbolic.generated import generate
    from tendency.symbolic.spectral import Spectral
    from tendency.symbolic.system import System

    jax.config.update("jax_enable_x64", True)
    x = np.arange(points) / points
    u = (1 + np.cos(2 * np.pi * (x - 1 / 4))) / 4
    line = Grid.of(Axis("x", points))
    viscosity = {"kappa": 0.0025}
    steps = STEPS
    if model == "burgers":
        equation = "d_t u = kappa*d_xx u - u*d_x u"
        system = System.of([equation], coordinates="x", parameters=viscosity)
        cell = tendency.Integrated(generate(system, line), dt=1e-4)
        start = {"u": u}
    elif model == "moments":
        system = System.of(MOMENTS, coordinates="x", parameters=viscosity)
        cell = tendency.Integrated(generate(system, line), dt=1e-4)
        start = {"u": u, "V": 0 * u + 2.5e-5, "nu": 0 * u + 2e-4}
    elif model == "diffusion":
        plane = Grid.of(Axis("x", points), Axis("y", points))
        equation = "d_t u = kappa*(d_xx u + d_yy u)"
        system = System.of([equation], coordinates="xy", parameters=viscosity)
        cell = tendency.Integrated(generate(system, plane), dt=1e-4)
        start = {"u": np.random.default_rng(0).random((points, points))}
        steps = 20 if members > 1 else 200
    else:
        from tendency.physics.quasigeostrophic import two_layer_quasigeostrophic

        system = two_layer_quasigeostrophic()
        length = 1.28e6
        plane = Grid.of(*(Axis(c, points, 0.0, length) for c in ("y", "x")))
        cell = InFourierSpace(
            generate(system, plane, Spectral(dealias=False)),
            2400.0,
            tendency.adams_bashforth3,
            tendency.Constant(small_scale_filter(plane)),
        )
        start = layers(points)
        steps = 100
    initial = {k: jnp.asarray(v) for k, v in start.items()}
    if members > 1:
        initial = {
            k: jnp.broadcast_to(v, (members, *v.shape)) for k, v in initial.items()
        }

    def one(state, count):
        return tendency.forecast(cell, cell.init(state), count, every=count)[0].state

    several = (lambda s, n: jax.vmap(lambda x: one(x, n))(s)) if members > 1 else one
    forward = jax.jit(several, static_argnums=1)

    def run(times):
        for _ in range(times):
            jax.block_until_ready(forward(initial, steps))

    found = forward(initial, 10)
    agreed = {k: np.ravel(v).tolist() for k, v in found.items()}
    problem: dict = {"start": {k: np.asarray(v).tolist() for k, v in start.items()}}
    problem["steps"] = steps
    return {"problem": problem, "agreed": agreed, "work": steps}, run


def layers(points):
    """Smooth potential vorticity of two layers, from a fixed seed [1 / s]."""
    import numpy as np

    rng = np.random.default_rng(0)
    k = np.fft.fftfreq(points, 1 / points)
    low = np.hypot(k[:, None], k[None, : points // 2 + 1]) < points / 8
    hats = np.fft.rfft2(rng.standard_normal((2, points, points))) * low
    hats[:, 0, 0] = 0
    return dict(zip(("q1", "q2"), 1e-6 * np.fft.irfft2(hats), strict=True))
