"""What can go wrong with a file of the store; the texts are for the client."""


class StoreError(Exception):
    """The tree's root; `detail` says what is wrong and what to do."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NameTaken(StoreError):
    """A file of that name is there, and was not to be replaced."""


class ConditionFailed(StoreError):
    """A precondition of the request does not hold for what has the name."""


class Busy(StoreError):
    """Another request is writing the same upload at this moment."""


class NoSuchFile(StoreError):
    """No file, or no unfinished upload, has that name."""


class TooLarge(StoreError):
    """The file is larger than MAX_UPLOAD_SIZE."""


class NoRoom(StoreError):
    """The disk is full, or STORE_QUOTA is."""


class TypeRefused(StoreError):
    """ALLOWED_TYPES has not the type that the name says, or not the one of the content."""


class BadUpload(StoreError):
    """What came is no upload: a form that breaks its rules, or bytes that were not announced."""


class OutOfPlace(StoreError):
    """A part of a file that does not begin where the last one ended, at `offset`."""

    def __init__(self, detail: str, offset: int) -> None:
        super().__init__(detail)
        self.offset = offset


class Unusable(StoreError):
    """The directory cannot be used: `reason` is what the system says, for the operator."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The store cannot be used now. Its operator has to look at MEDIA_DIR: that it is "
            "there, and may be written to."
        )
        self.reason = reason
