"""Floor 1: the functions by which a generated module solves elliptic equations.

The same as those of `waves` and `iterations`, in the words of JAX and PyTorch; Keras
has no Fourier transform of a part of the axes.
"""

from collections.abc import Mapping

# What the function of an operation calls itself.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "sine": ("cosine", "alternating"),
    "sine_back": ("cosine_back", "alternating"),
}
SOLVERS = (
    "mean",
    "cosine",
    "cosine_back",
    "alternating",
    "sine",
    "sine_back",
    "fourier",
    "fourier_back",
    "eigenvalue",
    "solved",
)

_EIGENVALUE = '''
def eigenvalue(
    shape: tuple[int, ...],
    kind: str,
    points: int,
    halved: bool,
    weights: tuple[tuple[int, int], ...],
    dtype: {dtype},
) -> {array}:
    """A symmetric difference of each wave along an axis, over the wave."""
    k = np.arange(points) + (kind == "sine")
    if kind == "fourier":
        k = np.arange(points // 2 + 1) if halved else np.fft.fftfreq(points, 1 / points)
        k = 2 * k
    total = sum(w * np.cos(j * np.pi * k / points) for j, w in weights)
    return {made}
'''

JAX_SOLVERS: Mapping[str, str] = {
    "mean": '''
def mean(a: jax.Array, weights: jax.Array | None, dim: int) -> jax.Array:
    """Over the last axes, which stay as axes of one point."""
    if weights is None:
        return jnp.mean(a, axis=tuple(range(-dim, 0)), keepdims=True)
    return jnp.sum(weights * a, axis=tuple(range(-dim, 0)), keepdims=True)
''',
    "cosine": '''
def cosine(a: jax.Array, axis: int) -> jax.Array:
    """The sums of a_j cos(pi k (2 j + 1) / 2 n) along an axis."""
    a = jnp.moveaxis(a, axis, -1)
    n = a.shape[-1]
    folded = jnp.concatenate([a[..., ::2], a[..., 1::2][..., ::-1]], -1)
    hat = jnp.fft.rfft(folded)
    turn = np.exp(-0.5j * np.pi * np.arange(n // 2 + 1) / n)
    turn = turn.reshape((1,) * (a.ndim - 1) + (-1,))
    hat = hat * jnp.asarray(turn, hat.dtype)
    rest = -hat.imag[..., 1 : (n + 1) // 2][..., ::-1]
    return jnp.moveaxis(jnp.concatenate([hat.real, rest], -1), -1, axis)
''',
    "cosine_back": '''
def cosine_back(a: jax.Array, axis: int) -> jax.Array:
    """The values whose sums of cosines these are."""
    a = jnp.moveaxis(a, axis, -1)
    n = a.shape[-1]
    real = a[..., : n // 2 + 1]
    imaginary = a[..., (n + 1) // 2 :][..., ::-1]
    imaginary = jnp.concatenate([jnp.zeros_like(a[..., :1]), -imaginary], -1)
    hat = jax.lax.complex(real, imaginary)
    turn = np.exp(0.5j * np.pi * np.arange(n // 2 + 1) / n)
    turn = turn.reshape((1,) * (a.ndim - 1) + (-1,))
    folded = jnp.fft.irfft(hat * jnp.asarray(turn, hat.dtype), n)
    half = (n + 1) // 2
    even, odd = folded[..., :half], folded[..., half:][..., ::-1]
    if n % 2:
        odd = jnp.concatenate([odd, jnp.zeros_like(even[..., :1])], -1)
    both = jnp.stack([even, odd], -1).reshape(*a.shape[:-1], 2 * half)
    return jnp.moveaxis(both[..., :n], -1, axis)
''',
    "alternating": '''
def alternating(a: jax.Array, axis: int) -> jax.Array:
    """Every other value along an axis with the other sign."""
    signs = np.where(np.arange(a.shape[axis]) % 2, -1.0, 1.0)
    signs = signs.reshape((-1,) + (1,) * (-1 - axis))
    return a * jnp.asarray(signs.reshape((1,) * (a.ndim + axis) + signs.shape), a.dtype)
''',
    "sine": '''
def sine(a: jax.Array, axis: int) -> jax.Array:
    """The sums of a_j sin(pi k (2 j + 1) / 2 n) along an axis."""
    return jnp.flip(cosine(alternating(a, axis), axis), axis)
''',
    "sine_back": '''
def sine_back(a: jax.Array, axis: int) -> jax.Array:
    """The values whose sums of sines these are."""
    return alternating(cosine_back(jnp.flip(a, axis), axis), axis)
''',
    "fourier": '''
def fourier(a: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """The Fourier transform of a real array along some axes."""
    return jnp.fft.rfftn(a, axes=axes)
''',
    "fourier_back": '''
def fourier_back(
    a: jax.Array, shape: tuple[int, ...], axes: tuple[int, ...]
) -> jax.Array:
    """The real array whose Fourier transform it is."""
    return jnp.fft.irfftn(a, s=shape, axes=axes)
''',
    "eigenvalue": _EIGENVALUE.format(
        dtype="jnp.dtype",
        array="jax.Array",
        made="jnp.asarray(np.reshape(total, shape), dtype)",
    ),
    "solved": '''
def solved(
    operator: Callable[[jax.Array], jax.Array],
    right: jax.Array,
    water: jax.Array | None,
    symmetric: bool,
    singular: bool,
) -> jax.Array:
    """The x of operator(x) = right, by iterations; not a number if they fail."""
    wet = jnp.ones_like(right) if water is None else water

    def without_mean(a: jax.Array) -> jax.Array:
        return wet * (a - jnp.sum(wet * a) / jnp.sum(wet)) if singular else wet * a

    goal = without_mean(right)
    rounding = float(jnp.finfo(goal.dtype).eps)
    method = cg if symmetric else bicgstab
    x, _ = method(operator, goal, tol=100 * rounding, maxiter=10 * goal.size)
    left = jnp.linalg.norm(operator(x) - goal)
    arrived = left <= rounding**0.6 * jnp.linalg.norm(goal)
    return without_mean(x) * jnp.where(arrived, 1.0, jnp.nan).astype(x.dtype)
''',
}

