"""The errors of pdum.nvenc, one tree.

::

    NvencError(RuntimeError)
    ├── DriverNotFound          no NVIDIA driver, or one without its video library
    ├── DriverTooOld            the driver speaks an older interface than is needed
    ├── NoEncoder               the GPU has no hardware encoder
    ├── OutOfSessions           all encode sessions are taken
    ├── UnsupportedFeature      this GPU or this driver cannot do what was asked
    ├── InvalidConfig           (also ValueError)  a setting that no encoder could take
    ├── InvalidFrame            (also ValueError)  a frame that is not what the encoder was made for
    ├── EncoderClosed           a use after close(), or in a forked child
    ├── FolderBusy              another run works on the same folder of results
    ├── TargetOutOfReach        no quality value of the encoder gives the quality that was asked for
    ├── DeviceLost              the GPU is gone or was reset
    ├── OutOfMemory             (also MemoryError)  GPU memory ran out
    ├── CudaFailed              a call of CUDA failed
    ├── EncoderFailed           a call of the encoder failed
    ├── DecoderClosed           a decoder or its frame was used after close(), or in a forked child
    ├── DecoderFailed           a call of the decoder failed
    ├── NoEngineLeft            all engines of a pool are lost
    ├── ClusterFailed           a cluster cannot be reached or used, or one of its workers ended while it encoded
    ├── SourceEnded             a video had fewer frames than it announced
    ├── SourceUnreadable        a source is missing, is no video, or is damaged beyond use
    ├── StorageFailed           a storage could not be reached, read or written
    ├── VerificationFailed      a result is wrong
    ├── PieceDamaged            what was encoded earlier has changed on the disk
    ├── SeveralErrors           (also ExceptionGroup)  more than one job of a run failed
    ├── FolderMissing           (also FileNotFoundError)  the folder for a result does not exist
    ├── TimedOut                (also TimeoutError)  a run did not end within the time that was given
    └── Cancelled               the work was cancelled

"""

from __future__ import annotations

import sys
from collections.abc import Sequence


class NvencError(RuntimeError):
    """An error of the encoder, the driver or the caller, with what to do about it.

    Attributes:
        status: what the driver's function returned; 0 if none was called.
        status_name: the name of the status, such as ``"NV_ENC_ERR_OUT_OF_MEMORY"``.
        call: the driver's function, such as ``"nvEncOpenEncodeSessionEx"``.
        driver_text: the driver's own words, if it has any.
        advice: what the caller can do. It is also the end of the message.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        status_name: str = "",
        call: str = "",
        driver_text: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.status_name = status_name
        self.call = call
        self.driver_text = driver_text
        self.advice = advice

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), str(self), self.__dict__)


def _rebuild(error_type: type[NvencError], message: str, attributes: dict[str, object]) -> NvencError:
    error = error_type(message)
    error.__dict__.update(attributes)
    return error


class DriverNotFound(NvencError):
    """No NVIDIA driver is installed, or the part of it that encodes video is missing."""


class DriverTooOld(NvencError):
    """The NVIDIA driver speaks an older version of the encode interface than is needed."""


class NoEncoder(NvencError):
    """The GPU has no hardware encoder, or there is no GPU."""


class OutOfSessions(NvencError):
    """All encode sessions that the GPU or the system allows are taken."""


class UnsupportedFeature(NvencError):
    """This GPU or this driver cannot do what was asked. The message names the capability or the version."""


class InvalidConfig(NvencError, ValueError):
    """A setting is wrong. The message names it."""


class InvalidFrame(NvencError, ValueError):
    """A frame does not fit the encoder. The encoder stays usable."""


class EncoderClosed(NvencError):
    """The encoder was used after close(), or in a child forked after it was made."""


class FolderBusy(NvencError):
    """Another run works on the same folder of results."""


class TargetOutOfReach(NvencError):
    """No quality value of the encoder reaches the target, or keeps the result within ``max_size``."""


class DeviceLost(NvencError):
    """The GPU is gone or was reset."""


class OutOfMemory(NvencError, MemoryError):
    """GPU memory ran out."""


class CudaFailed(NvencError):
    """A call of CUDA failed."""


class EncoderFailed(NvencError):
    """A call of the encoder failed, and only the driver knows why."""


class DecoderClosed(NvencError):
    """A decoder was used after close() or in a child that was forked later, or one of its frames after its end."""


class DecoderFailed(NvencError):
    """A call of the GPU's decoder failed: the video is damaged, or only the driver knows why."""


class NoEngineLeft(NvencError):
    """All engines of a pool failed or hang. The message gives the reason for each."""


class ClusterFailed(NvencError):
    """A cluster cannot be reached or used, or one of its workers ended while it encoded."""


class SourceEnded(NvencError):
    """A video had fewer frames than it announced. The incomplete result is not kept."""


class SourceUnreadable(NvencError):
    """A source cannot be encoded: it is missing, is not a video, or is too damaged."""


class StorageFailed(NvencError):
    """A storage could not be reached, read or written: the connection broke, or access was refused."""


class VerificationFailed(NvencError):
    """A result is wrong. It was deleted, and the source is unchanged."""


class PieceDamaged(NvencError):
    """Encoded data on the disk has changed: the disk or another program damaged it."""


class FolderMissing(NvencError, FileNotFoundError):
    """The folder that a result is to be written to does not exist."""


class TimedOut(NvencError, TimeoutError):
    """A run did not end within the time that the caller gave it."""


class Cancelled(NvencError):
    """The work was cancelled before it was done."""


if sys.version_info >= (3, 11):

    class SeveralErrors(ExceptionGroup[Exception], NvencError):  # noqa: F821  # of Python 3.11
        """More than one job of a run failed. ``exceptions`` has the error of each; ``except*`` takes them apart."""

        def __new__(cls, message: str, exceptions: Sequence[Exception]) -> SeveralErrors:
            return super().__new__(cls, message, list(exceptions))

        def __init__(self, message: str, exceptions: Sequence[Exception]) -> None:  # noqa: ARG002
            NvencError.__init__(self, message)

        def __reduce__(self) -> tuple[object, ...]:
            return SeveralErrors, (self.message, list(self.exceptions))

        def derive(self, exceptions: Sequence[Exception]) -> SeveralErrors:  # type: ignore[override]
            return SeveralErrors(self.message, exceptions)

else:

    class SeveralErrors(NvencError):
        """More than one job of a run failed. ``exceptions`` has the error of each."""

        def __init__(self, message: str, exceptions: Sequence[Exception]) -> None:
            super().__init__(message)
            self.message, self.exceptions = message, tuple(exceptions)

        def __reduce__(self) -> tuple[object, ...]:
            return SeveralErrors, (self.message, list(self.exceptions))


BY_KIND: dict[str, type[NvencError]] = {
    "driver_not_found": DriverNotFound,
    "driver_too_old": DriverTooOld,
    "no_encoder": NoEncoder,
    "out_of_sessions": OutOfSessions,
    "unsupported_feature": UnsupportedFeature,
    "invalid_config": InvalidConfig,
    "invalid_frame": InvalidFrame,
    "encoder_closed": EncoderClosed,
    "device_lost": DeviceLost,
    "out_of_memory": OutOfMemory,
    "cuda_failed": CudaFailed,
    "encoder_failed": EncoderFailed,
    "decoder_closed": DecoderClosed,
    "decoder_failed": DecoderFailed,
}
"""The native module's names for what went wrong."""
