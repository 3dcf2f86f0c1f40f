"""Errors that end a training, and whose message is enough for the user."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why, what is left, and what to do. ``tools/train.py`` prints it alone."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be written, or none can be read."""


class DataWorkerError(TrainingError):
    """A worker process of the data loader died."""
