"""Baseline: a hand-written torch loop that re-runs a small Transformer over each entity's last 64 rows, per event.

What serving a windowed forecaster looks like without per-entity recurrent state: batched per poll, fused inference
path, the alert a z-score of the forecast's error. Weights are random: their values cost no time. One torch thread, as
a bellwether shard has: two, on two cores beside a broker and a database, were measured to run at an eighth of its rate.

B events, E entities, W rows of a window, S signals, D width.
"""

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.bench.loop import Finding, Vitals, main
from tests.bench.stream import BAND_HIGH, SIGNALS

WINDOW = 64
_WIDTH, _HEADS, _LAYERS, _FEEDFORWARD = 64, 4, 2, 128
_CHUNK = 32
"""Windows in one forward pass. Measured: 256 run at half the rate of 32, whose activations still fit the cache."""
_RATE = 0.02
_THRESHOLD = 7.0
_WARM_UP = 50
_signals = attrgetter(*SIGNALS)


class Forecaster(nn.Module):
    """The next row from the last W: a Transformer encoder (Vaswani et al., 2017), read at the newest row."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(len(SIGNALS), _WIDTH)
        self.position_WD = nn.Parameter(torch.randn(WINDOW, _WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(_WIDTH, _HEADS, _FEEDFORWARD, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(_WIDTH, len(SIGNALS))

    def forward(self, window_BWS: Tensor) -> Tensor:
        """[B, W, S] standardised to [B, S]."""
        forecast_BS: Tensor = self.head(self.encoder(self.embed(window_BWS) + self.position_WD)[:, -1])
        return forecast_BS


class WindowedForecasts:
    """State of all entities: their windows, the last forecast and its running error."""

    def __init__(self, capacity: int = 1024) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self._model = Forecaster().eval()
        self._index: dict[str, int] = {}
        self._seen = np.zeros(capacity, dtype=np.int64)
        self._window_EWS = np.zeros((capacity, WINDOW, len(SIGNALS)), dtype=np.float32)
        self._expected_ES = np.zeros((capacity, len(SIGNALS)), dtype=np.float32)
        self._variance_ES = np.ones((capacity, len(SIGNALS)), dtype=np.float32)
        self._middle_S = np.array([80, 120, 90, 16, 97, 37], dtype=np.float32)
        self._scale_S = np.array([8, 12, 8, 3, 1, 0.4], dtype=np.float32)

    def __call__(self, batch: Sequence[Vitals]) -> list[Finding]:
        """Judge a batch: all its windows in few forward passes, then each row's error in order."""
        value_BS = (np.array([_signals(vitals) for vitals in batch], dtype=np.float32) - self._middle_S) / self._scale_S
        entity = [self._index.setdefault(vitals.entity, len(self._index)) for vitals in batch]
        forecast_BS = self._forecast(self._windows(entity, value_BS))
        found = []
        for row, (vitals, place) in enumerate(zip(batch, entity, strict=True)):
            score = self._judge(place, value_BS[row], forecast_BS[row])
            if vitals.hr > BAND_HIGH:
                found.append(Finding(row, "band", vitals.hr - BAND_HIGH))
            elif score > _THRESHOLD:
                found.append(Finding(row, "zscore", score))
        return found

    def _windows(self, entity: Sequence[int], value_BS: NDArray[np.float32]) -> NDArray[np.float32]:
        """Each event's window as it stood right after the event."""
        window_BWS = np.empty((len(entity), WINDOW, len(SIGNALS)), dtype=np.float32)
        for row, place in enumerate(entity):
            window = self._window_EWS[place]
            window[:-1] = window[1:]
            window[-1] = value_BS[row]
            window_BWS[row] = window
        return window_BWS

    @torch.inference_mode()
    def _forecast(self, window_BWS: NDArray[np.float32]) -> NDArray[np.float32]:
        chunks = torch.from_numpy(window_BWS).split(_CHUNK)
        forecast_BS: NDArray[np.float32] = torch.cat([self._model(chunk) for chunk in chunks]).numpy()
        return forecast_BS

    def _judge(self, place: int, value_S: NDArray[np.float32], forecast_S: NDArray[np.float32]) -> float:
        variance_S = self._variance_ES[place]
        square_S = np.square(value_S - self._expected_ES[place])
        worst = float((square_S / variance_S).max())
        variance_S += np.float32(_RATE) * (square_S - variance_S)
        self._expected_ES[place] = forecast_S
        self._seen[place] += 1
        return worst**0.5 if self._seen[place] > _WARM_UP else 0.0


if __name__ == "__main__":
    main(WindowedForecasts())
