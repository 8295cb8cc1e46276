"""Networks whose states are maps, and the cells that forecast with them.

From maps to maps (`AbstractMapNetwork`): `ConvNet`, `ResNet`, `UNet`, `FNO`,
`MapTransformer`, stepped by `MapStepper`, or beside another cell by `MapCorrector`.
Recurrent layers (`AbstractMapLayer`): `ConvLSTM`, `ConvGRU`, stacks of them, `PredRNN`,
stepped by `MapRecurrent` or `EncoderForecaster`, or beside another cell by
`RecurrentCorrector`. Auto-encoders, whose few numbers `tendency.wrappers.Latent` steps.
`Frame` stands between all of them and the state, `Edges` says what lies beyond a map.
"""

from tendency.networks.maps.attention import MapTransformer as MapTransformer
from tendency.networks.maps.autoencoder import (
    AbstractAutoEncoder as AbstractAutoEncoder,
)
from tendency.networks.maps.autoencoder import ConvAutoEncoder as ConvAutoEncoder
from tendency.networks.maps.autoencoder import DenseAutoEncoder as DenseAutoEncoder
from tendency.networks.maps.autoencoder import LinearAutoEncoder as LinearAutoEncoder
from tendency.networks.maps.corrector import MapCorrector as MapCorrector
from tendency.networks.maps.corrector import RecurrentCorrector as RecurrentCorrector
from tendency.networks.maps.fourier import FNO as FNO
from tendency.networks.maps.fourier import SpectralConvolution as SpectralConvolution
from tendency.networks.maps.frame import Frame as Frame
from tendency.networks.maps.layers import Convolution as Convolution
from tendency.networks.maps.layers import Edges as Edges
from tendency.networks.maps.network import AbstractMapNetwork as AbstractMapNetwork
from tendency.networks.maps.network import ConvNet as ConvNet
from tendency.networks.maps.patchwork import Patchwork as Patchwork
from tendency.networks.maps.predrnn import PredRNN as PredRNN
from tendency.networks.maps.recurrent import AbstractMapLayer as AbstractMapLayer
from tendency.networks.maps.recurrent import ConvGRU as ConvGRU
from tendency.networks.maps.recurrent import ConvLSTM as ConvLSTM
from tendency.networks.maps.recurrent import MapStack as MapStack
from tendency.networks.maps.recurrent import stacked_maps as stacked_maps
from tendency.networks.maps.recurrent_cell import (
    EncoderForecaster as EncoderForecaster,
)
from tendency.networks.maps.recurrent_cell import MapRecurrent as MapRecurrent
from tendency.networks.maps.resnet import ResNet as ResNet
from tendency.networks.maps.stepper import MapStepper as MapStepper
from tendency.networks.maps.unet import UNet as UNet
