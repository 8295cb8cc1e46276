"""Floor 1: tendencies and cells with learned weights, one family a file."""

from tendency.networks.bilinear import Bilinear as Bilinear
from tendency.networks.convolutional import Convolutional as Convolutional
from tendency.networks.dense import Dense as Dense
from tendency.networks.encoder_decoder import EncoderDecoder as EncoderDecoder
from tendency.networks.layers import GRU as GRU
from tendency.networks.layers import LSTM as LSTM
from tendency.networks.layers import RNN as RNN
from tendency.networks.layers import Stack as Stack
from tendency.networks.layers import stacked as stacked
from tendency.networks.merged import MergedLayers as MergedLayers
from tendency.networks.merged import merged_lstm as merged_lstm
from tendency.networks.mlp import MLP as MLP
from tendency.networks.recurrent import Recurrent as Recurrent
from tendency.networks.recurrent import RecurrentCell as RecurrentCell
from tendency.networks.recurrent import encoder_decoder as encoder_decoder
from tendency.networks.recurrent import many_to_many as many_to_many
from tendency.networks.recurrent import many_to_one as many_to_one
from tendency.networks.recurrent import one_to_many as one_to_many
from tendency.networks.recurrent import one_to_one as one_to_one
from tendency.networks.scalar_mlp import ScalarMLP as ScalarMLP
from tendency.networks.scaling import Scaling as Scaling
from tendency.networks.stencil_regression import (
    stencil_regression as stencil_regression,
)
from tendency.networks.temporal_cnn import CausalConvolutions as CausalConvolutions
from tendency.networks.temporal_cnn import TemporalCNN as TemporalCNN
