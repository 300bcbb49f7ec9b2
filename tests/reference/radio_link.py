"""Radio link failure by the clauses: a slow automaton of one UE that shares no line with the product.

The clauses, quoted from memory:

* TS 36.213 4.2.1: the physical layer shall, in radio frames where the radio link quality is assessed, indicate
  out-of-sync to higher layers when the quality is worse than the threshold Qout, in-sync when it is better than Qin.
  Without DRX it is assessed in every radio frame.
* TS 36.133 7.6.2.1: out-of-sync when the quality estimated over the last 200 ms becomes worse than Qout, in-sync when
  that over the last 100 ms becomes better than Qin; two successive indications are separated by 10 ms at least.
* TS 36.331 5.3.11.1: upon receiving N310 consecutive out-of-sync indications while neither T300, T301, T304 nor T311
  is running, start timer T310.
* TS 36.331 5.3.11.2: upon receiving N311 consecutive in-sync indications while T310 is running, stop timer T310.
  Note 2: periods in time where neither is reported do not affect the evaluation of the number of consecutive ones.
* TS 36.331 5.3.11.3: upon T310 expiry, consider radio link failure to be detected.
* TS 36.331 5.3.5.4: upon a handover, stop timer T310, if running. What was counted belongs to the cell that was left.

What they leave open: a period that has not passed yet since the connection gives no indication. Where both thresholds
are crossed, one indication is sent, of the newer quality: in-sync. What is indicated as T310 expires comes first. The
thresholds are those of ns-3.
"""

from __future__ import annotations

FRAME_MS = 10
QOUT_DB, QIN_DB = -5.0, -3.9


class UeRadioLink:
    """A UE that has just connected.

    Attributes:
        now_ms: What its clock shows, from 0.
        failed_ms: When its radio link failed, None while it holds.
    """

    def __init__(self, n310: int, n311: int, t310_ms: int, now_ms: int = 0) -> None:
        self.n310, self.n311, self.t310_ms = n310, n311, t310_ms
        self.now_ms = now_ms
        self.connect()

    def connect(self) -> None:
        """The UE has gone to another cell, by a handover or by itself after a failure."""
        self.heard: list[float] = []
        self.indications: list[str] = []
        self.t310_expiry_ms: int | None = None
        self.failed_ms: int | None = None

    def frame(self, sinr_db: float) -> None:
        """Lets one radio frame pass."""
        self.now_ms += FRAME_MS
        if self.failed_ms is not None:
            return
        self.heard.append(10 ** (sinr_db / 10))
        indication = self.indication()
        if indication:
            self.receive(indication)
        if self.t310_expiry_ms is not None and self.now_ms >= self.t310_expiry_ms:
            self.failed_ms = self.now_ms

    def indication(self) -> str | None:
        """What layer 1 indicates at the end of a frame."""
        last_100_ms, last_200_ms = self.heard[-10:], self.heard[-20:]
        if len(last_100_ms) == 10 and sum(last_100_ms) / 10 > 10 ** (QIN_DB / 10):
            return "in-sync"
        if len(last_200_ms) == 20 and sum(last_200_ms) / 20 < 10 ** (QOUT_DB / 10):
            return "out-of-sync"
        return None

    def receive(self, indication: str) -> None:
        """What RRC makes of it."""
        self.indications.append(indication)
        if self.t310_expiry_ms is None:
            if self.indications[-self.n310 :] == ["out-of-sync"] * self.n310:
                self.t310_expiry_ms = self.now_ms + self.t310_ms
                self.indications = []
        elif self.indications[-self.n311 :] == ["in-sync"] * self.n311:
            self.t310_expiry_ms = None
            self.indications = []
