"""What numpy and zipfile raise for a damaged file."""

import tokenize
import zipfile
import zlib

# RuntimeError is for an archive that seems to be encrypted.
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    SyntaxError,
    OverflowError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)
