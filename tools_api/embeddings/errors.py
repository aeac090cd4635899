"""Why a text has no vector now."""

from shared.errors import Unavailable


class EncoderUnavailable(Unavailable):
    """The encoder cannot be used; the message says why and what to do."""

    code = "encoder_unavailable"


class TextsRefused(EncoderUnavailable):
    """These texts have no vectors; others may have theirs."""


class EncoderWarmingUp(EncoderUnavailable):
    """The encoder has not loaded its model yet; the same call works in a few seconds."""

    code = "encoder_warming_up"
