"""Floor 1: physical models, each a tendency in a file of its own."""

from tendency.physics.lorenz63 import Lorenz63 as Lorenz63
from tendency.physics.lorenz96 import Lorenz96 as Lorenz96