TORCH_SOLVERS: Mapping[str, str] = {
    "mean": '''
def mean(a: torch.Tensor, weights: torch.Tensor | None, dim: int) -> torch.Tensor:
    """Over the last axes, which stay as axes of one point."""
    axes = tuple(range(-dim, 0))
    if weights is None:
        return torch.mean(a, dim=axes, keepdim=True)
    return torch.sum(weights * a, dim=axes, keepdim=True)
''',
    "cosine": '''
def cosine(a: torch.Tensor, axis: int) -> torch.Tensor:
    """The sums of a_j cos(pi k (2 j + 1) / 2 n) along an axis."""
    a = torch.movedim(a, axis, -1)
    n = a.shape[-1]
    folded = torch.cat([a[..., ::2], a[..., 1::2].flip(-1)], -1)
    hat = torch.fft.rfft(folded)
    turn = np.exp(-0.5j * np.pi * np.arange(n // 2 + 1) / n)
    hat = hat * torch.as_tensor(turn, dtype=hat.dtype)
    rest = -hat.imag[..., 1 : (n + 1) // 2].flip(-1)
    return torch.movedim(torch.cat([hat.real, rest], -1), -1, axis)
''',
    "cosine_back": '''
def cosine_back(a: torch.Tensor, axis: int) -> torch.Tensor:
    """The values whose sums of cosines these are."""
    a = torch.movedim(a, axis, -1)
    n = a.shape[-1]
    real = a[..., : n // 2 + 1].contiguous()
    imaginary = a[..., (n + 1) // 2 :].flip(-1)
    imaginary = torch.cat([torch.zeros_like(a[..., :1]), -imaginary], -1)
    hat = torch.complex(real, imaginary)
    turn = np.exp(0.5j * np.pi * np.arange(n // 2 + 1) / n)
    folded = torch.fft.irfft(hat * torch.as_tensor(turn, dtype=hat.dtype), n)
    half = (n + 1) // 2
    even, odd = folded[..., :half], folded[..., half:].flip(-1)
    if n % 2:
        odd = torch.cat([odd, torch.zeros_like(even[..., :1])], -1)
    both = torch.stack([even, odd], -1).reshape(*a.shape[:-1], 2 * half)
    return torch.movedim(both[..., :n], -1, axis)
''',
    "alternating": '''
def alternating(a: torch.Tensor, axis: int) -> torch.Tensor:
    """Every other value along an axis with the other sign."""
    signs = np.where(np.arange(a.shape[axis]) % 2, -1.0, 1.0)
    signs = signs.reshape((-1,) + (1,) * (-1 - axis))
    return a * torch.as_tensor(signs, dtype=a.dtype)
''',
    "sine": '''
def sine(a: torch.Tensor, axis: int) -> torch.Tensor:
    """The sums of a_j sin(pi k (2 j + 1) / 2 n) along an axis."""
    return torch.flip(cosine(alternating(a, axis), axis), (axis,))
''',
    "sine_back": '''
def sine_back(a: torch.Tensor, axis: int) -> torch.Tensor:
    """The values whose sums of sines these are."""
    return alternating(cosine_back(torch.flip(a, (axis,)), axis), axis)
''',
    "fourier": '''
def fourier(a: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """The Fourier transform of a real array along some axes."""
    return torch.fft.rfftn(a, dim=axes)
''',
    "fourier_back": '''
def fourier_back(
    a: torch.Tensor, shape: tuple[int, ...], axes: tuple[int, ...]
) -> torch.Tensor:
    """The real array whose Fourier transform it is."""
    return torch.fft.irfftn(a, s=shape, dim=axes)
''',
    "eigenvalue": _EIGENVALUE.format(
        dtype="torch.dtype",
        array="torch.Tensor",
        made="torch.as_tensor(np.reshape(total, shape), dtype=dtype)",
    ),
    "solved": '''
def solved(
    operator: Callable[[torch.Tensor], torch.Tensor],
    right: torch.Tensor,
    water: torch.Tensor | None,
    symmetric: bool,
    singular: bool,
) -> torch.Tensor:
    """The x of operator(x) = right, by conjugate gradients."""
    wet = torch.ones_like(right) if water is None else water

    def without_mean(a: torch.Tensor) -> torch.Tensor:
        return wet * (a - torch.sum(wet * a) / torch.sum(wet)) if singular else wet * a

    left = without_mean(right)
    x, direction = torch.zeros_like(left), left
    size = torch.sum(left * left)
    least = (100 * torch.finfo(left.dtype).eps) ** 2 * size
    for _ in range(10 * left.numel()):
        if size <= least:
            return without_mean(x)
        moved = operator(direction)
        length = size / torch.sum(direction * moved)
        x, left = x + length * direction, left - length * moved
        before, size = size, torch.sum(left * left)
        direction = left + size / before * direction
    raise ArithmeticError("the iterations do not arrive at a solution")
''',
}
